"""A passage as programs get it."""

from pathlib import Path

import pytest

from chatcli.documents.passage import Passage


def test_a_passage_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = Passage(tmp_path / "docs" / "a.md", "text", 3, 4, headings=("A",), plain="x", score=0.123456, weak=True)
    assert lines.as_json() == {
        "path": "docs/a.md",
        "start_line": 3,
        "end_line": 4,
        "page": None,
        "text": "text",
        "score": 0.1235,
        "weak": True,
    }
    page = Passage(Path("/elsewhere/a.pdf"), "text", page=2).as_json()
    assert (page["path"], page["start_line"], page["end_line"], page["page"]) == ("/elsewhere/a.pdf", None, None, 2)
    assert (page["score"], page["weak"]) == (1.0, False)
