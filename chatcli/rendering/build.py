"""Build the renderer for the settings and the streams."""

import os
import sys
from functools import partial
from typing import IO, TYPE_CHECKING, Any, TextIO

from chatcli.config.settings import Settings
from chatcli.rendering.renderer import Renderer
from chatcli.runtime.program import current_program

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import Console

    from chatcli.events import Event


def build_renderer(settings: Settings) -> Renderer:
    """Return the renderer for the chosen format, or for where stdout goes."""
    if settings.format in ("json", "jsonl"):
        from chatcli.rendering.json import JsonLinesRenderer, JsonRenderer

        if settings.format == "jsonl":
            return JsonLinesRenderer(sys.stdout, sys.stderr)
        return JsonRenderer(sys.stdout, sys.stderr, quiet=settings.quiet)
    renderer, show = _build_text(settings), current_program().show
    if show is None:
        return renderer
    from chatcli.rendering.builders import BuilderRenderer

    return BuilderRenderer(renderer, show)


def _build_text(settings: Settings) -> Renderer:
    is_plain = settings.format is not None or settings.script is not None or settings.schema_file is not None
    if not is_plain and (sys.stdout.isatty() or wants_color(settings.color)):
        # The streams as they are now: a user graph may replace sys.stdout later.
        return DeferredRenderer(partial(terminal_renderer, settings, sys.stdout, sys.stderr))
    from chatcli.rendering.plain import PlainRenderer, ScriptRenderer

    plain = PlainRenderer if settings.script is None else ScriptRenderer
    # An answer by a schema is JSON, and nothing stands after it.
    listed, chosen = settings.schema_file is None, bool(settings.node)
    return plain(sys.stdout, sys.stderr, quiet=settings.quiet, lists_sources=listed, chosen_nodes=chosen)


def terminal_renderer(settings: Settings, out: TextIO, err: TextIO, **options: Any) -> Renderer:
    """Return the renderer for a terminal; its consoles are made with `options`, too."""
    from chatcli.rendering.terminal.renderer import TerminalRenderer
    from chatcli.rendering.theme import find_code_theme, find_theme

    console, errors = (build_console(stream, settings.color, **options) for stream in (out, err))
    dumb = console.is_dumb_terminal
    return TerminalRenderer(
        console,
        errors,
        markdown=not settings.plain and not dumb,
        quiet=settings.quiet,
        theme=find_theme(settings.theme),
        code_theme=find_code_theme(settings.code_theme),
        movable=out.isatty() and not dumb,
    )


def wants_color(mode: str, environment: "Mapping[str, str]" = os.environ) -> bool:
    """Return whether to use colours even without a terminal; `mode` is auto, always or never (https://no-color.org)."""
    forced = bool(environment.get("FORCE_COLOR")) and not environment.get("NO_COLOR")
    return mode == "always" or (mode == "auto" and forced)


def build_console(stream: IO[str], mode: str, **options: Any) -> "Console":
    """Return a console on `stream`; in "auto", rich looks at NO_COLOR, FORCE_COLOR, COLORTERM and TERM."""
    from rich.console import Console

    options = {"force_terminal": True if wants_color(mode) else None, **options}
    return Console(file=stream, no_color={"always": False, "never": True}.get(mode), **options)


class DeferredRenderer:
    """Calls `build` at the first event that shows something: importing rich takes longer than showing a prompt."""

    def __init__(self, build: "Callable[[], Renderer]") -> None:
        self._build = build
        self._renderer: Renderer | None = None
        self._kept: list[Event] = []

    def render(self, event: "Event") -> None:
        """Show `event`; what the terminal said is kept until another event comes, since it shows nothing by itself."""
        if self._renderer is None:
            from chatcli.rendering.display import AbilityReported, ThemeChosen

            if isinstance(event, ThemeChosen | AbilityReported):
                self._kept.append(event)
                return
            self._renderer = self._build()
            for kept in self._kept:
                self._renderer.render(kept)
        self._renderer.render(event)

    def close(self) -> None:
        """Close the renderer if it was built."""
        if self._renderer is not None:
            self._renderer.close()
