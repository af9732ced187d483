"""Events and stored messages as the updates that an editor shows."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatcli import events
from chatcli.documents.find import absolute_path
from chatcli.fences import unmarked
from chatcli.message import Cited, MessageShown, call_text, human_role
from chatcli.rendering import display
from chatcli.rendering.plain import ProgressLines
from chatcli.sanitize import reveal, reveal_lines
from chatcli.serve.acp.client import Fields

MESSAGE, THOUGHT, QUESTION = "agent_message_chunk", "agent_thought_chunk", "user_message_chunk"
_KINDS = {
    "read": ("read", "cat", "open", "view", "list", "ls", "load", "show"),
    "edit": ("write", "edit", "replace", "patch", "insert", "create", "apply", "update"),
    "delete": ("delete", "remove", "rm", "unlink"),
    "move": ("move", "rename", "mv"),
    "search": ("search", "find", "grep", "glob", "query", "lookup"),
    "execute": ("run", "execute", "exec", "shell", "bash", "command", "python", "terminal"),
    "think": ("think", "plan", "todos", "reflect"),
    "fetch": ("fetch", "download", "browse", "http", "url", "crawl"),
}
"""The words in a tool's name that say what kind of tool it is; the first one in the name counts."""
_PATHS = ("path", "file_path", "filepath", "filename", "file", "absolute_path", "notebook_path")
_LINES = ("first_line", "line", "start_line", "offset")
_OLD, _NEW = ("old_text", "old_string", "old_str"), ("new_text", "new_string", "new_str")
_STATUSES = ("pending", "in_progress", "completed")


def text_chunk(text: str, kind: str = MESSAGE) -> Fields:
    """Return a piece of a message, of the agent's thoughts, or of a question."""
    return {"sessionUpdate": kind, "content": {"type": "text", "text": text}}


def status_update(call_id: str, status: str) -> Fields:
    """Return the update of the status of the call shown as `call_id`."""
    return {"sessionUpdate": "tool_call_update", "toolCallId": call_id, "status": status}


def kind_of(name: str) -> str:
    """Return the protocol's kind of the tool `name`."""
    for word in name.replace("-", "_").lower().split("_"):
        for kind, words in _KINDS.items():
            if word in words:
                return kind
    return "other"


def title_of(name: str, arguments: Mapping[str, Any]) -> str:
    """Return a call in one line; of a command, the command."""
    command = arguments.get("command")
    if kind_of(name) == "execute" and isinstance(command, str) and set(arguments) == {"command"}:
        return "\n".join(reveal_lines(command))
    return reveal(call_text(name, arguments))


def locations_of(arguments: Mapping[str, Any], root: Path) -> list[Fields]:
    """Return the file that a call is about, so that the editor can follow."""
    for key in _PATHS:
        path = arguments.get(key)
        if isinstance(path, str) and path and "\n" not in path and "://" not in path:
            line = next((arguments[key] for key in _LINES if type(arguments.get(key)) is int), None)
            location: Fields = {"path": os.path.normpath(root / path)}
            return [{**location, "line": line} if line is not None and line > 0 else location]
    return []


def diff_of(name: str, arguments: Mapping[str, Any], root: Path) -> list[Fields]:
    """Return the change that a call of a graph's tool names in its arguments, as far as they say it."""
    locations = locations_of(arguments, root)
    if not locations or kind_of(name) != "edit":
        return []
    old = next((arguments[key] for key in _OLD if isinstance(arguments.get(key), str)), None)
    new = next((arguments[key] for key in (*_NEW, "content") if isinstance(arguments.get(key), str)), None)
    return [] if new is None else [diff(locations[0]["path"], old, new)]


def diff(path: str, old: str | None, new: str) -> Fields:
    """Return the content that shows a change of a file; None for a file that is new."""
    return {"type": "diff", "path": path, **({} if old is None else {"oldText": old}), "newText": new}


