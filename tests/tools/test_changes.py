"""The tools that write: what is written is what was shown, and nothing else of the disk is touched."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import ToolException

from chatcli import paths
from chatcli.tools.changes import MAX_FILE, Change, change_tools, plan, reverts
from chatcli.tools.tool import Rules, Tool


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside.txt").write_text("outside\n")
    root = tmp_path / "root"
    (root / "src").mkdir(parents=True)
    (root / "src" / "main.py").write_text("one\ntwo\nthree\n")
    (root / "link").symlink_to(tmp_path / "outside.txt")
    (root / "away").symlink_to(tmp_path)
    (root / "alias").symlink_to("src/main.py")
    return root


def tool(root: Path, name: str) -> Tool:
    return next(each for each in change_tools(root) if each.name == name)


def written(root: Path, path: str, content: str = "new\n") -> Change:
    return plan(tool(root, "write_file"), {"path": path, "content": content})


def edited(root: Path, path: str, old: str, new: str) -> Change:
    return plan(tool(root, "edit_file"), {"path": path, "old_text": old, "new_text": new})


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nothing_is_written_before_the_change_is_made(root: Path) -> None:
    before = everything(root.parent)
    change = edited(root, "src/main.py", "two", "TWO")
    new = written(root, "a/b/c.txt", "x\ny")
    assert everything(root.parent) == before
    assert change.diff() == "--- src/main.py\n+++ src/main.py\n@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three"
    assert new.diff() == "--- /dev/null\n+++ a/b/c.txt\n@@ -0,0 +1,2 @@\n+x\n+y\n\\ No newline at end of file"
    change.write()
    new.write()
    assert (root / "src/main.py").read_text() == "one\nTWO\nthree\n"
    assert (root / "a/b/c.txt").read_text() == "x\ny"
    assert [path.name for path in (root / "src").iterdir()] == ["main.py"]


@pytest.mark.parametrize(
    "path",
    ["..", "../outside.txt", "/etc/x", "link", "away/new.txt", "away/outside.txt", "src/../../outside.txt", "\0", ""],
)
def test_nothing_outside_is_written(root: Path, path: str) -> None:
    before = everything(root.parent)
    with pytest.raises(ToolException):
        written(root, path).write()
    assert everything(root.parent) == before


@pytest.mark.parametrize(
    "path", [".env", "src/.ENV.local", ".ssh/config", "id_rsa", "a/credentials.json", "server.key~", "to_env"]
)
def test_no_secret_is_written_whatever_allows_it(root: Path, path: str) -> None:
    (root / "to_env").symlink_to(".env")
    with pytest.raises(ToolException, match="may hold secrets"):
        written(root, path)


OWN = ("config", "data", "state", "cache", "runtime")


@pytest.mark.parametrize("exist", [False, True])
def test_the_folders_of_the_program_are_never_written(
    root: Path, monkeypatch: pytest.MonkeyPatch, *, exist: bool
) -> None:
    (root.parent / "named").symlink_to(root)
    for name in OWN:
        monkeypatch.setattr(paths, f"{name}_dir", lambda name=name: root.parent / "named" / "own" / name)
        if exist:
            (root / "own" / name).mkdir(parents=True)
            (root / f"to_{name}").symlink_to(f"own/{name}")
    above = [f"{place}/new.md" for name in OWN for place in (f"own/{name}", f"src/../own/{name}/x", f"OWN/{name}")]
    linked = [f"to_{name}/{path}" for name in OWN for path in ("new.md", "x/y")] if exist else []
    for path in (*above, *linked, *(f"own/{name}" for name in OWN)):
        with pytest.raises(ToolException, match="of chatcli's own"):
            written(root, path)
    for name in OWN if exist else ():
        with pytest.raises(ToolException, match="of chatcli's own"):
            written(root / "own" / name, "new.md")
    written(root, "own/others.md").write()


@pytest.mark.parametrize("arguments", [{}, {"path": 5, "content": "x"}, {"path": "x", "content": None}])
def test_arguments_that_do_not_fit_are_an_error_for_the_model(root: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolException, match="don't fit"):
        plan(tool(root, "write_file"), arguments)


def test_a_link_inside_leads_to_its_file_and_stays(root: Path) -> None:
    change = edited(root, "alias", "two", "TWO")
    assert change.diff().startswith("--- src/main.py\n")
    change.write()
    assert (root / "alias").is_symlink()
    assert "TWO" in (root / "src/main.py").read_text()


def test_what_is_no_file_of_ours_to_replace_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))
    os.link(root.parent / "outside.txt", root / "hard")
    (root / "locked").write_text("x")
    (root / "locked").chmod(0o444)
    (root / "binary").write_bytes(b"a\0b")
    (root / "latin").write_bytes(b"caf\xe9\n")
    (root / "large").write_text("x" * (MAX_FILE + 1))
    reasons = {
        "pipe": "not a regular file",
        "socket": "not a regular file",
        "src": "a folder",
        ".": "a folder",
        "hard": "hard link",
        "locked": "read-only",
        "binary": "not a text",
        "latin": "not a text in UTF-8",
        "large": "larger than",
        "src/main.py/x": "Not a directory",
    }
    for path, reason in reasons.items():
        with pytest.raises(ToolException, match=reason):
            written(root, path)
    with pytest.raises(ToolException, match=r"1\.0 MB"):
        written(root, "new", "x" * (MAX_FILE + 1))
    with pytest.raises(ToolException, match="NUL"):
        written(root, "new", "a\0b")
    somebody_else = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody_else)
    with pytest.raises(ToolException, match="belongs to another user"):
        written(root, "src/main.py")
    assert (root.parent / "outside.txt").read_text() == "outside\n"


@pytest.mark.linux
def test_a_file_of_another_user_is_refused_and_root_keeps_its_owner(root: Path) -> None:
    file = root / "src/main.py"
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(file, 12345, 12345)
    edited(root, "src/main.py", "two", "TWO").write()
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 12345)
    os.chmod(root, 0o777)  # noqa: PTH101
    os.chmod(root.parent, 0o755)  # noqa: PTH101
    os.seteuid(23456)
    try:
        with pytest.raises(ToolException, match=r"another user|Permission denied"):
            edited(root, "src/main.py", "TWO", "two")
    finally:
        os.seteuid(0)
    assert "TWO" in file.read_text()


def test_mode_line_endings_and_byte_order_mark_stay(root: Path) -> None:
    file = root / "script.sh"
    file.write_bytes("\ufeffone\r\ntwo\r\nthree".encode())
    file.chmod(0o4750)  # the new text is not what was made to run as another user
    edited(root, "script.sh", "one\ntwo\n", "ONE\nTWO\nmore\n").write()
    assert file.read_bytes() == "\ufeffONE\r\nTWO\r\nmore\r\nthree".encode()
    written(root, "script.sh", "all\nnew\n").write()
    assert file.read_bytes() == "\ufeffall\r\nnew\r\n".encode()
    assert file.stat().st_mode & 0o7777 == 0o750
    mixed = root / "mixed"
    mixed.write_bytes(b"a\r\nb\nc\n")
    edited(root, "mixed", "b\nc", "b\nC").write()
    assert mixed.read_bytes() == b"a\r\nb\nC\n"
    umask = os.umask(0o027)
    try:
        written(root, "fresh").write()
    finally:
        os.umask(umask)
    assert (root / "fresh").stat().st_mode & 0o777 == 0o640


def test_an_edit_is_of_a_text_that_stands_there_exactly_once(root: Path) -> None:
    (root / "aaa").write_text("aaa")
    for path, old, reason in [
        ("src/main.py", "Two", "does not contain"),
        ("src/main.py", "", "empty"),
        ("src/main.py", "o", "more than once"),
        ("aaa", "aa", "more than once"),
        ("none", "x", "no file"),
        ("src/main.py", "two", "nothing to change"),
    ]:
        with pytest.raises(ToolException, match=reason):
            edited(root, path, old, "two")


def test_a_file_that_has_changed_since_it_was_shown_is_not_written(root: Path) -> None:
    file, new = root / "src/main.py", root / "new"
    change, created = edited(root, "src/main.py", "two", "TWO"), written(root, "new")
    file.write_text("one\ntwo\nthree\nfour\n")
    new.write_text("of somebody else\n")
    for each in (change, created):
        with pytest.raises(ToolException, match="has changed since"):
            each.write()
    assert file.read_text().endswith("four\n")
    assert new.read_text() == "of somebody else\n"
    change = edited(root, "src/main.py", "two", "TWO")
    file.unlink()
    with pytest.raises(ToolException, match="has changed since"):
        change.write()
    file.symlink_to(root.parent / "outside.txt")
    with pytest.raises(ToolException, match="not a regular file"):
        change.write()
    change, lost = written(root, "src/fresh"), Change(root, "src/main.py", "src/main.py", "one\n", "two\n")
    (root / "src/main.py").unlink()
    (root / "src").rmdir()
    with pytest.raises(ToolException, match="can't be written"):
        lost.write()
    assert not (root / "src").exists()
    (root / "src").symlink_to(root.parent)
    with pytest.raises(ToolException, match="can't be written"):
        change.write()
    assert not (root.parent / "fresh").exists()
    assert (root.parent / "outside.txt").read_text() == "outside\n"


@pytest.mark.parametrize(("path", "meanwhile"), [("src/main.py", "one\ntwo\nthree\n"), ("new", "of somebody else\n")])
def test_a_file_that_changes_while_it_is_written_stays(
    root: Path, monkeypatch: pytest.MonkeyPatch, path: str, meanwhile: str
) -> None:
    change, real_fsync = written(root, path), os.fsync
    drafts: list[bytes] = []

    def fsync(descriptor: int) -> None:
        real_fsync(descriptor)
        drafts.extend(other.read_bytes() for other in (root / path).parent.glob(f".{Path(path).name}-*"))
        (root / path).unlink(missing_ok=True)
        (root / path).write_text(meanwhile)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr("chatcli.runtime.files.write_to_disk.__defaults__", (None,))
    with pytest.raises(ToolException, match="has changed since"):
        change.write()
    assert (root / path).read_text() == meanwhile
    assert drafts == [b"new\n"]  # it was whole on the disk before it would have taken its place
    assert not list((root / path).parent.glob(".*-*"))


def test_no_rule_allows_a_change_and_only_yes_runs_it_unasked(root: Path) -> None:
    for each in change_tools(root):
        assert not Rules(["*", each.name, f"{each.name}:*"]).allows(each, {"path": "x"}, ["*"])
        assert Rules(mode="yes").allows(each, {"path": "x"})


def test_what_was_written_is_taken_back_unless_the_file_has_changed_since(root: Path) -> None:
    file, before = root / "src/main.py", everything(root)
    records: list[dict[str, Any]] = []

    def do(change: Change) -> None:
        change.write()
        records.insert(0, change.record())

    do(edited(root, "src/main.py", "two", "2"))
    do(written(root, "new", "x\n"))
    do(edited(root, "new", "x", "y"))
    do(written(root, "kept", "k\n"))
    do(edited(root, "src/main.py", "three", "3"))
    (root / "kept").write_text("mine\n")
    changes, kept = reverts(root, records)
    assert kept == ["kept"]
    assert {change.path: change.after for change in changes} == {"src/main.py": "one\ntwo\nthree\n", "new": None}
    assert (
        next(change for change in changes if change.path == "new").diff().endswith("+++ /dev/null\n@@ -1 +0,0 @@\n-y")
    )
    last = records[0]
    for damage in ({"start": -1}, {"start": 99}, {"end": -1}, {"end": 99}, {"old": 5}):
        assert reverts(root, [{**last, **damage}]) == ([], ["src/main.py"])
    file.rename(root / "moved")
    file.symlink_to(root / "moved")
    assert reverts(root, [last]) == ([], ["src/main.py"])
    (root / "moved").replace(file)
    for change in changes:
        change.write()
    (root / "kept").unlink()
    assert everything(root) == before
    assert reverts(root, records)[0] == []
    assert file.exists()


class Unsaved:
    """An editor that gives and writes the texts of some files."""

    can_write = True

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts

    def read(self, path: Path) -> str | None:
        return self.texts.get(path.name)

    def write(self, path: Path, text: str) -> bool:
        self.texts[path.name] = text
        return True


def test_an_editor_writes_new_files_and_those_whose_text_it_gave_and_no_others(root: Path) -> None:
    (root / "other.py").write_text("one\n")
    editor = Unsaved({"main.py": "unsaved\n", "new.py": ""})
    [write, _] = change_tools(root, editor)
    changes = [plan(write, {"path": path, "content": "x\n"}) for path in ("src/main.py", "new.py", "other.py")]
    assert [change.before for change in changes] == ["unsaved\n", None, "one\n"]
    for change in changes:
        change.write()
    assert editor.texts == {"main.py": "x\n", "new.py": "x\n"}
    assert (root / "src" / "main.py").read_text() == "one\ntwo\nthree\n"
    assert not (root / "new.py").exists()
    assert (root / "other.py").read_text() == "x\n"


def test_a_change_in_another_folder_of_the_session_is_named_whole_and_taken_back(root: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    (more / ".git").mkdir(parents=True)
    (more / "a").write_text("old\n")
    edit = next(each for each in change_tools(root, more=[more]) if each.name == "edit_file")
    arguments = {"path": str(more / "a"), "old_text": "old", "new_text": "new"}
    assert edit.is_harmless(arguments)
    assert not edit.is_harmless({"path": str(more / ".git" / "hooks")})
    change = plan(edit, arguments)
    assert f"+++ {more / 'a'}" in change.diff()
    change.write()
    assert (more / "a").read_text() == "new\n"
    assert reverts(root, [change.record()]) == ([], [str(more / "a")])
    [back], _ = reverts(root, [change.record()], [more])
    assert back.take_back() == f"{more / 'a'} is as it was before"
    assert (more / "a").read_text() == "old\n"


@pytest.mark.parametrize(
    "forged",
    [
        {"path": "/etc/passwd"},
        {"path": "{parent}/outside.txt", "start": 0, "end": 0, "old": "evil", "after": ""},
        {"path": "{root}/.env", "start": 0, "end": 0, "old": "evil", "after": ""},
        {"path": "{root}/link", "start": 0, "end": 0, "old": "evil", "after": ""},
        {"path": "{root}/src/main.py", "start": 0, "end": 0, "old": "evil", "after": "0"},
        {"path": 5},
        {},
        "text",
        None,
    ],
)
def test_a_forged_record_writes_nothing(root: Path, forged: object) -> None:
    if isinstance(forged, dict) and isinstance(forged.get("path"), str):
        forged = {**forged, "path": forged["path"].format(root=root, parent=root.parent)}
    assert reverts(root, [forged])[0] == []


LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "\n", "d"]), max_size=30)


def patched(text: str, diff: str) -> str:
    """Apply `diff` to `text`, as patch(1) does."""
    old, new, at, last = text.split("\n"), "", 0, ""
    for line in diff.split("\n")[2:]:
        if line.startswith("@@"):
            begin, _, count = line.split()[1][1:].partition(",")
            to = int(begin) - (count != "0")
            new += "".join(f"{each}\n" for each in old[at:to])
            at = to
        elif line.startswith("\\"):
            new = new.removesuffix("\n") if not last.startswith("-") else new
        else:
            at += line[0] in " -"
            new += f"{line[1:]}\n" if line[0] in " +" else ""
            last = line
    return new + "\n".join(old[at:])


@given(LINES, LINES, LINES, LINES)
def test_a_diff_says_what_is_done_and_a_record_gives_back_what_was_there(
    begin: list[str], old: list[str], new: list[str], end: list[str]
) -> None:
    before, after = ("".join([*begin, *middle, *end]) for middle in (old, new))
    change = Change(Path("/"), "file", "file", before, after)
    record = change.record()
    assert after[: record["start"]] + record["old"] + after[len(after) - record["end"] :] == before
    assert patched(before, change.diff()) == after


def test_a_diff_hides_no_end_of_a_line() -> None:
    diff = Change(Path("/"), "file", "file", "a\nb\n", "a\r\nb\n").diff()
    assert diff.endswith("@@ -1,2 +1,2 @@\n-a\n+a\r\n b")
    assert Change(Path("/"), "a", "a\n+b", None, "c").diff().startswith("--- /dev/null\n+++ a<U+000A>+b\n@@")


def test_a_diff_of_large_texts_is_made_without_a_long_search() -> None:
    lines = [f"{number}\n" for number in range(2000)]
    diff = Change(Path("/"), "x", "x", "".join(lines), "".join(f"b\n{line}" for line in lines)).diff()
    assert diff.count("\n-") == 1999
    assert diff.count("\n+") - 1 == 3999
