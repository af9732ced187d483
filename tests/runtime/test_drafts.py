"""The drafts of files that are replaced: none outlasts its writer, and a new name is on the disk."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chatcli.runtime.files import replace_privately

_STOPPED = """
import sys
from pathlib import Path
from chatcli.runtime.files import replace_privately

def parts():
    yield "a secret fact\\n" * 1000
    print("writing", flush=True)
    sys.stdin.read()

replace_privately(Path(sys.argv[1]), parts())
"""


def _writer(path: Path) -> "subprocess.Popen[str]":
    """Return a process that stands in the middle of writing `path`."""
    command = [sys.executable, "-c", _STOPPED, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


@pytest.mark.e2e
def test_the_draft_of_a_killed_writer_is_removed_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "user.md"
    other = tmp_path / ".user.md-of-somebody-else"
    other.write_text("stays")
    with _writer(path) as process:
        assert len(list(tmp_path.iterdir())) == 2
        process.send_signal(signal.SIGKILL)
    assert len(list(tmp_path.iterdir())) == 2
    replace_privately(path, ["new"])
    assert {file.name for file in tmp_path.iterdir()} == {"user.md", other.name}


@pytest.mark.e2e
def test_the_draft_of_a_running_writer_stays(tmp_path: Path) -> None:
    path = tmp_path / "user.md"
    with _writer(path) as process:
        replace_privately(path, ["new"])
        process.communicate("")
        assert process.returncode == 0
    assert path.read_text().startswith("a secret fact")
    assert len(list(tmp_path.iterdir())) == 1


def test_no_other_file_is_taken_for_a_draft(tmp_path: Path) -> None:
    number = "0123456789abcdef"
    others = {
        f".user.md-{number}0",
        f".user.md-{number[1:]}",
        f".other.md-{number}",
        f"user.md-{number}",
        f"{number}.txt",
    }
    for name in (*others, f".user.md-{number}"):
        (tmp_path / name).touch()
    replace_privately(tmp_path / "user.md", ["new"])
    assert {file.name for file in tmp_path.iterdir()} == {"user.md", *others}


def test_a_draft_that_another_process_took_for_a_leftover_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, removed = fcntl.flock, list[Path]()

    def flock(file: int, operation: int) -> None:
        if not removed:  # between the draft's making and its lock
            removed.extend(tmp_path.iterdir())
            removed[0].unlink()
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    replace_privately(tmp_path / "user.md", ["new"])
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("user.md", "new")]
    assert len(removed) == 1


def test_a_file_is_written_where_the_folder_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), tmp_path.stat()):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr("chatcli.runtime.files.write_to_disk.__defaults__", (None,))
    replace_privately(tmp_path / "a", ["text"])
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a", "text")]


def test_the_folder_is_synced_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.path.samestat(os.fstat(descriptor), tmp_path.stat()) and (tmp_path / "a").exists())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    replace_privately(tmp_path / "a", ["text"])
    assert synced == [False, True]
