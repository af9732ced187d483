"""Tool calls and requests for approval as lines of text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chatcli.events import ApprovalRequested, ToolCallFinished, ToolCallStarted, is_review, reviewed_actions
from chatcli.rendering.sanitize import sanitize, sanitize_line

MAX_ARGUMENTS = 100
"""Characters of a call's arguments that its line shows."""
MAX_RESULT = 100
"""Characters of its result."""
_EVERY_DECISION = ("approve", "edit", "reject")
_FORMS = {"edit": "edit {new arguments as JSON}", "reject": "reject [reason]", "respond": "respond TEXT"}


@dataclass
class OpenCalls:
    """The calls of a turn that have begun and not ended, and the line that each is shown as."""

    _calls: dict[str, str] = field(default_factory=dict)

    def start(self, event: ToolCallStarted) -> None:
        """Note that a call has begun."""
        self._calls[event.call_id] = call_text(event.name, event.arguments)

    def finish(self, event: ToolCallFinished) -> str:
        """Return the line of a call that has ended."""
        call = self._calls.pop(event.call_id, sanitize_line(event.name))
        mark = "→" if event.status == "success" else "✗"
        return f"{call} {mark} {result_text(event.content)}"

    @property
    def lines(self) -> list[str]:
        """The line of each call that is still open."""
        return list(self._calls.values())

    def clear(self) -> list[str]:
        """Forget the open calls; return their lines."""
        lines = self.lines
        self._calls.clear()
        return lines


def call_text(name: str, arguments: Mapping[str, Any], *, whole: bool = False) -> str:
    """Return a call as one line: `search(query="cats", limit=3)`; long arguments are cut unless it is to be `whole`."""
    given = sanitize_line(", ".join(f"{key}={_value(value)}" for key, value in arguments.items()))
    return f"{sanitize_line(name)}({given if whole else _cut(given, MAX_ARGUMENTS)})"


def result_text(content: str) -> str:
    """Return a call's result as one line: its beginning, and how long it is where that is cut."""
    text = sanitize_line(" ".join(content.split())) or "(nothing)"
    return text if len(text) <= MAX_RESULT else f"{text[:MAX_RESULT]}… ({len(content)} characters)"


def request_lines(request: ApprovalRequested) -> list[str]:
    """Return what a graph asks, readably, and how to answer."""
    if not is_review(request.payload):
        schema = request.response_schema or {}
        kind = f" ({schema['type']})" if isinstance(schema.get("type"), str) else ""
        return [*payload_lines(request.payload), f"Type the answer{kind}: text, or a JSON object or list."]
    lines: list[str] = []
    actions = reviewed_actions(request.payload)
    for action in actions:
        # Whole: what is approved unseen might be anything.
        lines.append(call_text(str(action.get("name", "")), action.get("args") or {}, whole=True))
        if description := str(action.get("description") or ""):
            lines += [f"  {line}" for line in sanitize(description).splitlines() if line.strip()]
    allowed = [kind for kind in _EVERY_DECISION if all(kind in (a.get("allowed") or _EVERY_DECISION) for a in actions)]
    allowed += ["respond"] if all("respond" in (a.get("allowed") or ()) for a in actions) else []
    scopes = list(actions[0].get("scopes") or ()) if actions else []
    forms = [_FORMS.get(kind, kind) for kind in allowed]
    forms[:1] = [" or ".join([forms[0], *(f"approve {scope}" for scope in scopes)])] if forms else []
    return [*lines, f"Answer: {', '.join(forms)}."]


def payload_lines(payload: object) -> list[str]:
    """Return a payload of any kind as lines: an object's fields one a line, lists and what is nested as JSON."""
    if isinstance(payload, str):
        return sanitize(payload).splitlines() or [""]
    if isinstance(payload, Mapping):
        lines = []
        for key, value in payload.items():
            shown = sanitize(value) if isinstance(value, str) else _json(value)
            lines += f"{sanitize_line(str(key))}: {shown}".splitlines()
        return lines
    return _json(payload).splitlines()


def _json(value: object) -> str:
    return sanitize(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}…"
