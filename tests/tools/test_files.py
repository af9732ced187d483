import asyncio
from pathlib import Path

import pytest

from chatcli.tools.files import file_tools


def run(root: Path, tool: str, seconds: float = 5, **arguments: object) -> str:
    tools = {each.name: each.runnable for each in file_tools(root, seconds)}
    wanted = {"name": tool, "args": arguments, "id": "1", "type": "tool_call"}
    return str(asyncio.run(tools[tool].ainvoke(wanted)).content)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside.txt").write_text("needle")
    root = tmp_path / "root"
    (root / "src" / ".hidden").mkdir(parents=True)
    (root / "src" / "main.py").write_text("first\nneedle in line 2\n")
    (root / "src" / ".hidden" / "x.py").write_text("needle")
    (root / ".env").write_text("needle")
    (root / "link").symlink_to(tmp_path / "outside.txt")
    (root / "away").symlink_to(tmp_path)
    (root / "image").write_bytes(b"\0needle")
    return root


def test_files_are_listed(root: Path) -> None:
    assert run(root, "list_files", path="src") == "src/.hidden/\nsrc/main.py"
    assert run(root, "list_files", recursive=True).splitlines() == [
        *("away/", "src/", ".env", "image", "link"),
        *("src/.hidden/", "src/main.py"),
    ]


@pytest.mark.parametrize("path", ["..", "/", "away", "link", "away/outside.txt", "src/../../outside.txt"])
def test_nothing_outside_is_read(root: Path, path: str) -> None:
    assert "outside of the current folder" in run(root, "read_file", path=path)
    assert "outside of the current folder" in run(root, "list_files", path=path)
    assert "outside of the current folder" in run(root, "search_files", path=path, pattern="needle")


def test_files_are_searched_but_hidden_secret_and_linked_ones(root: Path) -> None:
    assert run(root, "search_files", pattern="ne+dle") == "src/main.py:2: needle in line 2\n"
    assert run(root, "search_files", pattern="needle", names="*.txt") == "no matches\n"
    assert "unterminated" in run(root, "search_files", pattern="(")


def test_a_pattern_that_takes_for_ever_is_given_up(root: Path) -> None:
    (root / "as").write_text("a" * 40 + "b")
    assert "longer than 0.5 seconds" in run(root, "search_files", seconds=0.5, pattern="(a+)+$")


def test_long_files_are_read_in_parts(root: Path) -> None:
    (root / "long").write_text("".join(f"line {number}\n" for number in range(1, 10_001)))
    assert "[cut in line" in run(root, "read_file", path="long")
    assert run(root, "read_file", path="long", first_line=9_999) == "line 9999\nline 10000\n"
    assert "is no text" in run(root, "read_file", path="image")
    assert "is a folder" in run(root, "read_file", path="src")
