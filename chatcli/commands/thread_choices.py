"""Threads as choices to pick from."""

from collections.abc import Sequence
from datetime import UTC, datetime

from chatcli.events import ThreadChoice
from chatcli.store.threads import ThreadSummary

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))


def thread_choices(threads: Sequence[ThreadSummary], text: str = "") -> tuple[ThreadChoice, ...]:
    """Return those of `threads` whose ID or title holds `text`, with title, turns, age and model."""
    wanted = text.casefold()
    return tuple(
        ThreadChoice(thread.thread_id, _description(thread))
        for thread in threads
        if wanted in f"{thread.thread_id} {thread.title}".casefold()
    )


def _description(thread: ThreadSummary) -> str:
    turns = f"{thread.turns} turn{'' if thread.turns == 1 else 's'}"
    return f"{thread.title} ({turns}, {_age(thread.updated_at)}, {thread.model})"


def _age(moment: str) -> str:
    seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)}{unit} ago"
    return "just now"
