from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatcli.attachments.attachment import find_folders, find_mentions, missing_mentions


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


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("see @missing.txt, and @src/main.py.", ["missing.txt", "src/main.py"]),
        ('@"no such file" and @~/x and @./y', ["no such file", "~/x", "./y"]),
        ("@a.txt is here, @folder too, @https://example.org/x.html too", []),
        ("ask @alice, me@example.com or @bob. @property, @1.2, @..., @@ -1 +1 @@", []),
        ("what is @app.get('/x')?", []),
        ("fix this:\n@pytest.fixture\ndef f(): ...\nas in @b.md", ["b.md"]),
        ("fix this:\n```python\nx @a.b\n```\nas in @c.d", ["c.d"]),
        ("@x.md @x.md", ["x.md"]),
    ],
)
def test_a_missing_path_is_not_taken_for_a_name(line: str, missing: list[str]) -> None:
    assert missing_mentions(line) == missing


_PARTS = ["@", " ", "\n", "a.txt", '"', "```", "~", "/", "..", "\0", "(", ".", "x" * 300, "\ud800", "https://"]


@given(st.lists(st.sampled_from(_PARTS) | st.text(max_size=3)).map("".join))
def test_any_line_may_be_typed(line: str) -> None:
    assert not set(find_mentions(line)) & set(missing_mentions(line))


def test_a_folder_is_mentioned_with_a_slash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "my notes").mkdir()
    (tmp_path / "docs" / "a.md").write_text("a")
    monkeypatch.chdir(tmp_path)
    assert find_folders("What does @docs/ say, and (@docs/)? And @./docs/, please.") == ["docs/", "./docs/"]
    assert find_folders('Compare @"my notes/" with @docs/.') == ["my notes/", "docs/"]
    assert find_folders("@docs @docs/a.md @missing/ someone@docs/ @/ @// @~nobody/") == []
    assert find_folders("a line of its own:\n@docs/\n```\nsee @docs/\n```\n") == ["docs/"]
    assert missing_mentions("@docs/ and @missing/") == ["missing/"]
    assert find_mentions("@docs/ and @docs/a.md") == ["docs/a.md"]
