"""Puts off garbage collection while modules are imported, since there is no garbage then."""

import gc

_WHILE_IMPORTING = 1_000_000
_AFTER_THAT = 50_000


def put_off_collections() -> None:
    """Make Python collect garbage only after a million new objects, which no import creates.

    With Python's own threshold of 700, hundreds of collections examine all imported objects and find nothing: a quarter
    of the time to the first request, for the same peak of memory. With 50,000, each takes 16 ms, which delays a key.
    """
    gc.set_threshold(_WHILE_IMPORTING)


def resume_collections() -> None:
    """Where collections were put off, allow them again, except for the objects that exist now."""
    if gc.get_threshold()[0] == _WHILE_IMPORTING:
        gc.freeze()
        gc.set_threshold(_AFTER_THAT)
