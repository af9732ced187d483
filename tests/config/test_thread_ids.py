"""Which IDs a thread may have."""

import pytest

from chatcli.config.thread_ids import check_stored_id, check_thread_id


@pytest.mark.parametrize("thread_id", ["a", "a b", " a", "日本", "x" * 200, "-", "👩\u200d💻"[:1]])
def test_an_id_has_something_to_see(thread_id: str) -> None:
    assert check_thread_id(thread_id) == thread_id


@pytest.mark.parametrize("thread_id", [" ", "   ", "\u3164", "\u2800 ", "\u034f", "", "x" * 201, "a\tb", "a\u00a0b"])
def test_what_can_not_be_seen_or_is_too_long_is_no_id(thread_id: str) -> None:
    with pytest.raises(ValueError, match="a thread ID has"):
        check_thread_id(thread_id)


def test_a_store_may_hold_blanks() -> None:
    assert check_stored_id(" ") == " "
