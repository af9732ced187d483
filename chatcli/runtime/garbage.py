"""When Python looks for garbage: not while it imports, since then there is none."""

import gc

_WHILE_IMPORTING = 1_000_000
_AFTER_THAT = 50_000


def put_off_collections() -> None:
    """Let Python look for garbage after a million new objects only, which no import makes.

    By its own 700, hundreds of collections look through all that was imported, and find nothing: a quarter of the time
    to the first request, for the same peak of memory. By 50,000 each takes 16 ms, in the middle of a key's echo.
    """
    gc.set_threshold(_WHILE_IMPORTING)


def resume_collections() -> None:
    """Where collections were put off, let Python look for garbage again, but never among what there is now."""
    if gc.get_threshold()[0] == _WHILE_IMPORTING:
        gc.freeze()
        gc.set_threshold(_AFTER_THAT)
