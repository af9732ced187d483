"""Locks that die with their holder."""

import os
import subprocess
import sys
from pathlib import Path

from chatcli.models.local.runtime import FileLock
from tests.waiting import wait_until


def test_one_exclusive_holder(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.try_take()
    assert not second.try_take()
    first.release()
    assert second.try_take()
    first.close()
    second.close()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_shared_holders_keep_the_exclusive_one_out(tmp_path: Path) -> None:
    first, second, third = (FileLock(tmp_path / "lock") for _ in range(3))
    assert first.try_take(shared=True)
    assert second.try_take(shared=True)
    assert not third.try_take()
    first.close()
    second.close()
    assert third.try_take()
    third.close()


def test_child_that_inherits_the_lock_holds_it_until_it_is_killed(tmp_path: Path) -> None:
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert lock.try_take()
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(command, pass_fds=[lock.fileno()]) as child:
        lock.close()
        assert not other.try_take()
        child.kill()
        wait_until(other.try_take)
    other.close()


def test_touch_leaves_a_trace(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    os.utime(tmp_path / "lock", (0, 0))
    before = lock.modified_ns()
    lock.touch()
    assert lock.modified_ns() > before
    lock.close()
