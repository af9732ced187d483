"""Short texts: where lines break on a terminal, and that they do nowhere else."""

import io
import os
import pty
import termios

import pytest

from chatcli.text import broken_for

MESSAGE = "error: /a/path/that/is/longer/than/a/row can't be read\nAsk its owner"


@pytest.mark.parametrize(
    ("columns", "text", "rows"),
    [
        (20, "Ask the owner for it, or use another file.", ["Ask the owner for", "it, or use another", "file."]),
        (20, "exactly twenty wide.", ["exactly twenty wide."]),
        (20, MESSAGE, ["error:", "/a/path/that/is/longer/than/a/row", "can't be read", "Ask its owner"]),
        (10, "  日本語 日本語 x", ["  日本語", "日本語 x"]),
        (80, "", [""]),
    ],
)
def test_on_a_terminal_a_line_breaks_between_words(columns: int, text: str, rows: list[str]) -> None:
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    with os.fdopen(terminal, "w") as stream:
        assert broken_for(stream, text).split("\n") == rows
    os.close(controller)


def test_off_a_terminal_a_line_stays_one() -> None:
    assert broken_for(io.StringIO(), MESSAGE) == MESSAGE