def shown_text(text: str) -> Fields:
    """Return `text` as the content of a tool call."""
    return {"type": "content", "content": {"type": "text", "text": text}}


def plan_of(todos: Sequence[Mapping[str, Any]]) -> Fields:
    """Return a list of what is to be done as a plan."""
    entries = [
        {
            "content": str(each["content"]),
            "priority": each.get("priority") if each.get("priority") in ("high", "medium", "low") else "medium",
            "status": each.get("status") if each.get("status") in _STATUSES else "pending",
        }
        for each in todos
    ]
    return {"sessionUpdate": "plan", "entries": entries}


def listing_text(listing: events.Listing) -> str:
    """Return a table in Markdown."""

    def row(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in cells)} |"

    head = [row(listing.columns), row(["---"] * len(listing.columns))]
    title = [f"**{listing.title}**", ""] if listing.title else []
    return "\n".join([*title, *head, *map(row, listing.rows)])


@dataclass
class OpenCall:
    """A tool call that has begun."""

    call_id: str
    name: str
    arguments: Mapping[str, Any]
    has_diff: bool = False
    asked: bool = False


@dataclass
class Updates:
    """Turns the events of a session into updates; `root` is its folder."""

    root: Path
    calls: dict[str, OpenCall] = field(default_factory=dict)
    """The tool calls that have begun, and are not over."""
    hidden: set[str] = field(default_factory=set)
    """The calls that are shown as a plan."""
    shown_ids: set[str] = field(default_factory=set)
    """All IDs under which calls were shown."""
    shown: dict[str, str] = field(default_factory=dict)
    """The ID under which each call was shown last, by its own: one that is shown again has another then."""
    _progress: ProgressLines = field(default_factory=ProgressLines)
    _searches: int = 0
    _node: str = ""
    _spoke: bool = False

    def of(self, event: events.Event) -> Iterator[Fields]:
        """Yield the updates for `event`; nothing for what an editor has no place for."""
        match event:
            case events.TurnStarted():
                self._node, self._spoke = "", False
            case events.TextDelta():
                between = "\n\n" if self._spoke and event.node != self._node else ""
                self._node, self._spoke = event.node, True
                yield text_chunk(between + event.text)
            case events.ReasoningDelta():
                yield text_chunk(event.text, THOUGHT)
            case events.ToolCallStarted():
                yield self.start(event.call_id, event.name, event.arguments)
            case events.ToolCallFinished():
                yield from self._finish(event)
            case events.TodosChanged():
                yield plan_of(event.todos)
            case events.DocumentsFound():
                yield self._search(event)
            case events.TurnFinished() | events.TurnInterrupted():
                yield from _sources(event.cited)
            case _:
                yield from self._aside(event)

    def start(self, call_id: str, name: str, arguments: Mapping[str, Any], content: Sequence[Fields] = ()) -> Fields:
        """Return the update that shows a new call, which does not run yet."""
        content = [*(content or diff_of(name, arguments, self.root))]
        shown = f"{call_id}-{len(self.shown_ids)}" if call_id in self.shown_ids else call_id
        self.shown_ids.add(shown)
        self.shown[call_id] = shown
        self.calls[shown] = OpenCall(shown, name, arguments, has_diff=bool(content))
        return {"sessionUpdate": "tool_call", **self.call(self.calls[shown], content), "status": "pending"}

    def call(self, call: OpenCall, content: Sequence[Fields] = ()) -> Fields:
        """Return the fields that describe `call`."""
        return {
            "toolCallId": call.call_id,
            "title": title_of(call.name, call.arguments),
            "kind": kind_of(call.name),
            "rawInput": dict(call.arguments),
            "locations": locations_of(call.arguments, self.root),
            **({"content": list(content)} if content else {}),
        }

    def end_calls(self) -> Iterator[Fields]:
        """Yield the end of the calls that were cut short."""
        for call_id in list(self.calls):
            yield status_update(call_id, "failed")
        self.calls.clear()

    def waiting(self, call_id: str, name: str, arguments: Mapping[str, Any]) -> OpenCall | None:
        """Return the open call `call_id` that nobody was asked about yet; where none is known, one of equal content."""
        if call_id in self.shown:
            call = self.calls.get(self.shown.get(call_id, ""))
            return None if call is None or call.asked else call
        for call in self.calls.values():
            if not call.asked and call.name == name and dict(call.arguments) == dict(arguments):
                return call
        return None

    def _finish(self, event: events.ToolCallFinished) -> Iterator[Fields]:
        if event.call_id in self.hidden:
            return
        # One that began in an earlier prompt was shown again when it was asked about.
        asked = (call for call in self.calls.values() if call.asked and call.name == event.name)
        call = self.calls.get(self.shown.get(event.call_id, "")) or next(asked, None)
        if call is None:
            yield self.start(event.call_id, event.name, {})
            call = self.calls[self.shown[event.call_id]]
        del self.calls[call.call_id]
        failed = event.status == "error"
        update = status_update(call.call_id, "failed" if failed else "completed")
        update["rawOutput"] = {"content": event.content}
        if failed or not call.has_diff:
            update["content"] = [shown_text(event.content)]
        yield update

    def _search(self, event: events.DocumentsFound) -> Fields:
        self._searches += 1
        locations = []
        for each in event.passages:
            location: Fields = {"path": absolute_path(each["path"])}
            locations.append(location if each["start_line"] is None else {**location, "line": each["start_line"]})
        return {
            "sessionUpdate": "tool_call",
            "toolCallId": f"documents-{id(self):x}-{self._searches}",
            "title": f"{len(event.passages)} passages of documents for: {event.query}",
            "kind": "search",
            "status": "completed",
            "locations": locations,
        }

    def _aside(self, event: events.Event) -> Iterator[Fields]:
        match event:
            case events.Notice():
                mark = "" if event.level == "info" else f"{event.level}: "
                yield text_chunk(f"{mark}{event.text}\n", THOUGHT)
            case events.Progress():
                if line := self._progress.line(event):
                    yield text_chunk(f"{line}\n", THOUGHT)
            case events.Listing():
                yield text_chunk(f"{listing_text(event)}\n")
            case MessageShown():
                yield text_chunk(f"{event.text}\n")
            case display.LinesShown():
                shown = "\n".join(line for line, _ in event.lines)
                yield text_chunk(f"```diff\n{shown}\n```\n")
            case display.ThreadChanged():
                yield text_chunk("The thread is now at another turn; the messages above stay shown.\n")


