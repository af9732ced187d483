"""Which files of a folder can be trusted, and what is remembered of the user's answers."""

import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chatcli.config import trust
from chatcli.config.trust import (
    FILES,
    MAX_FILE_BYTES,
    FolderFile,
    UnsafeFileError,
    decline,
    env_of_project,
    forget,
    is_declined,
    is_trusted,
    read_folder,
    read_folder_file,
    state_path,
    trust_command,
    trusted_folders,
)


@pytest.fixture(autouse=True)
def folder(own_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the current folder, which has a `.env`."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / ".env").write_text("A=1\n")
    (tmp_path / "outside").write_text("secret\n")
    monkeypatch.chdir(folder)
    return folder


def the_file(folder: Path | None = None, name: str = ".env") -> FolderFile:
    file = read_folder_file(name, folder)
    assert file is not None
    return file


def answers() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(state_path().read_text())
    return found


def test_a_file_is_read_as_it_stands_in_its_resolved_folder(folder: Path) -> None:
    (folder.parent / "link").symlink_to(folder)
    for place in (None, folder, folder.parent / "link", Path()):
        file = the_file(place)
        assert (file.folder, file.name, file.content) == (folder.resolve(), ".env", b"A=1\n")
    assert the_file().digest == hashlib.sha256(b"A=1\n").hexdigest()
    assert "A=1" not in repr(the_file())  # it may hold keys


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.symlink_to(path), "a link to itself"),
        (lambda path: path.symlink_to("../outside"), "leaves the folder"),
        (lambda path: path.symlink_to("/dev/null"), "leaves the folder"),
        (lambda path: os.mkfifo(path), "not a regular file"),
        (lambda path: path.write_bytes(b"x" * (MAX_FILE_BYTES + 1)), "larger than 1 MB"),
    ],
    ids=["circle", "outside", "device", "pipe", "large"],
)
def test_what_is_no_file_of_the_folder_is_refused(folder: Path, make: Callable[[Path], object], reason: str) -> None:
    make(folder / "AGENTS.md")
    with pytest.raises(UnsafeFileError, match=reason):
        read_folder_file("AGENTS.md")
    with pytest.raises(UnsafeFileError, match=reason):
        read_folder(folder)


def test_what_is_inside_the_folder_is_read(folder: Path) -> None:
    (folder / "CLAUDE.md").symlink_to(".env")
    (folder / "AGENTS.md").write_bytes(b"x" * MAX_FILE_BYTES)
    assert [(file.name, len(file.content)) for file in read_folder(folder)] == [
        *((".env", 4), ("AGENTS.md", MAX_FILE_BYTES), ("CLAUDE.md", 4))
    ]
    assert [file.name for file in read_folder(folder, [".env"])] == [".env"]


def test_a_name_that_leads_nowhere_or_to_a_folder_is_no_file(folder: Path) -> None:
    (folder / "AGENTS.md").mkdir()
    (folder / "CLAUDE.md").symlink_to("nothing")
    for name in ("missing", "AGENTS.md", "CLAUDE.md", ".env/x"):
        assert read_folder_file(name) is None


def test_a_file_belongs_to_the_user_or_to_root(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        os.chown(folder / ".env", 1234, -1)
    owner = (folder / ".env").stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner)
    assert the_file().content == b"A=1\n"
    for me in (owner + 1, 0):
        monkeypatch.setattr(os, "geteuid", lambda me=me: me)
        with pytest.raises(UnsafeFileError, match="another user"):
            read_folder_file(".env")
        assert read_folder_file("passwd", Path("/etc")) is not None  # root's


