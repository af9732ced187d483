"""How a builder's program shows tool calls and custom events in its own way: see `chatcli.run`."""

from collections.abc import Callable
from typing import Any

from chatcli.errors import GraphError
from chatcli.events import Event, Notice, ToolCallFinished, ToolCallStarted
from chatcli.rendering.display import MarkdownShown
from chatcli.rendering.renderer import Renderer


class BuilderRenderer:
    """Asks the builder's `show` what to print in place of an event's usual line, and leaves the rest to `renderer`.

    What `show` raises is a GraphError.
    """

    def __init__(self, renderer: Renderer, show: Callable[[Any], str | None]) -> None:
        self._renderer = renderer
        self._show = show

    def render(self, event: Event) -> None:
        """Show `event`; where `show` fails, the usual line follows a warning."""
        match event:
            case ToolCallStarted() | ToolCallFinished():
                shown = self._ask(event)
                # The line of a call that runs is removed by its end alone.
                call_id = event.call_id if isinstance(event, ToolCallFinished) else ""
            case Notice() if event.data is not None:
                shown, call_id = self._ask(event), ""
            case _:
                shown, call_id = None, ""
        self._renderer.render(event if shown is None else MarkdownShown(shown, call_id))

    def _ask(self, event: Event) -> str | None:
        try:
            return self._show(event)
        except GraphError as error:
            self._renderer.render(Notice(error.message, "warning"))
            return None

    def close(self) -> None:
        """Close the renderer."""
        self._renderer.close()
