"""What the answers of threads used in tokens, read from LangGraph's writes."""

# Each write is read once: what it says is kept beside the checkpoints. It is derived from them alone, so a kill, a
# fork, an import or an older version loses nothing, and what is missing is read again.

import json
import operator
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

REQUEST = "chatcli_request"
"""The key of an answer's metadata for what asked for it: `model`, `own_server`, `at`, and in `also` other tokens."""
MAX_TOKENS = 10**12
"""More than any answer uses: an imported file may say anything."""
_MAX_NAME = 200
_GREGORIAN = 0x01B21DD213814000
"""The intervals of 100 ns between the beginning of UUIDs' time and that of Unix."""
_UNIQUE = re.compile(r"[0-9A-Za-z]{20}|[0-9a-f]{8}-[0-9a-f]{4}-")
"""What a message's ID has in it if no other message has the same: some servers count from 1."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of requests and answers; what was read from a cache and written to it is a part of `input`."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        """Return the sum."""
        return Tokens(*map(operator.add, self.as_list(), other.as_list()))

    def as_list(self) -> list[int]:
        """Return the counts in the order of the fields."""
        return [self.input, self.output, self.cache_read, self.cache_write]


@dataclass(frozen=True, slots=True)
class AnswerUsage:
    """A stored answer."""

    thread_id: str  # its thread
    turn: int  # the number of questions that the thread had by then, on all of its branches
    key: str  # the same for its copies in other threads
    model: str  # who answered, as `provider:model` or `graph:NAME`; empty if it is not known
    own_server: bool  # whether the user named the server, so that list prices don't apply
    at: float  # when it was asked for, in seconds since 1970; 0 if it is not known
    tokens: Tokens | None  # what it used, None where nobody reported it


UsageRow = tuple[str, str, str, int, str]
"""A write, by its thread, checkpoint, task, and index in the task's writes, and what is kept of it.

That is JSON: an entry for each question and each answer.
"""


def read_tokens(usage: object) -> Tokens | None:
    """Return the counts in langchain's `usage_metadata`, which a file may have brought; None if they can't be true."""
    if not isinstance(usage, Mapping):
        return None
    counts = _count(usage.get("input_tokens")), _count(usage.get("output_tokens"))
    if counts[0] is None or counts[1] is None or not any(counts):
        return None
    details = usage.get("input_token_details")
    cached = details if isinstance(details, Mapping) else {}
    read = _count(cached.get("cache_read")) or 0
    # Anthropic's client counts what is kept for five minutes and for an hour apart from the rest.
    names = [name for name in cached if name == "cache_creation" or str(name).startswith("ephemeral_")]
    written = sum(_count(cached[name]) or 0 for name in names)
    if read + written > counts[0]:
        read = written = 0
    return Tokens(counts[0], counts[1], read, written)


def note_request(model: str, *, own_server: bool, also: Iterable[Tokens]) -> dict[str, Any]:
    """Return the metadata of an answer that notes what asked for it; `also` was used on the way to it."""
    other = sum(also, Tokens())
    noted: dict[str, Any] = {"model": model, "own_server": own_server, "at": int(time.time())}
    return {REQUEST: {**noted, "also": other.as_list()} if other != Tokens() else noted}


def answer_entry(
    message_id: str, usage: object, noted: object, checkpoint_id: str, model: object, *, own_server: bool
) -> list[Any]:
    """Return the entry that is kept of an answer: langchain's `usage`, and what `note_request` `noted` of it."""
    # `noted` is None for an answer of an older version or of a user graph. For these, `model` and `own_server` are what
    # the checkpoint `checkpoint_id`, which it was written to, knows.
    request: Mapping[str, Any] = noted if isinstance(noted, Mapping) else {}
    tokens, also = read_tokens(usage), _read_also(request.get("also"))
    if tokens is not None and also is not None:
        tokens += also
    name = request.get("model") or model
    at = _count(request.get("at")) or 0
    is_past = 0 < at <= time.time() + 86400
    return [
        message_id,
        name[:_MAX_NAME] if isinstance(name, str) else "",
        int(request.get("own_server") is True if request else own_server),
        at if is_past else _time_of(checkpoint_id),
        None if tokens is None else tokens.as_list(),
    ]


def _read_also(counts: object) -> Tokens | None:
    """Return the tokens that `note_request` noted; None if there are none, or they can't be true."""
    if not isinstance(counts, list) or len(counts) != 4:
        return None
    read = [_count(count) for count in counts]
    known = [count for count in read if count is not None]
    return Tokens(*known) if len(known) == 4 and known[2] + known[3] <= known[0] else None


def answers_of(kept: Iterable[UsageRow]) -> list[AnswerUsage]:
    """Return the answers in `kept`, each of a thread once: a later write may change a message."""
    found: dict[tuple[str, str], AnswerUsage] = {}
    turns = Counter[str]()
    for thread_id, checkpoint_id, task_id, index, text in sorted(kept):
        for entry in json.loads(text):
            if not entry:
                turns[thread_id] += 1
                continue
            message_id, model, own_server, at, counts = entry
            answer_id = (thread_id, message_id or f"{checkpoint_id} {task_id} {index}")
            key = message_id if _UNIQUE.search(message_id) else f"{checkpoint_id} {message_id}"
            tokens = None if counts is None else Tokens(*counts)
            turn = turns[thread_id]
            if answer_id in found:
                turn, key = found[answer_id].turn, found[answer_id].key
            found[answer_id] = AnswerUsage(thread_id, turn, key, model, bool(own_server), at, tokens)
    return list(found.values())


def without_copies(answers: Iterable[AnswerUsage]) -> Iterator[AnswerUsage]:
    """Yield `answers` without the copies that a fork or an import has made: they were paid once."""
    seen: set[str] = set()
    for answer in answers:
        if answer.key not in seen:
            seen.add(answer.key)
            yield answer


def _count(number: object) -> int | None:
    return number if type(number) is int and 0 <= number <= MAX_TOKENS else None  # a bool is no count


def _time_of(checkpoint_id: str) -> float:
    """Return when a checkpoint was made, in seconds since 1970; LangGraph's IDs have the time in them."""
    try:
        made = UUID(checkpoint_id)
    except ValueError:
        return 0
    if made.version != 6:
        return 0
    high, middle, low = made.time_low, made.time_mid, made.time_hi_version & 0x0FFF
    return max(round(((high << 28 | middle << 12 | low) - _GREGORIAN) / 1e7, 3), 0)
