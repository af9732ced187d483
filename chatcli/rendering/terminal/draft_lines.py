"""What the user types while an answer streams, as lines below it."""

from collections.abc import Sequence

from chatcli.rendering import theme
from chatcli.rendering.lines import Line, Run, fold
from chatcli.sanitize import sanitize

ROWS = 4
"""The most rows of the screen that a draft takes; its end is shown."""
_GLYPH = "> "
_CONTINUATION = "  "


def draft_lines(texts: Sequence[str], width: int, height: int) -> list[Line]:
    """Return the last rows of `texts`: lines that wait to be sent, and last the one being typed."""
    rows: list[Line] = []
    for text in texts:
        for number, line in enumerate(sanitize(text).expandtabs(4).split("\n")):
            prefix = _CONTINUATION if number else _GLYPH
            # One column less than the screen has: the cursor stands behind the last character.
            rows += fold((Run(prefix + line, theme.DIM),), max(width - 1, 1))
    return rows[-min(ROWS, max(height - 1, 1)) :]
