"""The program that this process's command line belongs to: `chat`, or one that a builder made with the library."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """A slash command of a builder's program; see `chatcli.run`.

    Attributes:
        name: What is typed after the slash: letters, digits, `-` and `_`.
        help: What it does, in one line, for `/help`.
        handler: Takes what is typed after the name, and the values of the graph's state, its messages among them. It
            returns Markdown to print, or None. It may be async; a sync one runs in a thread.

    """

    name: str
    help: str
    handler: Callable[[str, dict[str, Any]], str | Awaitable[str | None] | None]


@dataclass(frozen=True, slots=True)
class Program:
    """What a program is called, and what it has of what `chat` has."""

    name: str = "chat"  # its command; empty for one that has none, but calls `chatcli.run` itself
    version: str = ""  # its version, empty where it is not known
    help: str = ""  # the first lines of its `--help`
    graph: Any = None  # its `GraphSpec`, None for a plain chat
    settings: Mapping[str, Any] = field(default_factory=dict)  # what it sets; an option of its user goes before that
    without: frozenset[str] = frozenset()  # the settings that it does not have, from whatever source
    not_from_user: frozenset[str] = frozenset()  # the settings that only its options set, not the user's of `chat`
    commands: tuple[SlashCommand, ...] = ()  # its own slash commands
    show: Callable[[Any], str | None] | None = None  # how it shows calls and custom events; see `chatcli.run`
    eager: bool = False  # whether its graph is made before anything else, so that its caller hears of a failure


CHAT = Program()
_current: ContextVar[Program] = ContextVar("program", default=CHAT)


def current_program() -> Program:
    """Return the program that runs: `chat`, unless `running` says otherwise."""
    return _current.get()


@contextmanager
def running(program: Program) -> Iterator[None]:
    """Let `program` be the one that runs."""
    token = _current.set(program)
    try:
        yield
    finally:
        _current.reset(token)


def command(*words: str) -> str:
    """Return the command line of `words` in the program that runs: `chat threads list`."""
    return " ".join((current_program().name or "chat", *words))
