"""The images that an answer holds as data: URIs, taken out of its text before it is parsed."""

import base64
import binascii
import re
from collections.abc import Callable
from importlib.util import find_spec

from chatcli.rendering.images import image_size
from chatcli.text import format_size

IMAGE = "image"
"""The key of an image's address in what a style carries beside its looks."""
MAX_DATA = 12_000_000
"""The most characters of a data: URI that are kept. A longer one is a broken image."""
_MARK = "](data:image/"
_DESCRIPTION = re.compile(r"!\[[^\[\]\n]*\Z")
_END = re.compile(r"[^\w+/=;,.%-]")
_MAX_LINE = 1000
_TYPES = ("png", "jpeg", "gif", "webp")
_ADDRESS = re.compile(r"data:image/\w+;\d+;(\d+x\d+|broken|);([\d.]+)(\w+)")


class DataImages:
    """Replaces the data of each image in a text that arrives in pieces by a short address, and keeps the image.

    What looks like an image in code stays as it is written: `is_code` returns whether a block of code is open after
    the text that it gets, the next piece of the result.
    """

    def __init__(self, is_code: Callable[[str], bool]) -> None:
        self.found: dict[str, bytes] = {}  # by address
        self._is_code = is_code
        self._line = ""  # the text since the last newline
        self._held: list[str] | None = None  # the data of the image that is arriving
        self._length = 0
        self._number = 0

    def feed(self, text: str) -> str:
        """Return the text that can be shown now: of `text`, and of the pieces before it."""
        shown: list[str] = []
        while text:
            text = self._skip_text(text, shown) if self._held is None else self._skip_data(text, shown)
        return "".join(shown)

    def flush(self) -> str:
        """Return the rest at the end of the text: the address of an image that is not complete."""
        return "" if self._held is None else f"{self._address(complete=False)})"

    def _skip_text(self, text: str, shown: list[str]) -> str:
        """Add `text` to `shown` up to the next image; return the rest."""
        known = self._line[-len(_MARK) + 1 :]
        found = (known + text).find(_MARK)
        end = len(text) if found < 0 else found + len(_MARK) - len(known)
        part = text[:end]
        shown.append(part)
        self._line = (self._line + part).rpartition("\n")[2][-_MAX_LINE:]
        if found >= 0 and _DESCRIPTION.search(self._line.removesuffix(_MARK)) and self._line.count("`") % 2 == 0:
            code = self._is_code("".join(shown))
            shown.clear()
            if not code:
                self._held, self._length = [], 0
        return text[end:]

    def _skip_data(self, text: str, shown: list[str]) -> str:
        assert self._held is not None
        match = _END.search(text)
        part = text[: match.start()] if match else text
        self._length += len(part)
        if self._length <= MAX_DATA:
            self._held.append(part)
        if match is None:
            return ""
        shown.append(self._address(complete=True))
        return text[match.start() :]

    def _address(self, *, complete: bool) -> str:
        """End the image; return its address without the beginning that stands in the text: type, number and size."""
        held, self._held = "".join(self._held or ()), None
        kind, _, encoded = held.partition(";base64,")
        kind = kind if kind in _TYPES else "png"
        data = _decoded(encoded) if complete and self._length <= MAX_DATA else b""
        size = image_size(data)
        self._number += 1
        pixels = f"{size[0]}x{size[1]}" if size else "broken" if find_spec("PIL") else ""
        count = format_size(len(data) or self._length * 3 // 4).replace(" ", "")
        address = f"{kind};{self._number};{pixels};{count}"
        if size:
            self.found[f"data:image/{address}"] = data
        return address


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded.replace("%2B", "+").replace("%2F", "/").replace("%3D", "="), validate=True)
    except (binascii.Error, ValueError):
        return b""


def image_name(description: str, address: str) -> str:
    """Return the line that stands for an image: `[image: name, 640x480, 12.0 kB]`."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        return f"[image: {description}]"
    pixels, amount, unit = match.groups()
    return f"[image: {', '.join(filter(None, (description, pixels, f'{amount} {unit}')))}]"
