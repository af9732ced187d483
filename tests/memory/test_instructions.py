"""A project's instructions: which files are read, and how much of them is sent."""

import os
from pathlib import Path

import pytest

from chatcli.config.trust import read_folder_file, trust
from chatcli.events import Notice
from chatcli.memory.instructions import MAX_BYTES, Instructions, read_instructions
from chatcli.memory.prompt_context import PromptContextReader

MARKER = "0123456789abcdef"


@pytest.fixture(autouse=True)
def root(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a repository, with the folder a/b in it as the current one."""
    root = own_folders / "root"
    (root / ".git").mkdir(parents=True)
    (root / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(root / "a" / "b")
    return root


def write(path: Path, text: str, *, trusted: bool = True) -> None:
    path.write_text(text)
    if trusted and (file := read_folder_file(path.name, path.parent)) is not None:
        trust([file])


def found() -> Instructions:
    return read_instructions(Path.cwd().resolve())


def test_the_nearest_comes_last(root: Path) -> None:
    write(root.parent / "AGENTS.md", "outside of the repository")
    (root / ".git").rmdir()
    (root / ".git").write_text("gitdir: elsewhere")  # a worktree
    write(root / "AGENTS.md", "outer")
    write(root / "a" / "CLAUDE.md", "middle")
    write(root / "a" / "b" / "AGENTS.md", "inner")
    write(root / "a" / "b" / "CLAUDE.md", "not read")
    text, cut = found().text(MARKER)
    assert f"the marker {MARKER}. Where" in text.splitlines()[0]
    assert text.splitlines()[2:] == [
        *(f"{MARKER} ../../AGENTS.md", "outer", f"{MARKER} ../CLAUDE.md", "middle", f"{MARKER} AGENTS.md", "inner"),
        f"{MARKER} end of the instructions",
    ]
    assert not cut


def test_without_a_repository_only_the_folder_counts(root: Path) -> None:
    (root / ".git").rmdir()
    write(root / "AGENTS.md", "outer")
    assert found() == Instructions(Path.cwd())


def test_what_is_not_trusted_is_named(root: Path) -> None:
    write(root / "AGENTS.md", "outer", trusted=False)
    write(Path("AGENTS.md"), "inner")
    Path("AGENTS.md").write_text("inner, changed")
    assert found().text(MARKER) == ("", False)
    [line] = PromptContextReader(Path.cwd(), instructions=True, memory=False).new_notices(
        PromptContextReader(Path.cwd(), instructions=True, memory=False).read("hi", None), 0
    )
    assert line == Notice(
        "not trusted and left out: ../../AGENTS.md, AGENTS.md."
        " Read them, then trust them: chat trust ../.., chat trust",
        urgent=True,
    )


def test_the_command_that_trusts_fits_the_shell(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "my notes"
    folder.mkdir()
    write(folder / "AGENTS.md", "inner", trusted=False)
    line = read_instructions(folder.resolve()).untrusted_notice()  # an editor's folder is not the process's
    assert line.endswith(f"chat trust '{folder.resolve()}'")
    monkeypatch.chdir(folder)
    assert read_instructions(folder.resolve()).untrusted_notice().endswith("then trust it: chat trust")


def test_a_link_out_of_the_folder_a_pipe_and_a_folder_are_left_out(root: Path) -> None:
    (root / "secret").write_text("secret")
    Path("AGENTS.md").symlink_to(root / "secret")
    os.mkfifo(root / "a" / "AGENTS.md")
    (root / "AGENTS.md").mkdir()
    assert found().files == ()
    assert [path.parent.name for path, _ in found().problems] == ["a", "b"]
    Path("AGENTS.md").unlink()
    Path("AGENTS.md").symlink_to("AGENTS.md")
    assert [path.parent.name for path, _ in found().problems] == ["a", "b"]


def test_the_outermost_file_is_cut_first(root: Path) -> None:
    write(root / "AGENTS.md", "o" * 20_000 + "end")
    write(Path("AGENTS.md"), "i" * 20_000 + "end")
    text, cut = found().text(MARKER)
    assert cut
    assert text.count("end\n") == 1
    assert text.endswith(f"iend\n{MARKER} end of the instructions")
    assert text.count("i" * 20_000) == 1
    assert len(text.encode()) < MAX_BYTES + 300


def test_a_model_with_a_small_window_gets_less(root: Path) -> None:
    write(root / "AGENTS.md", "word " * 5000)
    known = PromptContextReader(Path.cwd(), instructions=True, memory=False).read("hi", 2000)
    assert known.cut
    assert len(known.text) < 2000


def test_news_is_told_once_until_something_changes(root: Path) -> None:
    write(Path("AGENTS.md"), "inner")
    reader = PromptContextReader(Path.cwd(), instructions=True, memory=False)
    assert list(reader.new_notices(reader.read("hi", None), 12)) == [
        Notice("instructions: AGENTS.md (about 12 tokens)")
    ]
    assert list(reader.new_notices(reader.read("hi", None), 12)) == []
    write(Path("AGENTS.md"), "other")
    assert reader.read("hi", None).text.split("\n")[-2] == "other"
    assert list(reader.new_notices(reader.read("hi", None), 12)) != []


def test_nothing_is_hidden_in_the_name_of_a_folder(root: Path) -> None:
    folder = root / "a\nb\x1b[2J"
    folder.mkdir()
    write(folder / "AGENTS.md", "rule")
    [file] = read_instructions(folder.resolve()).files
    assert Instructions(root).shown(file) == "a<U+000A>b<U+001B>[2J/AGENTS.md"


def test_invalid_bytes_and_a_byte_order_mark_are_no_failure(root: Path) -> None:
    Path("AGENTS.md").write_bytes(b"\xef\xbb\xbfrule \xff\xfe")
    if (file := read_folder_file("AGENTS.md")) is not None:
        trust([file])
    assert found().text(MARKER)[0].split("\n")[-2] == "rule"


@pytest.mark.parametrize("content", [b"\x7fELF\x02\0\0", bytes(range(1, 256)) * 9, "héllo".encode("utf-16")])
def test_what_is_no_text_is_left_out_though_it_is_trusted(content: bytes) -> None:
    Path("AGENTS.md").write_bytes(content)
    file = read_folder_file("AGENTS.md")
    assert file is not None
    trust([file])
    known = PromptContextReader(Path.cwd(), instructions=True, memory=False)
    sent = known.read("hi", None)
    assert sent.text == ""
    [line] = known.new_notices(sent, 0)
    assert line.text == f"the instructions {Path.cwd().resolve() / 'AGENTS.md'} are left out: it is not text in UTF-8"


def test_the_first_request_of_a_question_gets_what_was_read_for_it(root: Path) -> None:
    write(Path("AGENTS.md"), "first")
    reader = PromptContextReader(Path.cwd(), instructions=True, memory=False)
    ahead = reader.read_ahead("hi", 2000)
    write(Path("AGENTS.md"), "second")
    assert reader.read("hi", 2000) is ahead
    assert "second" in reader.read("hi", 2000).text  # a later request has the files as they are then
    reader.read_ahead("hi", 2000)
    write(Path("AGENTS.md"), "third")
    assert "third" in reader.read("another", 2000).text
    reader.read_ahead("hi", 2000)
    write(Path("AGENTS.md"), "fourth")
    assert "fourth" in reader.read_ahead("hi", 2000).text
