"""chatcli's own files: one JSON object for a thread, or JSON Lines: a line for the thread and one for each message."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chatcli.errors import UsageError
from chatcli.events import INTERRUPTED
from chatcli.message import human_role
from chatcli.roles import template_variables
from chatcli.transfer.document import ThreadDocument, check_id, check_storable, check_unique, refusal, refuse
from chatcli.transfer.foreign import parse_json

FORMAT = "chatcli-thread"
VERSION = 1

_KINDS: Mapping[str, type[BaseMessage]] = {
    "user": HumanMessage,
    "assistant": AIMessage,
    "system": SystemMessage,
    "tool": ToolMessage,
    "summary": HumanMessage,
    "notification": HumanMessage,
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Call(_Strict):
    name: str
    args: dict[str, Any]
    id: str | None
    type: Literal["tool_call"] = "tool_call"
    extras: dict[str, Any] | None = None


class _InvalidCall(_Strict):
    name: str | None
    args: str | None
    id: str | None
    error: str | None
    type: Literal["invalid_tool_call"] = "invalid_tool_call"
    extras: dict[str, Any] | None = None


class _Block(BaseModel):
    """A content block of any type, since providers add new ones; it must name its type."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: str
    extras: dict[str, Any] = {}


class _Message(_Strict):
    """A message: `role`, `content`, and the other fields that langchain stores."""

    type: Literal["message"] = "message"
    id: Annotated[str, Field(min_length=1)] | None = None
    role: Literal["user", "assistant", "system", "tool", "summary", "notification"]
    content: str | list[str | _Block]
    interrupted: bool = False
    name: str | None = None
    tool_calls: list[_Call] | None = None
    invalid_tool_calls: list[_InvalidCall] | None = None
    usage_metadata: dict[str, Any] | None = None
    tool_call_id: str | None = None
    status: str | None = None
    artifact: Any = None
    response_metadata: dict[str, Any] = {}
    additional_kwargs: dict[str, Any] = {}


class _Head(_Strict):
    """A thread without its messages. `turns` and the times are those of the original; an import sets its own."""

    type: Literal["thread"] = "thread"
    format: Literal["chatcli-thread"]
    version: int
    thread_id: str
    title: str = ""
    model: str = ""
    system: str | None = None
    role: str = ""
    template: str = ""
    variables: dict[str, str] = {}
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    summary: str = ""
    summarised: str = ""
    refused: list[str] = []
    remembered_model: str = ""
    turns: int = 0
    created_at: str = ""
    updated_at: str = ""


def as_json(document: ThreadDocument) -> Iterator[str]:
    """Yield the lines of `document` as one JSON object."""
    whole = {**_thread_as_json(document), "messages": [_message_as_json(message) for message in document.messages]}
    # ASCII only, so that no message can control the terminal on which this may be shown.
    yield json.dumps(whole, indent=2)


def as_jsonl(document: ThreadDocument) -> Iterator[str]:
    """Yield the lines of `document` as JSON Lines."""
    yield json.dumps({"type": "thread", **_thread_as_json(document)})
    for message in document.messages:
        yield json.dumps({"type": "message", **_message_as_json(message)})


def is_json(data: object) -> bool:
    """Return whether `data` is a thread in chatcli's JSON."""
    return isinstance(data, dict) and data.get("format") == FORMAT


def is_jsonl_head(data: object) -> bool:
    """Return whether `data` is the first line of chatcli's JSON Lines."""
    return is_json(data) and isinstance(data, dict) and data.get("type") == "thread"


def read_json(data: Mapping[str, Any], where: str = "") -> ThreadDocument:
    """Return the thread in `data`; raise UsageError if it is invalid."""
    head = dict(data)
    messages = head.pop("messages", None)
    if not isinstance(messages, list):
        raise refuse(f"{where}messages", "there is no list of messages")
    known: set[str] = set()
    read = [_read_message(f"{where}messages[{number}]", message, known) for number, message in enumerate(messages)]
    return _read_thread(where, head, read)


