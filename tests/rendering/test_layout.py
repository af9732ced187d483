"""Whole screens at three widths, compared with pictures in text; `UPDATE_SNAPSHOTS=1` draws them anew."""

import os
from pathlib import Path

import pytest

from chatcli.commands.screen import KEYS
from chatcli.events import Event, Listing, Notice, TextDelta, ThreadChanged, TurnInterrupted, Usage
from chatcli.message import MessageShown
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
    Listing("Keys", ("key", "what it does"), KEYS),
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
