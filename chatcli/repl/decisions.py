"""Let the user answer a request: by one key for each tool call that it reviews, or field by field in a form."""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from chatcli.errors import UsageError
from chatcli.events import ApprovalRequested, Event, Notice
from chatcli.message import SCOPE_KEYS, decision_keys, is_review, reviewed_actions
from chatcli.rendering.display import LinesShown
from chatcli.rendering.plain import answer_forms, decision_lines, keys_line
from chatcli.sanitize import reveal
from chatcli.sessions.interrupt_answers import decide, read_answer
from chatcli.tools.forms import FormField, read_form

DECIDED = {"y": "approved", "n": "refused", **{key: f"approved, {scope}" for key, scope in SCOPE_KEYS.items()}}
_QUESTIONS = {
    "run_shell": "Run it?",
    "write_file": "Write the file?",
    "edit_file": "Change the file?",
    "read_file": "Read the file?",
    "fetch_url": "Fetch the page?",
    "remember": "Remember it?",
}
"""What yes means for a call of a built-in tool, short enough for a line of 80 columns with all keys."""
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O?.)", re.DOTALL)
"""What terminals send for a key that has no character, or that is pressed with Alt."""
_INTERRUPT, _END, _ESCAPE = "\x03", "\x04", "\x1b"
_LEFT_OPEN = "the server still waits: answer by a JSON object with the fields, or decline"


Show = Callable[[Event], None]


class Keyboard(Protocol):
    """Where the user types."""

    def single_keys(self) -> AbstractContextManager[None]:
        """Read single keys in a `with` block. What was typed before it is none of them."""

    async def keys(self) -> str:
        """Return the next input, often one key; newlines surround a paste, so it is never one. Empty: ask no more."""

    def unread(self) -> None:
        """Let the next line begin with what `keys` returned last; called in the block of `single_keys`."""

    async def line(self, question: str, *, default: str = "") -> str | None:
        """Return the line that answers `question`, perhaps a changed `default`; None for Ctrl-C and Ctrl-D."""


def is_decided_by_key(event: Event) -> bool:
    """Return whether `event` is a request that `read_decisions` shows, call by call."""
    return isinstance(event, ApprovalRequested) and is_review(event.payload)


async def read_decisions(keyboard: Keyboard, show: Show, request: ApprovalRequested) -> str | None:
    """Return the user's decisions on the calls that `request` reviews, as an answer to it; None for none yet.

    Keys that decide nothing begin the next line, where the request is answered in words, or a command is given.
    """
    actions = reviewed_actions(request.payload)
    problem = str(request.payload.get("problem") or "")
    decisions = []
    for number, action in enumerate(actions, 1):
        shown = decision_lines(action, number, len(actions), problem)
        decision = await _read_decision(keyboard, show, action, LinesShown(shown))
        if decision is None:
            show(Notice(f"nothing has run yet. {answer_forms(actions)}"))
            return None
        decisions.append(decision)
        problem = ""
    return json.dumps(decisions)


async def _read_decision(
    keyboard: Keyboard, show: Show, action: Mapping[str, Any], shown: LinesShown
) -> dict[str, Any] | None:
    keys = decision_keys(action)
    question = _QUESTIONS.get(str(action.get("name")), "Call the tool?")
    while True:
        show(shown)
        key = await read_key(keyboard, show, keys, question) if keys else ""
        if key == "e":
            if (edited := await _read_edit(keyboard, show, action)) is not None:
                return edited
        elif key:
            show(Notice(DECIDED[key]))
            return decide(key, action)
        else:
            return None


async def read_key(
    keyboard: Keyboard, show: Show, keys: Mapping[str, str], question: str = "", *, default: str = ""
) -> str:
    """Return which of `keys` is pressed, perhaps to answer `question`; empty if the user leaves, or begins a line.

    Each key comes with what it means. Enter alone is the key `default`, if there is one.

    A key counts from the moment that the keys are shown: the call was shown before. Nobody decides on what they have
    not seen yet.
    """
    with keyboard.single_keys():
        show(LinesShown([(keys_line(keys, question), "bold")]))
        while True:
            typed = await keyboard.keys()
            # A program, or a habit, may send Enter at once; a longer text is a word, not a decision.
            key = typed[:1] if typed[1:] in ("", "\r", "\n") else ""
            if key in keys:
                return key
            if default and typed in ("\r", "\n"):
                return default
            if typed in ("", _INTERRUPT, _END, _ESCAPE):
                return ""
            if any(map(str.isprintable, _SEQUENCE.sub("", typed))):  # more than Enter or arrow keys
                keyboard.unread()
                return ""


async def _read_edit(keyboard: Keyboard, show: Show, action: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the decision with the arguments that the user writes in place of those of `action`, None for none."""
    text = json.dumps(action.get("args") or {}, ensure_ascii=False)
    while text := await keyboard.line("new arguments: ", default=text) or "":
        try:
            answer = read_answer(ApprovalRequested("", {"action_requests": [action]}), f"edit {text}")
        except UsageError as error:
            show(Notice(f"{error.message}. {error.remedy}", "error"))
            continue
        [decision] = answer["decisions"]
        return dict(decision)
    return None


async def read_form_answer(keyboard: Keyboard, show: Show, request: ApprovalRequested) -> str | None:
    """Return the user's answer to the form that `request` asks for, as JSON; None for none yet.

    Ctrl-C and Ctrl-D leave it open. A form without fields, and one behind an address, is answered by a key.
    """
    payload: Mapping[str, Any] = request.payload
    try:
        fields = read_form(payload.get("requested_schema", {}))
    except ValueError:  # the store may come from anybody
        fields = []
    if not fields:
        key = await read_key(keyboard, show, {"y": "yes", "n": "no"})
        return json.dumps({"action": {"y": "accept", "n": "decline"}[key]}) if key else None
    content: dict[str, Any] = {}
    for field in fields:
        text = await _read_field(keyboard, show, field)
        if text is None:
            show(Notice(_LEFT_OPEN))
            return None
        if text:
            content[field.name] = field.parse(text)
        elif field.default is not None:
            content[field.name] = field.default
    return json.dumps({"action": "accept", "content": content})


async def _read_field(keyboard: Keyboard, show: Show, field: FormField) -> str | None:
    """Return a text that `field` takes; empty if it is left out, None if the user leaves."""
    while (text := await keyboard.line(f"{reveal(field.question())}: ")) is not None:
        try:
            if text:
                field.parse(text)
            elif field.needed and field.default is None:
                raise ValueError(f"{field.label or field.name} is needed")
        except ValueError as error:
            show(Notice(str(error), "error"))
        else:
            return text
    return None