@pytest.mark.parametrize(
    ("swap", "reason"),
    [
        (lambda path: os.mkfifo(path), "not a regular file"),
        (lambda path: path.write_bytes(b"x" * (MAX_FILE_BYTES + 1)), "larger than 1 MB"),
        (lambda path: path.symlink_to("../outside"), "symbolic links"),
    ],
    ids=["pipe", "large", "link"],
)
def test_a_file_that_is_another_one_by_the_time_it_is_opened_is_checked_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, swap: Callable[[Path], object], reason: str
) -> None:
    real_open = os.open

    def open_late(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        if Path(path) == folder / ".env":
            (folder / ".env").unlink()
            swap(folder / ".env")
        return real_open(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", open_late)
    with pytest.raises((UnsafeFileError, OSError), match=reason):
        read_folder_file(".env")


def test_a_pipe_is_not_even_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(folder / "AGENTS.md")
    opened: list[object] = []
    monkeypatch.setattr(os, "open", lambda path, *_: opened.append(path))
    with pytest.raises(UnsafeFileError):
        read_folder_file("AGENTS.md")
    assert opened == []


def test_a_file_that_grows_while_it_is_read_is_not_cut(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_fstat = os.fstat

    def fstat_early(descriptor: int) -> os.stat_result:
        found = real_fstat(descriptor)
        (folder / ".env").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
        return found

    monkeypatch.setattr(os, "fstat", fstat_early)
    with pytest.raises(UnsafeFileError, match="larger than 1 MB"):
        read_folder_file(".env")


def test_trust_is_for_one_content_at_one_place_under_one_name(folder: Path) -> None:
    file = the_file()
    assert not is_trusted(file)
    trust.trust([file])
    assert is_trusted(file)
    assert not is_declined(file)
    assert answers() == {"trusted": {str(folder): {".env": file.digest}}, "declined": {}}
    assert trusted_folders() == {str(folder): {".env": file.digest}}
    assert not is_trusted(FolderFile(folder, ".env", b"A=2\n"))
    assert not is_trusted(FolderFile(folder.parent, ".env", file.content))
    assert not is_trusted(FolderFile(folder, "AGENTS.md", file.content))
    assert stat.S_IMODE(state_path().stat().st_mode) == 0o600


def test_the_newest_answer_counts_and_both_kinds_are_kept(folder: Path) -> None:
    (folder / "AGENTS.md").write_text("x")
    env, agents = the_file(), the_file(name="AGENTS.md")
    decline(iter([env, agents]))
    assert (is_declined(env), is_declined(agents), is_trusted(env)) == (True, True, False)
    trust.trust(iter([env]))
    assert (is_declined(env), is_declined(agents), is_trusted(env)) == (False, True, True)
    trust.trust([agents])
    assert answers()["declined"] == {}
    decline([agents])
    assert (is_trusted(env), is_trusted(agents), is_declined(agents)) == (True, False, True)
    assert not is_declined(FolderFile(folder, "AGENTS.md", b"y"))  # another content is asked about again


def test_what_is_forgotten_is_that_folder_alone(folder: Path) -> None:
    others = [FolderFile(folder.parent, name, b"x") for name in FILES[:2]]
    trust.trust([the_file(), others[0]])
    decline([FolderFile(folder, "AGENTS.md", b"x"), others[1]])
    assert forget(folder)
    assert not is_trusted(the_file())
    assert not is_declined(FolderFile(folder, "AGENTS.md", b"x"))
    assert is_trusted(others[0])
    assert is_declined(others[1])
    assert not forget(folder)
    trust.trust([the_file()])
    assert forget(folder)
    decline([the_file()])
    assert forget(folder)


@pytest.mark.parametrize("value", ["1", "true", " TRUE ", "t", "y", "yes", "on"])
def test_the_variable_trusts_the_current_folder_alone(
    folder: Path, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = folder / "below"
    below.mkdir()
    monkeypatch.setenv("CHATCLI_TRUST", value)
    assert is_trusted(the_file())
    for other in (folder.parent, below, Path("/")):
        assert not is_trusted(FolderFile(other, ".env", b"A=1\n"))
    monkeypatch.chdir(below)
    assert not is_trusted(FolderFile(folder, ".env", b"A=1\n"))
    assert is_trusted(FolderFile(below, ".env", b"A=1\n"))
    assert not state_path().exists()  # for one run


@pytest.mark.parametrize("value", ["", "0", "false", "no", "off", "2", "maybe"])
def test_another_value_of_the_variable_trusts_nothing(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATCLI_TRUST", value)
    assert not is_trusted(the_file())


@pytest.mark.parametrize("content", ["{", "[]", '{"trusted": []}', '{"trusted": {"/a": 1}}'])
def test_a_damaged_file_trusts_nothing_and_begins_again(content: str) -> None:
    state_path().parent.mkdir(parents=True)
    state_path().write_text(content)
    for ask in (lambda: is_trusted(the_file()), trusted_folders):
        with pytest.raises(ValueError, match=r"."):
            ask()
    trust.trust([the_file()])
    assert is_trusted(the_file())
    state_path().write_text(content.replace("trusted", "declined"))
    with pytest.raises(ValueError, match=r"."):
        is_declined(the_file())
    assert not forget(the_file().folder)


@pytest.mark.parametrize(
    ("project", "name"),
    [
        ('{"env": ".env"}', ".env"),
        ('{"env": "./conf/../conf/prod.env"}', "conf/prod.env"),
        ('{"env": "../.env"}', ""),
        ('{"env": "a/../../.env"}', ""),
        ('{"env": "/etc/passwd"}', ""),
        ('{"env": ""}', ""),
        ('{"env": {"A": "1"}}', ""),
        ("{}", ""),
        ("[]", ""),
        ("{", ""),
        (None, ""),
    ],
)
def test_the_env_file_of_a_project_is_one_inside_of_it(folder: Path, project: str | None, name: str) -> None:
    if project is not None:
        (folder / "langgraph.json").write_text(project)
    assert env_of_project(folder) == name


def test_a_project_that_can_not_be_read_has_none(folder: Path) -> None:
    os.mkfifo(folder / "langgraph.json")
    assert env_of_project(folder) == ""


def test_the_command_that_trusts_a_folder_is_typed_in_the_current_one(folder: Path) -> None:
    below, beside = folder / "below", folder.parent / "it's here"
    assert trust_command(folder) == "chat trust"
    assert trust_command(folder.parent) == "chat trust .."
    assert trust_command(below) == f"chat trust {below}"
    assert trust_command(beside) == f"chat trust '{folder.parent}/it'\"'\"'s here'"
    assert trust_command(Path("/a\x1b[31m\nb")) == "chat trust '/a b'"
