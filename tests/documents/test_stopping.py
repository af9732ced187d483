"""Ctrl-C while documents are read, at an exact moment."""

import os
import signal
from pathlib import Path

import pytest

from chatcli.cli.subcommands import docs
from chatcli.config.settings import Settings
from chatcli.documents.index import DocumentIndex
from chatcli.events import Event, Progress


class Interrupting:
    """Presses Ctrl-C each time that one of the `moments` is shown."""

    def __init__(self, *moments: int) -> None:
        self._moments = moments

    def render(self, event: Event) -> None:
        """Look at `event`."""
        if isinstance(event, Progress) and event.done in self._moments:
            os.kill(os.getpid(), signal.SIGINT)

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder of ten documents, in a home of its own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.md").write_text(f"A widget of the kind {number}.\n")
    return folder


def test_what_is_done_stays_and_the_next_run_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(docs, "build_renderer", lambda settings: Interrupting(4))
    with DocumentIndex() as index:
        stopped = docs._bring_up_to_date(Settings(), index, [str(folder)], shown_after=0)
        assert (stopped.stopped, stopped.files, stopped.added) == (True, 4, 4)
        monkeypatch.setattr(docs, "build_renderer", lambda settings: Interrupting())
        rest = docs._bring_up_to_date(Settings(), index, [str(folder)], shown_after=0)
        assert (rest.stopped, rest.files, rest.added) == (False, 10, 6)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_ends_it_at_once_and_leaves_the_index_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Twice(Interrupting):
        def render(self, event: Event) -> None:
            super().render(event)
            super().render(event)

    monkeypatch.setattr(docs, "build_renderer", lambda settings: Twice(4))
    with DocumentIndex() as index:
        with pytest.raises(KeyboardInterrupt):
            docs._bring_up_to_date(Settings(), index, [str(folder)], shown_after=0)
        monkeypatch.setattr(docs, "build_renderer", lambda settings: Interrupting())
        assert docs._bring_up_to_date(Settings(), index, [str(folder)], shown_after=0).files == 10
        assert len(index.search("widget kind", [str(folder)])) == 10
