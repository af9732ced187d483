"""Tool calls and requests for approval as lines of text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from chatcli.events import ApprovalRequested, ToolCallFinished, ToolCallStarted
from chatcli.message import call_text, is_review, result_text, reviewed_actions
from chatcli.sanitize import sanitize, sanitize_line

_EVERY_DECISION = ("approve", "edit", "reject")
_FORMS = {"edit": "edit {new arguments as JSON}", "reject": "reject [reason]", "respond": "respond TEXT"}


@dataclass
class OpenCalls:
    """The tool calls of a turn that are running, each with the line that shows it."""

    _calls: dict[str, str] = field(default_factory=dict)

    def start(self, event: ToolCallStarted) -> None:
        """Remember a call that has begun."""
        self._calls[event.call_id] = sanitize_line(call_text(event.name, event.arguments))

    def finish(self, event: ToolCallFinished) -> str:
        """Remove a call that has ended, and return its line with the result."""
        call = self._calls.pop(event.call_id, sanitize_line(event.name))
        return f"{call} {sanitize_line(result_text(event.content, failed=event.status == 'error'))}"

    @property
    def lines(self) -> list[str]:
        """The line of each running call."""
        return list(self._calls.values())

    def clear(self) -> list[str]:
        """Remove all running calls, and return their lines."""
        lines = self.lines
        self._calls.clear()
        return lines


def request_lines(request: ApprovalRequested) -> list[str]:
    """Return the request of a graph and how to answer it, with its ID if the graph waits for several answers."""
    lines = [f"Interrupt {sanitize_line(request.interrupt_id)}:"] if request.among > 1 else []
    if not is_review(request.payload):
        schema = request.response_schema or {}
        kind = f" ({schema['type']})" if isinstance(schema.get("type"), str) else ""
        return [*lines, *payload_lines(request.payload), f"Type the answer{kind}: text, or a JSON object or list."]
    problem = request.payload.get("problem")  # our own graph: why the last answer was not a decision
    lines += [f"error: {sanitize_line(str(problem))}"] if problem else []
    actions = reviewed_actions(request.payload)
    for action in actions:
        # Not shortened: the user must see all of what they approve.
        lines.append(sanitize_line(call_text(str(action.get("name", "")), action.get("args") or {}, whole=True)))
        if description := str(action.get("description") or ""):
            lines += [f"  {line}" for line in sanitize(description).splitlines() if line.strip()]
    allowed = [kind for kind in _EVERY_DECISION if all(kind in (a.get("allowed") or _EVERY_DECISION) for a in actions)]
    allowed += ["respond"] if all("respond" in (a.get("allowed") or ()) for a in actions) else []
    forms = [_FORMS.get(kind, kind) for kind in allowed]
    for scope in (actions[0].get("scopes") or ()) if actions else ():
        forms.insert(1, f"approve {sanitize_line(str(scope))}")
    rules = dict.fromkeys(sanitize_line(str(action["rule"])) for action in actions if action.get("rule"))
    if rules and len(forms) > len(allowed):
        lines.append(f"approve thread or always: every call like {', '.join(rules)}")
    return [*lines, f"Answer: {', '.join(forms)}."]


def payload_lines(payload: object) -> list[str]:
    """Return any payload as lines: each field of an object on its own line, lists and nested values as JSON."""
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
