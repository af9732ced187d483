"""A renderer that is built when it is first needed, since rich takes longer to import than a prompt to show."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from chatcli.rendering.renderer import Renderer

if TYPE_CHECKING:
    from chatcli.events import Event, ThemeChosen


class DeferredRenderer:
    """Shows events with what `build` returns, called for the first event that shows something."""

    def __init__(self, build: Callable[[], Renderer]) -> None:
        self._build = build
        self._renderer: Renderer | None = None
        self._theme: ThemeChosen | None = None

    def render(self, event: "Event") -> None:
        """Show `event`; a theme alone shows nothing yet."""
        if self._renderer is None:
            from chatcli.events import ThemeChosen

            if isinstance(event, ThemeChosen):
                self._theme = event
                return
            self._renderer = self._build()
            if self._theme is not None:
                self._renderer.render(self._theme)
        self._renderer.render(event)

    def close(self) -> None:
        """Leave the output in a sane state."""
        if self._renderer is not None:
            self._renderer.close()
