"""The IDs of threads, and their titles."""

from chatcli.sanitize import reveal
from chatcli.text import one_line

MAX_ID_LENGTH = 200
"""Characters of the longest thread ID, and of the longest title that a user gives."""


def new_thread_id() -> str:
    """Return an ID for a new thread: short enough to type, long enough to be unique."""
    import secrets

    return secrets.token_hex(4)


def check_thread_id(thread_id: str) -> str:
    """Return `thread_id` when it is 1 to 200 printable characters, not all blank; raise ValueError otherwise."""
    check_stored_id(thread_id)
    if not any(char != " " and reveal(char) == char for char in thread_id):
        raise ValueError("a thread ID has characters that can be seen, not blanks alone")
    return thread_id


def check_stored_id(thread_id: str) -> str:
    """Return `thread_id` when a store may hold it: older versions took blanks, too; raise ValueError otherwise."""
    if not 1 <= len(thread_id) <= MAX_ID_LENGTH:
        raise ValueError(f"a thread ID has 1 to {MAX_ID_LENGTH} characters, not {len(thread_id)}")
    if not thread_id.isprintable():
        raise ValueError("a thread ID has printable characters only")
    return thread_id


def check_title(text: str) -> str:
    """Return `text` as a title on one line; raise ValueError unless it has 1 to 200 printable characters."""
    title = one_line(text)
    if not 1 <= len(title) <= MAX_ID_LENGTH or not title.isprintable():
        raise ValueError(f"a title has 1 to {MAX_ID_LENGTH} printable characters")
    return title
