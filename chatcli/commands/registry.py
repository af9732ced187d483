"""What a slash command is, how it is registered, and how a typed line is read as one."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from chatcli.config.settings import Settings
from chatcli.conversation.conversation import Conversation
from chatcli.events import Event


@dataclass(frozen=True, slots=True)
class ParsedCommand:
    """A line that names a command: `/thread abc123` is `thread` with `abc123`."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class CommandContext:
    """What a handler may use."""

    conversation: Conversation
    registry: "CommandRegistry"
    settings: Settings


class Handler(Protocol):
    """Does a command's work; it yields events and never prints."""

    def __call__(self, context: CommandContext, arguments: str, /) -> AsyncIterator[Event]:
        """Yield what happens; raise ChatcliError or ValueError for what the user did wrong."""


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command; `usage` shows its arguments, `help` is the first line of its handler's docstring."""

    name: str
    usage: str
    help: str
    handler: Handler
    aliases: tuple[str, ...] = ()
    group: str = ""


class CommandRegistry:
    """The commands, by name and alias, in the order of their registration."""

    def __init__(self) -> None:
        self._commands: dict[str, Command] = {}
        self._group = ""

    def begin_group(self, name: str) -> None:
        """Let `/help` show the commands that are registered from now on under `name`."""
        self._group = name

    def __iter__(self) -> Iterator[Command]:
        return iter(dict.fromkeys(self._commands.values()))

    def register(self, name: str, usage: str = "", *, aliases: tuple[str, ...] = ()) -> Callable[[Handler], Handler]:
        """Return a decorator that registers a handler as `/name`; its docstring is the help."""

        def decorate(handler: Handler) -> Handler:
            help_line = (handler.__doc__ or "").strip().splitlines()[0]
            command = Command(name, usage, help_line, handler, aliases, self._group)
            for key in (name, *aliases):
                self._commands[key] = command
            return handler

        return decorate

    def find(self, name: str) -> Command | None:
        """Return the command `name`, or None."""
        return self._commands.get(name)

    def nearest(self, name: str) -> str | None:
        """Return the name most like `name`, if any is alike."""
        import difflib

        return next(iter(difflib.get_close_matches(name, self._commands, n=1)), None)


def parse_command(line: str) -> ParsedCommand | None:
    """Read `line` as a command, or return None when it is a question.

    `//` at its beginning makes a question of a line that begins with a slash: see `parse_question`.
    """
    if not line.startswith("/") or line.startswith("//"):
        return None
    name, _, arguments = line[1:].partition(" ")
    return ParsedCommand(name.strip(), arguments.strip())


def parse_shell(line: str) -> str | None:
    """Read `line` as a command for the user's shell, which stands behind `!`, or return None."""
    return line[1:].strip() or None if line.startswith("!") else None


def parse_question(line: str) -> str:
    """Return the text to ask of a line that is no command: `//path` asks `/path`."""
    return line[1:] if line.startswith("//") else line
