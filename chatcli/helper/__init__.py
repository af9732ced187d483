"""A background process for some minutes, so that the next one-shot need not import LangGraph again.

It has imported what runs import, and waits for `chat` to connect (`client`). Then it forks, and the child takes the
place of the connecting process (`child`): it gets its arguments, environment, folder and streams over the socket. The
connecting process passes signals on and exits with the child's exit code. A run that may not be the same there is run
without the helper. Linux only (`eligible.is_supported`): what it asks of the kernel is in `kernel`, and processes are
examined through /proc.
"""
