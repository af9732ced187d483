"""Images as terminals show them: kitty's and iTerm's protocols, and sixel.

Nothing is fetched: an image of an answer is shown only if its data is here. Pillow is imported when there is an image.
"""

import base64
import binascii
import fcntl
import io
import os
import re
import struct
import termios
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Literal, NamedTuple

from chatcli.text import format_size

if TYPE_CHECKING:
    from PIL import Image
    from rich.console import Console

Protocol = Literal["kitty", "iterm", "sixel", ""]
MAX_PIXELS = 40_000_000
"""The most pixels of an image that is shown."""
_MAX_SENT = 2_000_000
"""The most bytes of an image that the terminal gets as it is."""
_MAX_COLUMNS, _MAX_ROWS = 80, 20
"""The largest image on the screen, in cells."""
_USUAL_CELL = (8, 16)
_MAX_KEPT = 20
"""The most attached images that are kept to be shown in answers."""
_COLORS = 128
"""The number of colours of a sixel image. A terminal has at least that many registers."""
_CHUNK = 4096
"""The most characters of kitty's data in one sequence."""
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
_RUN = re.compile(r"(.)\1{3,}", re.DOTALL)
_SIXEL_ZERO = 63
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


class Cells(NamedTuple):
    """The size of the screen in cells, and of a cell in pixels."""

    columns: int
    rows: int
    cell_width: int
    cell_height: int


class Pictures:
    """Draws images on `console`, also attached ones by their names; `protocol` is empty if the terminal shows none."""

    def __init__(self, console: "Console", protocol: Protocol) -> None:
        self.protocol = protocol
        self._console = console
        self._attached: dict[str, bytes] = {}

    def attach(self, name: str, data: bytes) -> None:
        """Keep an image that the user attached as `name`."""
        self._attached[name] = data
        while len(self._attached) > _MAX_KEPT:
            del self._attached[next(iter(self._attached))]

    def attached(self, address: str) -> bytes | None:
        """Return the image that the user attached with the name or path `address`."""
        if address in self._attached:
            return self._attached[address]
        return next((data for name, data in self._attached.items() if PurePath(name).name == address), None)

    def draw(self, data: bytes) -> None:
        """Draw an image, if it can be shown, at the start of an empty line, and go below it."""
        self._console.file.write(picture(data, self.protocol, _cells(self._console.file, self._console.size)))
        self._console.file.flush()


