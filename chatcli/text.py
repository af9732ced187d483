"""Short texts for messages, titles and listings."""

import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
"""The signs of the indicator, one after the other."""
START_INTERVAL = 0.25
"""Seconds from one of them to the next while the program is starting: painting more often would slow its imports."""
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))


def one_line(text: str, limit: int | None = None) -> str:
    """Return `text` on one line, each run of white space one space, cut to `limit` characters with "..." at its end."""
    line = " ".join(text.split())
    return line if limit is None or len(line) <= limit else f"{line[: limit - 3]}..."


def did_you_mean(typed: str, known: Iterable[str]) -> str:
    """Return the question whether the most similar name in `known` was meant, to begin a remedy; empty without one."""
    from difflib import get_close_matches  # few runs have a wrong name

    near = get_close_matches(typed, [*known], n=1)
    return f"Did you mean {near[0]}? " if near else ""


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


def tell(text: str) -> None:
    """Print `text` on standard error; on a terminal its lines break between words."""
    print(broken_for(sys.stderr, text), file=sys.stderr)  # noqa: T201 - what commands say has this one way out


def broken_for(stream: TextIO, text: str) -> str:
    """Return `text` with lines that break between words where `stream` is a terminal, which would cut words in two."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):  # no terminal, or no file
        columns = 0
    return "\n".join(row for line in text.split("\n") for row in _rows(line, columns)) if columns else text


def _rows(line: str, columns: int) -> list[str]:
    """Return `line` broken between words; a word that is longer than `columns`, such as a path, stays whole."""
    first, *others = line.split(" ")
    rows = [first]
    for word in others:
        longer = f"{rows[-1]} {word}"
        if rows[-1].strip() and display_width(longer) > columns:
            rows.append(word)
        else:
            rows[-1] = longer
    return rows


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