def read_jsonl(lines: Sequence[str]) -> list[ThreadDocument]:
    """Return the threads in `lines`, of which the first is a thread's; raise UsageError if one is invalid."""
    documents: list[ThreadDocument] = []
    known: set[str] = set()
    messages: list[BaseMessage] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"line {number}"
        data = parse_json(line, where)
        if is_jsonl_head(data):
            messages, known = [], set()
            documents.append(_read_thread(f"{where}: ", data, messages))
        else:
            messages.append(_read_message(where, data, known))
    return documents


def _thread_as_json(document: ThreadDocument) -> dict[str, Any]:
    header: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    for field in ("thread_id", "title", "model", "system"):
        header[field] = getattr(document, field)
    if document.role:
        header |= {"role": document.role, "template": document.template, "variables": dict(document.variables)}
    for field in ("temperature", "summary", "summarised", "remembered_model", "refused"):
        if (value := getattr(document, field)) not in (None, "", ()):
            header[field] = value
    for field in ("turns", "created_at", "updated_at"):
        header[field] = getattr(document, field)
    return header


def _message_as_json(message: BaseMessage) -> dict[str, Any]:
    """Return `message` as an object of JSON; refuse a type that the format does not know, as a user graph may have."""
    role = next((role for role, kind in _KINDS.items() if isinstance(message, kind)), None)
    if isinstance(message, HumanMessage):
        role = human_role(message.additional_kwargs)
    if role is None:
        raise UsageError(
            f"the thread holds a message of the type {message.type!r}, which can't be exported as JSON",
            remedy="Export it with --format md or html.",
        )
    data = message.model_dump(mode="json", fallback=repr, exclude_defaults=True, exclude={"type"})
    interrupted = message.response_metadata.get("finish_reason") == INTERRUPTED
    plain = {"id": message.id, "role": role, "content": data["content"], "interrupted": interrupted}
    # Without the extra fields of a user graph: langchain's messages take any field.
    plain |= {key: value for key, value in data.items() if key in _Message.model_fields}
    return plain


def _read_thread(where: str, data: Mapping[str, Any], messages: list[BaseMessage]) -> ThreadDocument:
    """Return the thread with the head `data` and these messages; errors put `where` before the name of a field."""
    version = data.get("version")
    if isinstance(version, int) and version > VERSION:
        raise refuse(f"{where}version", f"{version} was written by a newer chatcli; this one reads {VERSION}")
    check_storable(where.rstrip(".") or "the thread", dict(data))
    try:
        head = _Head.model_validate(data)
    except ValidationError as error:
        raise refusal(where, error) from None
    _check_role(where, head)
    fields = head.model_dump(exclude={"type", "format", "version", "turns", "created_at", "updated_at"})
    fields |= {"thread_id": check_id(f"{where}thread_id", head.thread_id), "refused": tuple(head.refused)}
    return ThreadDocument(**fields, messages=messages)


def _check_role(where: str, head: _Head) -> None:
    if bool(head.role) != bool(head.template):
        raise refuse(f"{where}template", "a role needs both a name and a template")
    try:
        names = template_variables(head.template)
    except ValueError as error:
        raise refuse(f"{where}template", str(error)) from None
    if set(names) != set(head.variables):
        raise refuse(f"{where}variables", f"the template has these variables: {', '.join(names) or 'none'}")


def _read_message(where: str, data: object, known_ids: set[str]) -> BaseMessage:
    """Return the message in `data`, and add its ID to `known_ids`."""
    check_storable(where, data)
    try:
        wire = _Message.model_validate(data)
        fields = wire.model_dump(exclude_unset=True, exclude={"type", "role", "interrupted"})
        metadata = dict(wire.response_metadata)
        if wire.interrupted:
            metadata["finish_reason"] = INTERRUPTED
        fields |= {"id": wire.id or str(uuid4()), "response_metadata": metadata}
        message = _KINDS[wire.role].model_validate(fields)
    except ValidationError as error:
        raise refusal(f"{where}.", error) from None
    except KeyError as error:  # raised by a validator of langchain; pydantic does not catch it
        raise refuse(f"{where}.{error.args[0]}", "field required") from None
    except (TypeError, AttributeError) as error:
        raise refuse(where, f"is not a message: {error}") from None
    assert message.id is not None
    check_unique(f"{where}.id", message.id, known_ids)
    return message
