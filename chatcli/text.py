"""Short texts for messages, titles and listings."""

from datetime import UTC, datetime

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
"""The signs of the indicator, one after the other."""
START_INTERVAL = 0.25
"""Seconds from one of them to the next while the program is starting: painting more often would slow its imports."""
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))


def one_line(text: str, limit: int | None = None) -> str:
    """Return `text` on one line, each run of white space one space, cut to `limit` characters with "..." at its end."""
    line = " ".join(text.split())
    return line if limit is None or len(line) <= limit else f"{line[: limit - 3]}..."


def display_width(text: str) -> int:
    """Return the number of columns that `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth  # its tables take 30 ms to load, and most listings need none

    return max(wcswidth(text), 0)


def truncate(text: str, width: int) -> str:
    """Return `text`, or as much of its beginning as fits into `width` columns with "..." at its end."""
    if display_width(text) <= width:
        return text
    text = text[:width]
    while text and display_width(text) > width - 3:
        text = text[:-1]
    return f"{text.rstrip()}..."


def format_age(moment: str) -> str:
    """Return the age of `moment`, a time in ISO 8601 with its zone, in words."""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)}{unit} ago"
    return "just now"


def format_minute(moment: datetime) -> str:
    """Return `moment` to the minute, in its own zone."""
    return f"{moment:%Y-%m-%d %H:%M}"


def starting_text(seconds: float) -> str:
    """Return the indicator's text while the program has been starting for `seconds`."""
    return f"starting {seconds:.0f} s (Ctrl-C stops)"


def format_size(count: int) -> str:
    """Return `count` bytes in a readable unit: `12.3 MB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
