"""The one consumer of events, for turns and commands, in the REPL and in a pipe."""

from collections.abc import AsyncIterator

from chatcli.events import Event
from chatcli.rendering.renderer import Renderer


async def consume(events: AsyncIterator[Event], renderer: Renderer) -> Event | None:
    """Show every event and return the last; what rendering raises (a broken pipe) also closes `events`."""
    last = None
    try:
        async for event in events:
            renderer.render(event)
            last = event
    finally:
        if (close := getattr(events, "aclose", None)) is not None:
            await close()
    return last
