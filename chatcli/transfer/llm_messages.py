"""Messages of llm's log, from either of its two schemas, as langchain's messages."""

import base64
import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import quoteattr

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolCall, ToolMessage

from chatcli.attachments.attachment import image_type
from chatcli.attachments.content import MAX_IMAGE_BYTES
from chatcli.transfer.document import ThreadDocument, check_unique
from chatcli.transfer.foreign import fenced, joined, quoted

Block = str | dict[str, Any]


@dataclass(frozen=True, slots=True)
class Attachments:
    """The attachments of a log by ID. Files that it only names are not read: it may come from elsewhere."""

    rows: Mapping[str, Mapping[str, Any]]

    def labelled(self, name: object) -> tuple[str, dict[str, Any] | None]:
        """Return what stands for an attachment in the text, and its image, if it is one that is in the log."""
        row = self.rows.get(name) if isinstance(name, str) else None
        if row is None:
            return "<file/>", None
        shown = quoteattr(row["path"] or row["url"] or str(row["id"])[:12])
        kind = f" type={quoteattr(row['type'])}" if row["type"] else ""
        data = row["content"] or b""
        media_type = image_type(data)
        if media_type is None or len(data) > MAX_IMAGE_BYTES:
            return f"<file name={shown}{kind}/>", None
        image = {"type": "image", "base64": base64.b64encode(data).decode("ascii"), "mime_type": media_type}
        return f"<file name={shown}{kind}/>", image


@dataclass(slots=True)
class Builder:
    """Makes the messages of a thread.

    Attributes:
        messages: Those so far.
        said: The role and the text of each question and answer that has a text; both schemas agree on these.

    """

    attachments: Attachments
    messages: list[BaseMessage] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)
    _system: str = ""
    _left_out: list[str] = field(default_factory=list)
    _ids: set[str] = field(default_factory=set)
    _open: set[str] = field(default_factory=set)
    """The IDs of the calls that have no result yet."""
    _nameless: dict[str, deque[str]] = field(default_factory=dict)
    """Those of them that have no ID in the log, by the names of their tools, the oldest first."""

    def document(self, thread_id: str, title: str, model: str) -> ThreadDocument:
        """Return the thread; the model stays the name that it has in llm, whose provider is not known."""
        return ThreadDocument(
            thread_id, title, model, self._system or None, self.messages, left_out=tuple(self._left_out)
        )

    def note_settings(self, calls: Iterable[Mapping[str, Any]]) -> None:
        """Note what was set for the calls of the model and does not come over."""
        for call in calls:
            self._left_out += ["schema"] if call["schema_id"] else []
            self._left_out += ["options of a request"] if call["options_json"] not in (None, "", "{}", "null") else []

    def add_system(self, text: str) -> None:
        """Take the first system prompt for the thread's."""
        if not self._system:
            self._system = text
        elif text and text != self._system:
            self._left_out.append("later system prompt")

    def add_question(self, message_id: str, text: str, files: Sequence[object]) -> None:
        """Add a question with its attachments."""
        content = self._with_files(text, files)
        if content:
            self._say("user", text)
            self.messages.append(HumanMessage(content, id=self._id(message_id)))

    def add_answer(self, message_id: str, text: str, reasoning: str, calls: Sequence[Mapping[str, Any]] = ()) -> None:
        """Add an answer, with what the model thought before it and the tools that it calls."""
        made = [self._call(message_id, number, call) for number, call in enumerate(calls)]
        shown = joined(quoted("Thoughts", reasoning), text)
        if shown or made:
            self._say("assistant", text)
            self.messages.append(AIMessage(shown, id=self._id(message_id), tool_calls=made))

    def add_result(self, message_id: str, result: Mapping[str, Any], files: Sequence[object]) -> None:
        """Add what a tool gave; without its call it is no result for a provider, and becomes a text."""
        output, exception = _text(result.get("output")), _text(result.get("exception"))
        content = self._with_files(joined(output, exception), files)
        call_id = self._answered(result)
        name = _text(result.get("name")) or "tool"
        if call_id is None:
            shown = content if isinstance(content, str) else joined(output, exception)
            self.add_answer(message_id, joined(f"Output of `{name}`:", fenced(shown)), "")
            return
        status = "error" if exception else "success"
        self.messages.append(
            ToolMessage(content, tool_call_id=call_id, name=name, status=status, id=self._id(message_id))
        )

    def add_message(self, message_id: str, role: str, parts: Sequence[Mapping[str, Any]]) -> None:
        """Add a message of llm's since 0.32, which is made of parts."""
        files = [_attachment(part.get("attachment")) for part in parts if part["type"] == "attachment"]
        texts = joined(*(_text(part.get("text")) for part in parts if part["type"] == "text"))
        if role == "system":
            self.add_system(texts)
        elif role == "user":
            self.add_question(message_id, texts, files)
        else:
            self._add_rest(message_id, texts, parts, files)

    def _add_rest(
        self, message_id: str, texts: str, parts: Sequence[Mapping[str, Any]], files: Sequence[object]
    ) -> None:
        """Add the parts of an answer, or of the results of tools."""
        reasoning = joined(*(_text(part.get("text")) for part in parts if part["type"] == "reasoning"))
        calls: list[Mapping[str, Any]] = []
        beside: list[str] = []
        for number, part in enumerate(parts):
            own = not part.get("server_executed")
            if part["type"] == "tool_call" and own:
                calls.append(part)
            elif part["type"] == "tool_call":
                beside += [f"Tool: `{_text(part.get('name')) or 'tool'}`", _arguments(part.get("arguments"))]
            elif part["type"] == "tool_result" and own:
                given = part.get("attachments")
                found = [_attachment(file) for file in given] if isinstance(given, list) else []
                self.add_result(f"{message_id}-{number}", part, found)
            elif part["type"] == "tool_result":
                beside += ["Output:", fenced(_text(part.get("output")))]
            elif part["type"] not in ("text", "reasoning", "attachment"):
                self._left_out.append(f"{str(part['type'])[:40]} part")
        labels = [self._label(file) for file in files]
        self.add_answer(message_id, joined(*beside, texts, *labels), reasoning, calls)

    def _label(self, file: object) -> str:
        label, _ = self.attachments.labelled(file)
        self._left_out.append("attachment")
        return label

    def _with_files(self, text: str, files: Sequence[object]) -> str | list[Block]:
        """Return the content that holds `text` and `files`: the images of the log, of other files the names."""
        blocks: list[Block] = []
        for file in files:
            label, image = self.attachments.labelled(file)
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
            self._nameless.setdefault(name, deque()).append(call_id)
        self._open.add(call_id)
        args = arguments if isinstance(arguments, dict) else {"arguments": arguments}
        return ToolCall(name=name, args=args, id=call_id, type="tool_call")

    def _answered(self, result: Mapping[str, Any]) -> str | None:
        """Return the ID of the call that `result` answers: the one that it names, else the oldest of the same tool."""
        call_id = _text(result.get("tool_call_id"))
        if not call_id and (waiting := self._nameless.get(_text(result.get("name")))):
            call_id = waiting.popleft()
        if call_id not in self._open:
            return None
        self._open.remove(call_id)
        return call_id

    def _say(self, who: str, text: str) -> None:
        if text:
            self.said.append((who, text))

    def _id(self, name: str) -> str:
        check_unique("messages", name, self._ids)
        return name


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _attachment(value: object) -> object:
    return value.get("id") if isinstance(value, dict) else None


def _arguments(value: object) -> str:
    return fenced(json.dumps(value, ensure_ascii=False, indent=2), "json") if value else ""
