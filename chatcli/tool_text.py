"""Tool calls as text, and what a graph asks about them. The text is untrusted: sanitise it where it is shown."""

import json
from collections.abc import Mapping
from typing import Any

from chatcli.text_lines import one_line

MAX_ARGUMENTS_LENGTH = 100
"""Characters of a call's arguments that are shown."""
MAX_RESULT_LENGTH = 100
"""Characters of a call's result that are shown."""


def call_text(name: str, arguments: Mapping[str, Any], *, whole: bool = False) -> str:
    """Return a call as `search(query="cats", limit=3)`; long arguments are cut unless `whole`."""
    given = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False, default=str)}" for key, value in arguments.items())
    return f"{name}({given if whole or len(given) <= MAX_ARGUMENTS_LENGTH else f'{given[:MAX_ARGUMENTS_LENGTH]}…'})"


def result_text(content: str, *, failed: bool = False) -> str:
    """Return the beginning of a call's result, with its length if it is cut."""
    text = one_line(content) or "(nothing)"
    cut = text if len(text) <= MAX_RESULT_LENGTH else f"{text[:MAX_RESULT_LENGTH]}… ({len(content)} characters)"
    return f"{'✗' if failed else '→'} {cut}"


def is_review(payload: object) -> bool:
    """Return whether `payload` asks for decisions on tool calls, in the shape that langchain's middleware gives it."""
    return isinstance(payload, Mapping) and ("action_requests" in payload or payload.get("type") == "tool_approval")


def reviewed_actions(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tool calls that `payload` asks about.

    Each has its `name`, its `args`, perhaps a `description`, the `allowed` decisions where they are limited, and the
    `scopes` that an approval may have (our own addition: "thread", "always").
    """
    if "action_requests" not in payload:
        return [dict(payload)]
    configs = {config.get("action_name"): config for config in payload.get("review_configs", ())}
    actions = []
    for action in payload["action_requests"]:
        config = configs.get(action.get("name"), {})
        limits = {"allowed": config.get("allowed_decisions", ()), "scopes": config.get("scopes", ())}
        actions.append({**action, **limits})
    return actions
