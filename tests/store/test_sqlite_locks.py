"""The locks of a SQLite store among the turns of one process, which the kernel does not tell apart."""

from pathlib import Path

from chatcli.store.sqlite.threads import SqliteLocks


def test_two_turns_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    one, two = SqliteLocks(tmp_path / "threads.db"), SqliteLocks(tmp_path / "threads.db")
    assert one.try_lock("abc")
    assert not two.try_lock("abc")
    assert two.try_lock("another")
    two.unlock("abc")  # which it has not
    assert not two.try_lock("abc")
    one.unlock("abc")
    assert two.try_lock("abc")


def test_a_store_that_is_removed_and_made_again_has_locks_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "threads.db"
    assert SqliteLocks(file).try_lock("abc")
    (tmp_path / "threads.db-lock").unlink()
    assert SqliteLocks(file).try_lock("another")
    assert (tmp_path / "threads.db-lock").exists()