def _cells(terminal: IO[str], size: tuple[int, int]) -> Cells:
    """Return the sizes of the screen and of a cell; the usual ones where the terminal does not say them."""
    columns, rows = size
    with suppress(OSError, ValueError):
        lines, across, width, height = struct.unpack("HHHH", fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8)))
        if lines and across and width // across and height // lines:
            return Cells(columns, rows, width // across, height // lines)
    return Cells(columns, rows, *_USUAL_CELL)


def known_protocol(environment: Mapping[str, str] = os.environ) -> Protocol:
    """Return how the terminal shows images by what it says of itself; empty where it may do so by sixel, or not at all.

    A multiplexer passes on none of them without its user's consent.
    """
    if is_multiplexed(environment):
        return ""
    program = environment.get("LC_TERMINAL") or environment.get("TERM_PROGRAM") or ""
    if program in {"iTerm2", "iTerm.app", "WezTerm"} or environment.get("WEZTERM_PANE"):
        return "iterm"
    term = environment.get("TERM", "")
    if environment.get("KITTY_WINDOW_ID") or program == "ghostty" or term in {"xterm-kitty", "xterm-ghostty"}:
        return "kitty"
    return ""


def is_multiplexed(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether tmux or GNU Screen is between this process and the terminal."""
    term = environment.get("TERM", "")
    return bool(environment.get("TMUX") or environment.get("STY")) or term.startswith(("screen", "tmux"))


def image_size(data: bytes) -> tuple[int, int] | None:
    """Return the width and the height in pixels; None if `data` is no image that may be shown."""
    image = _open(data)
    return image.size if image is not None else None


def _open(data: bytes) -> "Image.Image | None":
    if not data:
        return None
    with suppress(Exception), warnings.catch_warnings():  # the decoders may raise anything; Pillow may be missing
        from PIL import Image

        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        if 0 < image.width * image.height <= MAX_PIXELS:
            return image
    return None


def picture(data: bytes, protocol: Protocol, cells: Cells) -> str:
    """Return the text that shows the image `data` from the start of an empty line, and leaves the cursor below it.

    It is never larger than it is, nor than the screen. The result is empty if it can't be shown.
    """
    image = _open(data) if protocol else None
    if image is None:
        return ""
    columns, rows = _fit(image.size, cells)
    with suppress(Exception):  # as above
        width, height = columns * cells.cell_width, rows * cells.cell_height
        if protocol == "sixel" or len(data) > _MAX_SENT:
            image.draft("RGB", (width, height))  # a JPEG is decoded no larger than that
        image.load()
        match protocol:
            case "kitty":
                shown = _kitty(_as_sent(image, data, (width, height), ("PNG",)), columns, rows)
            case "iterm":
                shown = _iterm(_as_sent(image, data, (width, height), _FORMATS), columns, rows)
            case _:
                shown = _sixel(image, width, height)
        # There are free lines below, so that nothing scrolls between the two positions of the cursor.
        room = rows + 1
        return "\n" * room + f"\x1b[{room}A\x1b7{shown}\x1b8\x1b[{rows}B\r"
    return ""


def _fit(size: tuple[int, int], cells: Cells) -> tuple[int, int]:
    """Return the columns and rows for an image of `size`, whose sides keep their proportion."""
    width = min(size[0], min(cells.columns, _MAX_COLUMNS) * cells.cell_width)
    height = min(size[1], max(min(cells.rows * 2 // 3, _MAX_ROWS), 1) * cells.cell_height)
    scale = min(width / size[0], height / size[1])
    columns = -(-int(size[0] * scale) // cells.cell_width)
    rows = -(-int(size[1] * scale) // cells.cell_height)
    return max(columns, 1), max(rows, 1)


def _as_sent(image: "Image.Image", data: bytes, size: tuple[int, int], formats: Sequence[str]) -> bytes:
    """Return the image in one of `formats`: as it is, or as PNG that is reduced to `size` in pixels."""
    if len(data) <= _MAX_SENT and image.format in formats:
        return data
    image.thumbnail(size)
    file = io.BytesIO()
    image.convert("RGBA" if image.has_transparency_data else "RGB").save(file, "PNG")
    return file.getvalue()


def _kitty(data: bytes, columns: int, rows: int) -> str:
    # https://sw.kovidgoyal.net/kitty/graphics-protocol: f=100 is PNG, q=2 asks for no reply, C=1 leaves the cursor.
    encoded = base64.b64encode(data).decode()
    shown, keys = "", f"a=T,f=100,q=2,C=1,c={columns},r={rows},"
    for start in range(0, len(encoded), _CHUNK):
        end = start + _CHUNK
        shown += f"\x1b_G{keys}m={int(end < len(encoded))};{encoded[start:end]}\x1b\\"
        keys = ""  # only in the first sequence
    return shown


def _iterm(data: bytes, columns: int, rows: int) -> str:
    # https://iterm2.com/documentation-images.html
    encoded = base64.b64encode(data).decode()
    size = f"size={len(data)};width={columns};height={rows};preserveAspectRatio=1"
    return f"\x1b]1337;File=inline=1;{size}:{encoded}\x07"


def _sixel(image: "Image.Image", width: int, height: int) -> str:
    from PIL import Image

    image.thumbnail((width, height))
    opaque = Image.new("RGBA", image.size, "black")
    opaque.alpha_composite(image.convert("RGBA"))
    reduced = opaque.convert("RGB").quantize(_COLORS)
    palette = reduced.getpalette() or []
    columns, rows = reduced.size
    pixels = reduced.tobytes()
    parts = [f'\x1bPq"1;1;{columns};{rows}']
    for color in sorted(set(pixels)):
        red, green, blue = (round(value * 100 / 255) for value in palette[3 * color : 3 * color + 3])
        parts.append(f"#{color};2;{red};{green};{blue}")
    for top in range(0, rows, 6):
        lines = [pixels[row * columns : (row + 1) * columns] for row in range(top, min(top + 6, rows))]
        bands = [f"#{color}{_band(lines, color)}" for color in sorted(set(b"".join(lines)))]
        parts.append("$".join(bands) + "-")
    return "".join(parts) + "\x1b\\"


def _band(lines: list[bytes], color: int) -> str:
    """Return the pixels of one colour in six lines: each character is a column, its bits the rows, from the top."""
    total = 0
    for row, line in enumerate(lines):
        mask = bytearray(256)
        mask[color] = 1 << row
        total |= int.from_bytes(line.translate(bytes(mask)))
    columns = bytes(value + _SIXEL_ZERO for value in total.to_bytes(len(lines[0])))
    return _RUN.sub(lambda run: f"!{len(run[0])}{run[1]}", columns.decode("ascii"))


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
        """End the image; return the rest of its address, after `data:image/`: the type, the number and the size."""
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