def _sources(cited: Cited | None) -> Iterator[Fields]:
    lines = [line for line, _ in cited.lines()] if cited is not None else []
    if lines:
        yield text_chunk("\n\n" + "  \n".join(lines))


def history(messages: Sequence[Any], updates: Updates) -> Iterator[Fields]:
    """Yield the updates that show langchain's `messages` again: questions, reasoning, answers, calls and results."""
    for message in messages:
        if message.type == "human":
            if human_role(message.additional_kwargs) == "user":
                yield from _question(message)
        elif message.type == "ai":
            for block in message.content_blocks:
                if block["type"] == "reasoning" and block.get("reasoning"):
                    yield text_chunk(block["reasoning"], THOUGHT)
            if message.text:
                yield text_chunk(str(message.text))
            for call in message.tool_calls:
                yield updates.start(str(call["id"]), call["name"], call["args"])
        elif message.type == "tool":
            event = events.ToolCallFinished(message.tool_call_id, message.name or "", str(message.text), message.status)
            yield from updates.of(event)


def _question(message: Any) -> Iterator[Fields]:
    for block in message.content_blocks:
        if block["type"] == "text" and block.get("text"):
            yield text_chunk(unmarked(block["text"]), QUESTION)
        elif block["type"] == "image" and block.get("base64"):
            image = {"type": "image", "data": block["base64"], "mimeType": block.get("mime_type") or "image/png"}
            yield {"sessionUpdate": QUESTION, "content": image}
