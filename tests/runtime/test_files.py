"""Files that are replaced in one step."""

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chatcli.runtime.files import FULL_SYNC, change_state, read_file, read_state, replace_privately, write_to_disk

KILLED_HALFWAY = """
import os, signal, sys
from pathlib import Path
from chatcli.runtime.files import read_file, replace_privately

def parts():
    yield "new" * 10_000
    os.kill(os.getpid(), signal.SIGKILL)

replace_privately(Path(sys.argv[1]), parts())
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "new"
    before = os.umask(0)
    try:
        replace_privately(path, ["one ", "two"])
    finally:
        os.umask(before)
    assert (path.read_text(), mode(path)) == ("one two", 0o600)


@pytest.mark.parametrize("old", [0o600, 0o640, 0o644])
def test_the_mode_is_private_or_stays(tmp_path: Path, old: int) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(old)
    replace_privately(path, ["new"], keep_mode=True)
    assert (path.read_text(), mode(path)) == ("new", old)
    replace_privately(path, ["newer"])
    assert (path.read_text(), mode(path)) == ("newer", 0o600)


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    target, between, link = tmp_path / "dotfiles" / "target", tmp_path / "between", tmp_path / "link"
    link.symlink_to("between")
    between.symlink_to(target)
    for text in ("made", "replaced"):  # the first time the link leads nowhere
        replace_privately(link, [text])
        assert (link.is_symlink(), between.is_symlink(), target.read_text()) == (True, True, text)
    assert list(target.parent.iterdir()) == [target]


def test_links_in_a_circle_stay(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.symlink_to(two)
    two.symlink_to(one)
    with pytest.raises(OSError, match="symbolic links"):
        replace_privately(one, ["text"])
    assert one.is_symlink()
    assert two.is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    os.chown(path, 1234, 2345)
    replace_privately(path, ["new"], keep_mode=True)
    assert (path.read_text(), path.stat().st_uid, path.stat().st_gid) == ("new", 1234, 2345)


def test_an_owner_that_cannot_be_kept_prevents_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fchown(descriptor: int, user: int, group: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))  # as for all users but root

    path = tmp_path / "file"
    path.write_text("old")
    monkeypatch.setattr(os, "fchown", fchown)
    replace_privately(path, ["new"])
    assert (path.read_text(), list(tmp_path.iterdir())) == ("new", [path])


def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED_HALFWAY, path], check=False)
    assert (done.returncode, path.read_text()) == (-signal.SIGKILL, "old")
    assert all(mode(left) == 0o600 for left in tmp_path.iterdir() if left != path)


@pytest.mark.parametrize("failure", [OSError("it fails"), KeyboardInterrupt("it fails")], ids=["failure", "Ctrl-C"])
def test_a_failure_in_the_middle_leaves_the_old_file_alone(tmp_path: Path, failure: BaseException) -> None:
    def parts() -> Iterator[str]:
        yield "new"
        raise failure

    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(type(failure), match="it fails"):
        replace_privately(path, parts())
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])


def test_the_longest_name_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    replace_privately(path, ["text"])
    assert path.read_text() == "text"


def test_a_device_is_written_to(tmp_path: Path) -> None:
    # A terminal's: nothing can be put in its place, also by root, so a fault destroys no device of the machine.
    master, terminal = os.openpty()
    try:
        link = tmp_path / "device"
        link.symlink_to(os.ttyname(terminal))
        replace_privately(link, ["text"])
        assert (os.read(master, 100), link.is_symlink()) == (b"text", True)
    finally:
        os.close(terminal)
        os.close(master)


def test_settings_without_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "settings"
    path.write_text("a = 1")
    assert read_file(path) == b"a = 1"
    with path.open("ab") as file:
        file.truncate(10**9)
    for endless in (path, Path("/dev/zero")):
        with pytest.raises(ValueError, match="larger than 16 MB"):
            read_file(endless)
    assert read_file(Path(os.devnull)) == b""


def test_a_pipe_is_refused_at_once_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "settings"
    os.mkfifo(path)
    free = file_of_nothing()
    with pytest.raises(OSError, match="it is a pipe, not a file"):
        read_file(path)
    assert file_of_nothing() == free  # its descriptor is closed


def test_changes_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: change_state(path, lambda data: data.update({name: True})), map(str, range(40))))
    assert sorted(read_state(path), key=int) == [str(number) for number in range(40)]
    assert (mode(path), list(tmp_path.iterdir())) == (0o600, [path])


def test_a_damaged_state_is_refused_and_counts_as_empty_for_a_change(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("[1]")
    with pytest.raises(ValueError, match="no JSON object"):
        read_state(path)
    change_state(path, lambda data: data.update(one=1))
    assert read_state(path) == {"one": 1}


@pytest.mark.parametrize("full_sync", [None, FULL_SYNC, 10_000], ids=["fsync", "of this system", "not supported"])
def test_a_file_is_written_to_the_disk_by_what_the_file_system_has(tmp_path: Path, full_sync: int | None) -> None:
    with (tmp_path / "file").open("w") as file:
        write_to_disk(file.fileno(), full_sync)
    with pytest.raises(OSError, match="Bad file"):
        write_to_disk(file_of_nothing(), full_sync)


def test_a_file_is_whole_on_the_disk_before_it_takes_the_place_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real_fsync = tmp_path / "file", os.fsync
    path.write_text("old")
    seen: list[tuple[str, str, int]] = []

    def fsync(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            [draft] = [other for other in tmp_path.iterdir() if other != path]
            seen.append((draft.read_text(), path.read_text(), mode(draft)))
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr("chatcli.runtime.files.write_to_disk.__defaults__", (None,))
    path.chmod(0o640)
    replace_privately(path, ["one ", "two"], keep_mode=True)
    assert seen == [("one two", "old", 0o640)]
    assert list(tmp_path.iterdir()) == [path]


def file_of_nothing() -> int:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor
