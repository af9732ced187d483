"""Whole screens at three widths, compared with pictures in text; `UPDATE_SNAPSHOTS=1` draws them again."""

import os
from pathlib import Path

import pytest

from chatcli.commands.all import all_commands
from chatcli.commands.screen import help_table
from chatcli.events import Event, Notice, TextDelta, TurnInterrupted, Usage
from chatcli.message import MessageShown
from chatcli.rendering.display import ThreadChanged
from chatcli.rendering.terminal.renderer import TerminalRenderer
from tests.rendering.corpus import DOCUMENT
from tests.rendering.screen import Terminal, finished

SNAPSHOTS = Path(__file__).parent / "snapshots"
EVENTS: list[Event] = [
    ThreadChanged("work", (MessageShown("user", "two\nlines"), MessageShown("assistant", "An *old* answer", True))),
    Notice("a warning that is rather long, so that a narrow screen must break it somewhere", "warning"),
    TextDelta(DOCUMENT),
    finished(DOCUMENT, Usage(11, 7, 18)),
    TextDelta("Half an ans"),
    TurnInterrupted("work", "c", "m", "Half an ans", 5),
    help_table(all_commands()),
]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_layout(width: int) -> None:
    terminal = Terminal(width, 50)
    renderer = TerminalRenderer(terminal.console, terminal.console)
    for event in EVENTS:
        renderer.render(event)
    renderer.close()
    shown = "\n".join(terminal.lines()) + "\n"
    snapshot = SNAPSHOTS / f"layout-{width}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOTS.mkdir(exist_ok=True)
        snapshot.write_text(shown)
    assert shown == snapshot.read_text()


def test_every_row_of_the_help_fits_a_screen_of_80_columns() -> None:
    terminal = Terminal(80, 100)
    table = help_table(all_commands())
    TerminalRenderer(terminal.console, terminal.console).render(table)
    shown = terminal.lines()
    assert all(any(about in line for line in shown) for _, about in table.rows)
