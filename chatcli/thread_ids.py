"""The IDs of threads."""

MAX_LENGTH = 200
"""The longest thread ID, in characters."""


def new_thread_id() -> str:
    """Return an ID for a new thread: short enough to type, long enough never to meet another."""
    import secrets

    return secrets.token_hex(4)


def check_thread_id(thread_id: str) -> str:
    """Return `thread_id` when it is 1 to 200 printable characters; raise ValueError otherwise."""
    if not 1 <= len(thread_id) <= MAX_LENGTH:
        raise ValueError(f"a thread ID has 1 to {MAX_LENGTH} characters, not {len(thread_id)}")
    if not thread_id.isprintable():
        raise ValueError("a thread ID has printable characters only")
    return thread_id
