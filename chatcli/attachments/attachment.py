"""What is attached to a question."""

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["text", "image", "pdf"]

STDIN_NAME = "stdin"
"""What it is called in a question."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file as it was read: `text` of a text file, else `data`; `name` is the user's own for it."""

    name: str
    kind: Kind
    media_type: str
    text: str = field(default="", repr=False)
    data: bytes = field(default=b"", repr=False)
    encoding: str = "utf-8"
    """What `text` was decoded from."""
    size: int = 0
    """Bytes that were read."""
