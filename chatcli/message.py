"""A message of the past, as every store gives it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SPEAKERS = {"user": "User", "assistant": "AI", "tool": "Tool", "summary": "Summary", "notification": "Notification"}
"""What each role is called on a page and in plain text."""


@dataclass(frozen=True, slots=True)
class MessageShown:
    """A message of the past, shown again as it looked: `role` is one of `SPEAKERS`."""

    role: str
    text: str
    interrupted: bool = False


def human_role(additional_kwargs: Mapping[str, Any]) -> str:
    """Return the role of a human message: langchain marks by `lc_source` what the user did not type."""
    source = additional_kwargs.get("lc_source")
    if not isinstance(source, str):
        return "user"
    return "summary" if source == "summarization" else "notification"
