"""JSON output: one object for each turn, or one line for each event."""

import json
from dataclasses import asdict
from typing import Any, TextIO

from chatcli import events
from chatcli.errors import ChatcliError, InterruptedTurnError
from chatcli.message import Cited, MessageShown
from chatcli.rendering.plain import ProgressLines, error_lines, notice_text
from chatcli.sanitize import sanitize
from chatcli.text import broken_for

_OPTIONAL = ("node", "draft", "response_schema")
"""The fields that a line has only where they say something."""
_FOUND = ("number", "path", "start_line", "end_line", "page", "score")
"""The fields of a passage that a line has."""


class _Streams:
    """Writes JSON in ASCII to `out`, and readable lines to `err`."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._err = err
        self._progress = ProgressLines()

    def close(self) -> None:
        """Do nothing: every object is flushed when it is written."""

    def _write(self, value: object) -> None:
        # In ASCII, control characters and lone surrogates are escaped.
        # The payload of a graph and the arguments of a tool may contain objects of any class, hence `default`.
        self._out.write(json.dumps(value, ensure_ascii=True, default=str) + "\n")
        self._out.flush()

    def _print(self, *lines: str) -> None:
        for line in lines:
            self._err.write(f"{broken_for(self._err, sanitize(line))}\n")
        self._err.flush()

    def _print_progress(self, event: events.Progress) -> None:
        line = self._progress.line(event)
        if line:
            self._print(line)


class JsonRenderer(_Streams):
    """Writes one object at the end of a turn. A failure is an object too, and its message is also written to `err`.

    A `Listing` is written as an array of objects, keyed by its columns in snake case.
    """

    def __init__(self, out: TextIO, err: TextIO, *, quiet: bool = False) -> None:
        super().__init__(out, err)
        self._quiet = quiet
        self._requests: list[dict[str, Any]] = []

    def render(self, event: events.Event) -> None:
        """Write the object that `event` completes, if it completes one; the caller handles a broken pipe."""
        match event:
            case events.ApprovalRequested():
                self._requests.append(_fields(event))
            case events.TurnFinished():
                self._write({**answer_fields(event), **({"approvals": self._requests} if self._requests else {})})
                self._requests = []
            case events.TurnInterrupted():
                self._fail(event, InterruptedTurnError("interrupted"), {"content": event.content})
            case events.TurnFailed():
                self._fail(event, event.error, {"content": event.content} if event.content else {})
            case events.Notice(passing=True) if not self._err.isatty():
                pass
            case events.Notice(level=level, urgent=False) if self._quiet and level != "error":
                pass
            case events.Notice():
                self._print(notice_text(event))
            case events.Progress():
                self._print_progress(event)
            case events.Listing():
                keys = ["_".join(column.lower().split()) for column in event.columns]
                self._write([dict(zip(keys, row, strict=True)) for row in event.rows])
            case _:
                pass  # the object of the turn contains everything

    def _fail(self, event: events.TerminalEvent, error: ChatcliError, content: dict[str, str]) -> None:
        self._write({"thread_id": event.thread_id, "error": _error(error), **content, **cited_fields(event.cited)})
        self._print(*error_lines(error))


class JsonLinesRenderer(_Streams):
    """Writes each event, with its `type`, as one line when it happens.

    `Progress` is written to `err` as readable lines, since the JSON format has no such type.
    """

    def render(self, event: events.Event) -> None:
        """Write `event` if the JSON format has its type; the caller handles a broken pipe."""
        if isinstance(event, events.JsonEvent):
            self._write({"type": event.type, **_fields(event)})
        elif isinstance(event, events.Progress):
            self._print_progress(event)
        if isinstance(event, events.Notice) and event.urgent:
            self._print(notice_text(event))
        if isinstance(event, events.TurnFailed):
            self._print(*error_lines(event.error))


def _fields(event: events.Event) -> dict[str, Any]:
    if isinstance(event, events.TurnFailed):
        error = _error(event.error)
        failed = {"thread_id": event.thread_id, "model": event.model, "content": event.content, "error": error}
        return {**failed, **cited_fields(event.cited)}
    if isinstance(event, events.TurnFinished | events.TurnInterrupted):
        fields = asdict(event)
        del fields["cited"]
        if fields.get("memory_used", ()) is None:
            del fields["memory_used"]
        return {**fields, **cited_fields(event.cited)}
    if isinstance(event, events.DocumentsFound):
        passages = [{key: value for key, value in each.items() if key in _FOUND} for each in event.passages]
        return {"query": event.query, "passages": passages}
    if isinstance(event, events.Notice):
        return {"text": event.text, "level": event.level}
    fields = asdict(event)
    fields.pop("among", None)  # the other requests follow
    return {key: value for key, value in fields.items() if key not in _OPTIONAL or value}


def answer_fields(event: events.TurnFinished) -> dict[str, Any]:
    """Return the answer that `event` brings as JSON."""
    own: dict[str, Any] = {} if event.langflow is None else {"langflow": asdict(event.langflow)}
    own |= {} if event.output is None else {"output": event.output}
    own |= cited_fields(event.cited)
    own |= {} if event.memory_used is None else {"memory_used": event.memory_used}
    return {
        "thread_id": event.thread_id,
        "checkpoint_id": event.checkpoint_id,
        "model": event.model,
        "role": "assistant",
        "content": event.content,
        "finish_reason": event.finish_reason,
        "interrupted": False,
        "usage": asdict(event.usage),
        "elapsed_ms": event.elapsed_ms,
        "messages_in_context": event.messages_in_context,
        "messages_in_thread": event.messages_in_thread,
        **own,
    }


def cited_fields(cited: Cited | None) -> dict[str, Any]:
    """Return the fields of JSON that say what an answer cites; none where no documents were used."""
    if cited is None:
        return {}
    return {"citations": list(map(asdict, cited.citations)), "unknown_citations": len(cited.made_up)}


def message_fields(message: MessageShown) -> dict[str, Any]:
    """Return a message of a thread as JSON."""
    shown = {"role": message.role, "content": message.text, "interrupted": message.interrupted}
    return {**shown, **cited_fields(message.cited)}


def _error(error: ChatcliError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "retryable": error.retryable}
