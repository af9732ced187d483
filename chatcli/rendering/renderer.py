"""The protocol of every kind of output, and the loop that passes events to it."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from chatcli.events import Event


class Renderer(Protocol):
    """Shows events; all output of a session goes through one renderer.

    The methods neither wait nor start threads. Errors of the output stream, such as a broken pipe, are raised.
    """

    def render(self, event: "Event") -> None:
        """Show `event`. Events arrive in the order that `chatcli.events` describes."""

    def close(self) -> None:
        """Complete the output and restore the terminal; called once, even after a failure."""


async def consume(
    events: "AsyncIterator[Event]", renderer: Renderer, *, hides: "Callable[[Event], bool]" = lambda event: False
) -> "Event | None":
    """Show every event and return the last one; close `events`, even if rendering fails (a broken pipe).

    What `hides` is true of is not shown: the caller shows it in another form.
    """
    last = None
    try:
        async for event in events:
            if not hides(event):
                renderer.render(event)
            last = event
    finally:
        if (close := getattr(events, "aclose", None)) is not None:
            await close()
    return last
