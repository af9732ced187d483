"""Turns the messages of llm's log, in either of its two schemas, into langchain's messages."""

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import quoteattr

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolCall, ToolMessage

from chatcli.attachments.attachment import image_type
from chatcli.attachments.content import MAX_IMAGE_BYTES, image_block
from chatcli.transfer.document import ThreadDocument, check_unique
from chatcli.transfer.foreign import fenced, joined, quoted

Block = str | dict[str, Any]
Row = Mapping[str, Any]
Rows = Mapping[str, Row]


@dataclass(slots=True)
class Builder:
    """Builds a thread's messages one by one; `texts` has those with a text, which are the same in both schemas."""

    attachments: Rows
    """The attachments of the log, by ID."""
    messages: list[BaseMessage] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    _system: str = ""
    _left_out: list[str] = field(default_factory=list)
    _ids: set[str] = field(default_factory=set)
    _open: set[str] = field(default_factory=set)
    """The IDs of the tool calls that have no result yet."""
    _without_id: dict[str, deque[str]] = field(default_factory=dict)
    """The IDs that we gave to calls without one, by the name of the tool, the oldest first."""

    def document(self, thread_id: str, title: str, model: str) -> ThreadDocument:
        """Return the thread. `model` stays as llm names it, since its provider is not known."""
        left_out = tuple(self._left_out)
        return ThreadDocument(thread_id, title, model, self._system or None, self.messages, left_out=left_out)

    def note_settings(self, calls: Iterable[Mapping[str, Any]]) -> None:
        """Report the settings of the model's calls, which are not imported."""
        for call in calls:
            self._left_out += ["schema"] if call["schema_id"] else []
            self._left_out += ["options of a request"] if call["options_json"] not in (None, "", "{}", "null") else []

    def add_system(self, text: str) -> None:
        """Use the first system prompt for the thread; report later ones as left out."""
        if not self._system:
            self._system = text
        elif text and text != self._system:
            self._left_out.append("later system prompt")

    def add_question(self, message_id: str, text: str, files: Sequence[object]) -> None:
        """Add a question with its attachments."""
        content = self._with_files(text, files)
        if content:
            self._note_text("user", text)
            self.messages.append(HumanMessage(content, id=self._id(message_id)))

    def add_answer(self, message_id: str, text: str, reasoning: str, calls: Sequence[Mapping[str, Any]] = ()) -> None:
        """Add an answer, with the thoughts before it and the tool calls in it."""
        tool_calls = [self._call(message_id, number, call) for number, call in enumerate(calls)]
        shown = joined(quoted("Thoughts", reasoning), text)
        if shown or tool_calls:
            self._note_text("assistant", text)
            self.messages.append(AIMessage(shown, id=self._id(message_id), tool_calls=tool_calls))

    def add_result(self, message_id: str, result: Mapping[str, Any], files: Sequence[object]) -> None:
        """Add the result of a tool; without its call it becomes a text, since providers refuse such a result."""
        output, exception = _text(result.get("output")), _text(result.get("exception"))
        content = self._with_files(joined(output, exception), files)
        call_id = self._close_call(result)
        name = _text(result.get("name")) or "tool"
        if call_id is None:
            shown = content if isinstance(content, str) else joined(output, exception)
            self.add_answer(message_id, joined(f"Output of `{name}`:", fenced(shown)), "")
            return
        status, own_id = "error" if exception else "success", self._id(message_id)
        self.messages.append(ToolMessage(content, tool_call_id=call_id, name=name, status=status, id=own_id))

    def add_message(self, message_id: str, role: str, parts: Sequence[Mapping[str, Any]]) -> None:
        """Add a message of llm since 0.32, which consists of parts."""
        files = [_attachment_id(part.get("attachment")) for part in parts if part["type"] == "attachment"]
        texts = joined(*(_text(part.get("text")) for part in parts if part["type"] == "text"))
        if role == "system":
            self.add_system(texts)
        elif role == "user":
            self.add_question(message_id, texts, files)
        else:
            self._add_answer_parts(message_id, texts, parts, files)

    def _add_answer_parts(
        self, message_id: str, texts: str, parts: Sequence[Mapping[str, Any]], files: Sequence[object]
    ) -> None:
        # Tool calls that the provider's server ran itself become text: only our own calls can have results.
        reasoning = joined(*(_text(part.get("text")) for part in parts if part["type"] == "reasoning"))
        calls: list[Mapping[str, Any]] = []
        server_calls: list[str] = []
        for number, part in enumerate(parts):
            is_client_call = not part.get("server_executed")
            if part["type"] == "tool_call" and is_client_call:
                calls.append(part)
            elif part["type"] == "tool_call":
                server_calls += [f"Tool: `{_text(part.get('name')) or 'tool'}`", _arguments(part.get("arguments"))]
            elif part["type"] == "tool_result" and is_client_call:
                attachments = part.get("attachments")
                found = [_attachment_id(file) for file in attachments] if isinstance(attachments, list) else []
                self.add_result(f"{message_id}-{number}", part, found)
            elif part["type"] == "tool_result":
                server_calls += ["Output:", fenced(_text(part.get("output")))]
            elif part["type"] not in ("text", "reasoning", "attachment"):
                self._left_out.append(f"{str(part['type'])[:40]} part")
        labels = [self._labelled(file)[0] for file in files]
        self._left_out += ["attachment"] * len(files)
        self.add_answer(message_id, joined(*server_calls, texts, *labels), reasoning, calls)

    def _labelled(self, attachment_id: object) -> tuple[str, dict[str, object] | None]:
        """Return the label that stands for an attachment in the text, and its image if the log has one."""
        # Files that the log only names are not read, since the log may be untrusted.
        row = self.attachments.get(attachment_id) if isinstance(attachment_id, str) else None
        if row is None:
            return "<file/>", None
        name = quoteattr(row["path"] or row["url"] or str(row["id"])[:12])
        kind = f" type={quoteattr(row['type'])}" if row["type"] else ""
        data = row["content"] or b""
        media_type = image_type(data)
        if media_type is None or len(data) > MAX_IMAGE_BYTES:
            return f"<file name={name}{kind}/>", None
        return f"<file name={name}{kind}/>", image_block(data, media_type)

    def _with_files(self, text: str, files: Sequence[object]) -> str | list[Block]:
        """Return the content with `text` and `files`: images that are in the log, and the names of other files."""
        blocks: list[Block] = []
        for file in files:
            label, image = self._labelled(file)
            text = joined(text, label)
            if image is None:
                self._left_out.append("attachment")
            else:
                blocks += [{"type": "text", "text": text}, image]
                text = ""
        if not blocks:
            return text
        return [*blocks, {"type": "text", "text": text}] if text else blocks

    def _call(self, message_id: str, number: int, call: Mapping[str, Any]) -> ToolCall:
        name, arguments = _text(call.get("name")) or "tool", call.get("arguments")
        call_id = _text(call.get("tool_call_id"))
        if not call_id:
            call_id = f"{message_id}-{number}"
            self._without_id.setdefault(name, deque()).append(call_id)
        self._open.add(call_id)
        args = arguments if isinstance(arguments, dict) else {"arguments": arguments}
        return ToolCall(name=name, args=args, id=call_id, type="tool_call")

    def _close_call(self, result: Mapping[str, Any]) -> str | None:
        """Return the ID of the call that `result` belongs to, and no longer count it as open; None if there is none."""
        # A result without an ID belongs to the oldest open call of the same tool.
        call_id = _text(result.get("tool_call_id"))
        if not call_id and (waiting := self._without_id.get(_text(result.get("name")))):
            call_id = waiting.popleft()
        if call_id not in self._open:
            return None
        self._open.remove(call_id)
        return call_id

    def _note_text(self, role: str, text: str) -> None:
        if text:
            self.texts.append((role, text))

    def _id(self, message_id: str) -> str:
        check_unique("messages", message_id, self._ids)
        return message_id


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _attachment_id(value: object) -> object:
    return value.get("id") if isinstance(value, dict) else None


def _arguments(value: object) -> str:
    return fenced(json.dumps(value, ensure_ascii=False, indent=2), "json") if value else ""
