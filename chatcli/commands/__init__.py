"""The slash commands of the REPL; `all.py` collects the tuple `COMMANDS` of each file."""
