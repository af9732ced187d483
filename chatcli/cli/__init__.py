"""The command line: flags to `Settings`, errors to exit codes."""
