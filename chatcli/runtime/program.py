"""The program that this process's command line belongs to: `chat`, or one that a builder made with the library."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Program:
    """What a program is called, and what it has of what `chat` has.

    Attributes:
        name: Its command; empty for one that has none, but calls `chatcli.run` itself.
        version: Its version, empty where it is not known.
        help: The first lines of its `--help`.
        graph: Its `GraphSpec`, None for a plain chat.
        settings: What it sets itself: an option of its user goes before that.
        without: The settings that it does not have: neither as an option nor from any other source.
        not_from_user: The settings that only its options set, not the variables and the config file of `chat`.
        eager: Whether its graph is made before anything else, so that its caller hears of a failure.

    """

    name: str = "chat"
    version: str = ""
    help: str = ""
    graph: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    not_from_user: frozenset[str] = frozenset()
    eager: bool = False


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
