"""Define slash commands, find them in typed lines, and run them."""

import difflib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from chatcli.attachments.attachment import Attachment
from chatcli.config.settings import Settings
from chatcli.conversation.conversation import Conversation
from chatcli.errors import MissingKeyError
from chatcli.events import Event, KeyRequested, Notice
from chatcli.store.errors import as_failure


@dataclass(frozen=True, slots=True)
class ParsedCommand:
    """A command and its arguments: `/thread abc123` is `thread` with `abc123`."""

    name: str
    arguments: str


@dataclass(slots=True)
class CommandContext:
    """The objects that a command's handler may use, and what the commands remember."""

    conversation: Conversation
    registry: "CommandRegistry"
    settings: Settings
    theme: str = ""
    """The theme that was chosen by a command, empty for that of the settings."""
    folder: Path | None = None
    """The folder that the conversation is about; None for the current one."""
    waiting: tuple[Attachment, ...] = ()
    """What goes along with the next question: files, and what past threads say."""


class Handler(Protocol):
    """Runs a command: it yields events and never prints. The first line of its docstring is the command's help."""

    __doc__: str | None

    def __call__(self, context: CommandContext, arguments: str, /) -> AsyncIterator[Event]:
        """Yield the events; raise ChatcliError or ValueError for a mistake of the user."""


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command."""

    name: str
    """What is typed after the slash."""
    usage: str
    """Its arguments, for `/help`."""
    handler: Handler
    aliases: tuple[str, ...] = ()
    only: Literal["chat", "graph", "here"] | None = None
    """What it is for, if it refuses elsewhere: the plain chat, a graph, or threads that stay on this machine."""

    @property
    def help(self) -> str:
        """What the command does, in one line."""
        return (self.handler.__doc__ or "").strip().partition("\n")[0].removesuffix(".")


class CommandRegistry:
    """All commands, in the order of `/help`; finds them by name and alias, others by `find_other`."""

    def __init__(self, commands: Iterable[Command], find_other: Callable[[str], Command | None]) -> None:
        self._find_other = find_other
        self._listed = tuple(commands)
        self._commands = {name: command for command in self._listed for name in (command.name, *command.aliases)}

    def __iter__(self) -> Iterator[Command]:
        return iter(self._listed)

    def offered(self, conversation: Conversation | None) -> Iterator[Command]:
        """Yield the commands that can work in `conversation`, all where there is none yet."""
        if conversation is None:
            return iter(self._listed)
        graph = conversation.has_own_graph
        fits = {None: True, "chat": not graph, "graph": graph, "here": conversation.takes_recall}
        return (command for command in self._listed if fits[command.only])

    def find(self, name: str) -> Command | None:
        """Return the command `name`, or None."""
        return self._commands.get(name) or self._find_other(name)

    def nearest(self, name: str) -> str | None:
        """Return the command name most similar to `name`; None if no name is similar."""
        return next(iter(difflib.get_close_matches(name, self._commands, n=1)), None)


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


async def run_command(parsed: ParsedCommand, context: CommandContext) -> AsyncGenerator[Event, None]:
    """Yield the events of the command `parsed`; a mistake of the user is a notice, never an exception."""
    command = context.registry.find(parsed.name)
    if command is None:
        nearest = context.registry.nearest(parsed.name)
        hint = f"Did you mean /{nearest}?" if nearest else "See /help."
        yield Notice(f"unknown command /{parsed.name}. {hint} (// at the beginning sends it as text)", "error")
        return
    context.conversation.branching = None
    try:
        async for event in command.handler(context, parsed.arguments):
            yield event
    except MissingKeyError as error:
        yield KeyRequested(error.provider, f"/{parsed.name} {parsed.arguments}".rstrip())
    except ValueError as error:
        yield Notice(f"{error}", "error")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - no command may end the conversation
        failure = as_failure(error)
        yield Notice(f"{failure.message}. {failure.remedy}".rstrip(), "error")
