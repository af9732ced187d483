"""Puts off garbage collection while modules are imported, since there is no garbage then."""

import gc

_OBJECTS_WHILE_IMPORTING = 1_000_000
_OBJECTS_AFTER_IMPORTS = 50_000


def put_off_collections() -> None:
    """Make Python collect garbage only after a million new objects, which no import creates."""
    # With Python's own threshold of 700, hundreds of collections examine all imported objects and find nothing: a
    # quarter of the time to the first request, for the same peak of memory. With 50,000, each takes 16 ms, which delays
    # a key.
    gc.set_threshold(_OBJECTS_WHILE_IMPORTING)


def resume_collections() -> None:
    """Allow collections again where they were put off, but leave out the objects that exist now."""
    if gc.get_threshold()[0] == _OBJECTS_WHILE_IMPORTING:
        gc.freeze()
        gc.set_threshold(_OBJECTS_AFTER_IMPORTS)
