"""What a typed line is: a slash command, a command for the shell, or a question."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ParsedCommand:
    """A command and its arguments: `/thread abc123` is `thread` with `abc123`."""

    name: str
    arguments: str


_WORDS = {"exit": "exit", "quit": "exit", "help": "help", "?": "help"}
"""The words that, alone on a line, are commands too: nobody asks a model for them, and who is lost types them."""


def parse_word(line: str) -> ParsedCommand | None:
    """Return the command that the only word of `line` means without a slash; None for everything else."""
    name = _WORDS.get(line.strip().lower())
    return None if name is None else ParsedCommand(name, "")


def parse_command(line: str) -> ParsedCommand | None:
    """Return the command in `line`; None if it is a question, perhaps with two slashes: see `parse_question`."""
    if not line.startswith("/") or line.startswith("//"):
        return None
    name, _, arguments = line[1:].partition(" ")
    return ParsedCommand(name.strip(), arguments.strip())


def parse_shell(line: str) -> str | None:
    """Return the shell command in `line`, after `!`; None if there is none."""
    return line[1:].strip() or None if line.startswith("!") else None


def parse_question(line: str) -> str:
    """Return the question in a line that is not a command: `//path` asks `/path`."""
    return line[1:] if line.startswith("//") else line
