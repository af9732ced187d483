"""The protocol of every kind of output, and the one loop that hands it events."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chatcli.events import Event


class Renderer(Protocol):
    """Shows events; nothing else writes the output of a session.

    Neither method waits or starts a thread. They raise what the output raises, such as a broken pipe.
    """

    def render(self, event: "Event") -> None:
        """Show `event`. Events come in the order that `chatcli.events` guarantees."""

    def close(self) -> None:
        """Leave the output in a sane state; called once, also after a failure."""


async def consume(events: "AsyncIterator[Event]", renderer: Renderer) -> "Event | None":
    """Show every event and return the last; `events` is closed also when rendering fails, as with a broken pipe."""
    last = None
    try:
        async for event in events:
            renderer.render(event)
            last = event
    finally:
        if (close := getattr(events, "aclose", None)) is not None:
            await close()
    return last
