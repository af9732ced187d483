"""Joins neighbouring text deltas of a chat-completions stream, so that a backlog is cheap to read."""

import json
import re
from codecs import BOM_UTF8
from dataclasses import dataclass
from typing import Any

from chatcli.runtime.parse import read_json

_TEXTS = ("content", "reasoning_content", "reasoning")
"""The fields of a delta that hold text; a delta with more than one of them stays unchanged."""
_DATA = re.compile(rb"(?:\A|[\r\n])data")
_HALVES = re.compile(rb"\\u[dD][89a-fA-F]")
_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n")


@dataclass(slots=True)
class _Run:
    """Neighbouring events that differ only in their text: `frame` is their chunk without it."""

    frame: dict[str, Any]
    key: str
    texts: list[str]
    first: bytes


class DeltaJoiner:
    """Reads server-sent events and returns them, with text deltas joined that arrived together.

    Chunks are joined if they have one choice, hold only a piece of text, and are otherwise equal. All others stay
    unchanged and in order: tool calls, several choices, log probabilities, the usage, the end, and what is not a
    chunk. Events without data are left out: comments, and a lone `retry`, which the SDK would read as an empty chunk.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._run: _Run | None = None
        self._half = ""
        """The first half of a character (a surrogate pair); the next text begins with the other half."""

    def feed(self, data: bytes) -> bytes:
        """Return the events that `data` completes; none waits for later ones."""
        self._rest += data
        if b"\n" not in data and b"\r" not in data:
            return b""  # a long line is not searched again for each piece of it
        *events, rest = _EVENT_END.split(bytes(self._rest))
        self._rest = bytearray(rest)
        joined: list[bytes] = []
        for event in (event.removeprefix(BOM_UTF8) for event in events):  # some servers send one before the first
            if not _DATA.search(event):
                continue  # it means nothing (https://html.spec.whatwg.org/multipage/server-sent-events.html)
            piece = _read_text(event)
            if piece is not None and (self._half or _HALVES.search(event)):
                piece = self._repair_halves(piece)
            if piece is not None and self._run is not None and _same(self._run, piece):
                self._run.texts += piece.texts
                continue
            joined += self._end_run()
            if piece is None:
                joined.append(event)
            else:
                self._run = piece
        joined += self._end_run()
        return b"".join(event + b"\n\n" for event in joined)

    def rest(self) -> bytes:
        """Return what was left incomplete when the stream ended."""
        rest, self._rest = bytes(self._rest), bytearray()
        return rest

    def _repair_halves(self, piece: _Run) -> _Run:
        """Return `piece` with whole characters: some servers cut between two halves, and a half can't be stored."""
        text = self._half + "".join(piece.texts)
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        text = text.removesuffix(self._half).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return _Run(piece.frame, piece.key, [text], _framed(piece, text))

    def _end_run(self) -> list[bytes]:
        run, self._run = self._run, None
        if run is None:
            return []
        if len(run.texts) == 1:
            return [run.first]
        return [_framed(run, "".join(run.texts))]


def _framed(run: _Run, text: str) -> bytes:
    """Return the event of `run` with `text` as its text."""
    delta = run.frame["choices"][0]["delta"]
    delta[run.key] = text
    event = b"data: " + json.dumps(run.frame).encode()
    delta[run.key] = ""
    return event


def _same(run: _Run, piece: _Run) -> bool:
    return run.key == piece.key and run.frame == piece.frame


def _read_text(event: bytes) -> _Run | None:
    """Return `event` if it consists of a piece of text, else None."""
    payload = event.removeprefix(b"data:").strip()
    if not event.startswith(b"data:") or not payload.startswith(b"{") or b"\n" in payload or b"\r" in payload:
        return None
    try:
        chunk = read_json(payload)
    except ValueError:
        return None
    choices = chunk.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict) or chunk.get("usage"):
        return None
    choice = choices[0]
    delta = choice.get("delta")
    if not isinstance(delta, dict) or choice.get("finish_reason") or choice.get("logprobs"):
        return None
    keys = [key for key, value in delta.items() if key != "role" and value]
    if len(keys) != 1 or keys[0] not in _TEXTS or not isinstance(delta[keys[0]], str):
        return None
    text, delta[keys[0]] = delta[keys[0]], ""
    chunk.pop("obfuscation", None)  # random padding that differs in each chunk
    return _Run(chunk, keys[0], [text], event)
