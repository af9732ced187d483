from pathlib import Path

import pytest

from chatcli.attachments.mentions import find_mentions


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.txt", "b c.txt", "odd!", "@at"):
        (tmp_path / name).write_text("text")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("compare @a.txt and @./a.txt", ["a.txt", "./a.txt"]),
        ("see @a.txt.", ["a.txt"]),
        ("(@a.txt)", []),
        ("see @odd!", ["odd!"]),
        ('see @"b c.txt", please', ["b c.txt"]),
        ("@a.txt twice: @a.txt", ["a.txt"]),
        ("@@at", ["@at"]),
        ("ask @someone, or me@a.txt, about @folder", []),
        ("read @https://example.org/page.", ["https://example.org/page"]),
        ("@" + "x" * 5000, []),
        ("@~nobody/x @", []),
    ],
)
def test_files_that_exist_are_mentioned(line: str, found: list[str]) -> None:
    assert find_mentions(line) == found
