"""What a command line without a sub-command does: a one-shot, a script, or the REPL."""
