"""A whole thread outside of any store, and the checks of an import."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_core.messages import BaseMessage

from chatcli.config.thread_ids import check_thread_id
from chatcli.errors import UsageError

if TYPE_CHECKING:
    from pydantic import ValidationError

NOTHING = "nothing was imported"
MAX_KINDS = 12
"""The most kinds of left-out parts that a line names."""
MAX_DEPTH = 64
"""The most levels of nested lists and objects: what is stored must also be readable again."""


@dataclass(frozen=True, slots=True)
class ThreadDocument:
    """A thread as it is exported and imported; times are ISO 8601 in UTC, or empty if they are not known."""

    # Fields of `ChatState` have the same name and meaning here.
    thread_id: str
    title: str
    model: str
    system: str | None
    messages: Sequence[BaseMessage]
    role: str = ""
    template: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    temperature: float | None = None
    summary: str = ""
    summarised: str = ""
    refused: tuple[str, ...] = ()
    remembered_model: str = ""
    """The state's `model`, which continues the thread; empty for a thread of another program."""
    turns: int = 0
    created_at: str = ""
    updated_at: str = ""
    left_out: tuple[str, ...] = ()
    """The kinds of the parts in another program's file that are not imported, one for each part."""


def left_out_line(documents: Sequence[ThreadDocument]) -> str:
    """Return one line that names what was left out of `documents`; empty if nothing was."""
    kinds = Counter(kind for document in documents for kind in document.left_out)
    named = [kind if number == 1 else f"{kind} ({number})" for kind, number in kinds.most_common(MAX_KINDS)]
    if not named:
        return ""
    rest = len(kinds) - len(named)
    return f"left out: {', '.join(named)}{f', and {rest} more' if rest else ''}"


def refuse(where: str, problem: str) -> UsageError:
    """Return the error that refuses a file because of a problem at `where`, a field or a line."""
    return UsageError(f"{NOTHING}: {where}: {problem}")


def refusal(where: str, error: "ValidationError") -> UsageError:
    """Return the error that refuses a file because of the first problem in `error`."""
    problem = error.errors(include_url=False, include_input=False)[0]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")
    return refuse(f"{where}{field}".rstrip(".") or "the thread", problem["msg"][:1].lower() + problem["msg"][1:])


def check_id(where: str, thread_id: str) -> str:
    """Return `thread_id` if it is a valid ID of a thread; raise UsageError if not."""
    try:
        return check_thread_id(thread_id)
    except ValueError as error:
        raise refuse(where, str(error)) from None


def check_storable(where: str, value: object) -> None:
    """Raise UsageError if `value`, from JSON, is nested too deeply, or has a lone surrogate or too large a number."""
    pending: list[tuple[object, int]] = [(value, 0)]
    while pending:
        item, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise refuse(where, f"is nested more than {MAX_DEPTH} levels deep")
        if isinstance(item, str):
            try:
                item.encode()
            except UnicodeEncodeError:
                raise refuse(where, "holds a lone surrogate, which is not a character") from None
        elif isinstance(item, int) and not -(2**63) <= item < 2**64:
            raise refuse(where, "holds a number of more than 64 bits")
        elif isinstance(item, dict):
            pending += ((part, depth + 1) for pair in item.items() for part in pair)
        elif isinstance(item, list):
            pending += ((part, depth + 1) for part in item)


def check_unique(where: str, name: str, known: set[str]) -> None:
    """Add `name` to `known`; raise UsageError if `known` has it already."""
    if name in known:
        raise refuse(where, f"{name!r} appears twice")
    known.add(name)
