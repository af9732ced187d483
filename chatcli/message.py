"""A message of the past, as every store gives it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MessageShown:
    """A message of the past, shown again as it looked: `role` is "user", "assistant" or "tool"."""

    role: str
    text: str
    interrupted: bool = False
