"""What a user's answer to an interrupt means: the resume value that the graph gets."""

from collections.abc import Mapping, Sequence
from typing import Any

from chatcli.errors import UsageError
from chatcli.events import ApprovalRequested
from chatcli.message import SCOPE_KEYS, is_review, reviewed_actions
from chatcli.runtime.parse import TooDeepError, read_json

_WORDS = {
    "approve": ("approve", "a", "yes", "y", "ok"),
    "reject": ("reject", "r", "no", "n"),
    "edit": ("edit", "e"),
    "respond": ("respond",),
}


def read_answers(pending: Sequence[ApprovalRequested], text: str) -> dict[str, Any]:
    """Return the resume value of each interrupt by ID: `text` answers the only one, or is an object with the IDs."""
    value = read_value(text)
    ids = [request.interrupt_id for request in pending]
    if not pending:
        raise UsageError("the thread waits for no answer", remedy="Ask it something: give a prompt.")
    if isinstance(value, dict) and value and value.keys() <= set(ids):
        return value
    if len(pending) > 1:
        raise UsageError(
            f"the thread waits for {len(pending)} answers", remedy=f"Give an object with the keys {', '.join(ids)}."
        )
    return {ids[0]: read_answer(pending[0], text)}


def read_answer(request: ApprovalRequested, text: str) -> Any:
    """Return the resume value of `request` that `text` means; for a review of tool calls, a decision."""
    value = read_value(text)
    if not is_review(request.payload):
        return value
    actions = reviewed_actions(request.payload)
    if isinstance(value, str):
        decisions = [_decision(value, action) for action in actions]
        if any(decision["type"] in ("edit", "respond") for decision in decisions) and len(actions) > 1:
            raise UsageError(
                f"there are {len(actions)} calls to review, and an edit is of one",
                remedy='Give a list of decisions: [{"type": "approve"}, ...]',
            )
    else:
        decisions = value if isinstance(value, list) else value.get("decisions", [value])
    # One call a request is answered by the decision itself, langchain's list of them by a list.
    return {"decisions": decisions} if "action_requests" in request.payload else decisions[0]


def decide(key: str, action: Mapping[str, Any]) -> dict[str, Any]:
    """Return the decision on `action` that `key`, one of its `decision_keys` except that of an edit, stands for."""
    if key in SCOPE_KEYS:
        return _decision(f"approve {SCOPE_KEYS[key]}", action)
    return _decision({"y": "approve", "n": "reject"}[key], action)


def read_value(text: str) -> Any:
    """Return the value of `text` as JSON, if that is an object or a list; else the text itself."""
    try:
        value = read_json(text)
    except TooDeepError as error:
        raise UsageError(f"the answer can't be used: {error}") from None
    except ValueError:
        return text
    return value if isinstance(value, dict | list) else text


def _decision(text: str, action: Mapping[str, Any]) -> dict[str, Any]:
    word, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    kind = next((kind for kind, words in _WORDS.items() if word.lower() in words), None)
    allowed = action.get("allowed", ())
    if kind is None or (allowed and kind not in allowed):
        raise UsageError(f"{word!r} is no decision here", remedy=f"Answer with {', '.join(allowed or _WORDS)}.")
    if kind == "approve":
        return {"type": "approve", **({"scope": rest} if rest in action.get("scopes", ()) else {})}
    if kind == "edit":
        arguments = read_value(rest)
        if not isinstance(arguments, dict):
            raise UsageError("an edit gives all arguments, as a JSON object", remedy='Such as: edit {"path": "a.txt"}')
        return {"type": "edit", "edited_action": {"name": action.get("name", ""), "args": arguments}}
    return {"type": kind, **({"message": rest} if rest else {})}
