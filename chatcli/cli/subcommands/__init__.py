"""The sub-commands of `chat`, a module each, imported when they run."""
