"""Define slash commands, find them by name, and run them."""

import difflib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from chatcli.attachments.attachment import Attachment
from chatcli.commands.lines import ParsedCommand
from chatcli.config.settings import Settings
from chatcli.conversation.conversation import Conversation
from chatcli.errors import MissingKeyError
from chatcli.events import Event, Listing, Notice
from chatcli.message import Excerpt
from chatcli.sessions.requests import TurnRequest
from chatcli.store.errors import as_failure

if TYPE_CHECKING:
    from chatcli.commands.branches import TreeRow


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several to choose from: its name, and what else distinguishes it; untrusted text."""

    name: str
    about: str
    current: bool = False
    """Whether it is in use."""
    argument: str = ""
    """What the command is given that uses it, where that is not the name."""


def choices_listing(what: str, choices: Iterable[Choice]) -> Listing:
    """Return the `choices`, each a `what`, as a table."""
    rows = tuple((f"{one.name}{' (in use)' if one.current else ''}", one.about) for one in choices)
    return Listing(f"{what}s", (what, "about"), rows)


class Screen(Protocol):
    """The user of a command, at a prompt or in an editor."""

    async def show(self, event: Event) -> None:
        """Show `event`."""

    async def choose(self, what: str, choices: Sequence[Choice], printed: Event | None = None) -> str:
        """Return the argument of the choice, a `what`, that the user picks; empty for none.

        Where nothing can be picked, `printed` is shown instead, if there is any.
        """

    async def walk(
        self, rows: "Sequence[TreeRow]", read: Callable[[int], Awaitable[Mapping[int, Excerpt]]]
    ) -> str | None:
        """Return the command that the user chooses in the tree of `rows`: empty for none, None if it can't be shown.

        `read` returns what is said on a branch that a turn is on.
        """

    async def confirm(self, question: str, line: str, *, by_key: bool = False) -> bool | None:
        """Return whether the user says yes to `question`; None where nothing is to be changed.

        With `by_key`, the answer is one key, and a no is more than that. Who can't be asked may enter `line` for a yes.
        """

    async def ask_key(self, provider: str) -> bool:
        """Ask for the key of the provider of that prefix, and use it from now on; return whether there is one."""

    async def edit(self, path: Path) -> None:
        """Let the user edit the file at `path`. Raises `UsageError` where no editor can be used."""

    def prefill(self, text: str, *, optional: bool = False, in_editor: bool = False) -> None:
        """Let the next line begin with the question `text`, to be edited, perhaps in the user's editor, and sent.

        If that is `optional`, a line that was entered meanwhile is sent without it.
        """


@dataclass(slots=True)
class CommandContext:
    """The objects that a command's handler may use, and what the commands remember."""

    conversation: Conversation
    registry: "CommandRegistry"
    settings: Settings
    screen: Screen
    theme: str = ""
    """The theme that was chosen by a command, empty for that of the settings."""
    folder: Path | None = None
    """The folder that the conversation is about; None for the current one."""
    waiting: tuple[Attachment, ...] = ()
    """What goes along with the next question: files, and what past threads say."""
    leaving: bool = False
    """Whether the conversation ends with this command."""

    async def show(self, event: Event) -> None:
        """Show `event` on the screen."""
        await self.screen.show(event)


Handler = Callable[[CommandContext, str], Awaitable[TurnRequest | None]]
"""Runs a command with its arguments, and returns the turn that follows; it never prints.

The first line of its docstring is the command's help. It raises ChatcliError or ValueError for a mistake of the user.
"""


Group = Literal["Threads", "Answers", "Model", "Files", "Tools", "Screen", "Others"]
"""The heading of a command in `/help`, which shows them in this order; "Others" are a program's own."""


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command."""

    name: str
    """What is typed after the slash."""
    usage: str
    """Its arguments, for `/help`."""
    handler: Handler
    group: Group
    aliases: tuple[str, ...] = ()
    only: Literal["chat", "graph", "here"] | None = None
    """What it is for, if it refuses elsewhere: the plain chat, a graph, or threads that stay on this machine."""
    in_editor: bool = True
    """Whether an editor offers it: not what the editor does itself, and not what is about a terminal."""

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


async def run_command(parsed: ParsedCommand, context: CommandContext) -> TurnRequest | None:
    """Run the command `parsed`, and return the turn that follows; a mistake of the user is a notice, no exception."""
    command = context.registry.find(parsed.name)
    if command is None:
        nearest = context.registry.nearest(parsed.name)
        hint = f"Did you mean /{nearest}?" if nearest else "See /help."
        problem = f"unknown command /{parsed.name}. {hint} (// at the beginning sends it as text)"
        await context.show(Notice(problem, "error"))
        return None
    context.conversation.branching = None
    try:
        return await command.handler(context, parsed.arguments)
    except MissingKeyError as error:
        return await run_command(parsed, context) if await context.screen.ask_key(error.provider) else None
    except ValueError as error:
        await context.show(Notice(f"{error}", "error"))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - no command may end the conversation
        failure = as_failure(error)
        await context.show(Notice(f"{failure.message}. {failure.remedy}".rstrip(), "error"))
    return None


async def run_chosen(
    name: str, context: CommandContext, what: str, choices: Sequence[Choice], printed: Event | None = None
) -> None:
    """Run the command `name`, which no turn follows, with the argument that the user picks: see `Screen.choose`."""
    if chosen := await context.screen.choose(what, choices, printed):
        await run_command(ParsedCommand(name, chosen), context)
