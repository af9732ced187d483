"""A process that stays behind for some minutes, so that the next one-shot need not import LangGraph once more.

It has imported what runs import, and does nothing until `chat` asks (`client`): then it forks, and the child becomes
the process that asked (`child`), with its arguments, environment, folder and streams, which come over the socket. The
process that asked hands signals on and leaves with the child's exit code. Whatever is in doubt is run without it. Linux
only: a process is looked at through /proc.
"""
