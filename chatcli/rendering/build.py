"""Build the renderer that the settings and the streams ask for."""

import sys
from functools import partial
from typing import TextIO

from chatcli.config.settings import Settings
from chatcli.rendering.color import build_console, wants_color
from chatcli.rendering.renderer import Renderer


def build_renderer(settings: Settings) -> Renderer:
    """Return the renderer for the chosen format, or for where stdout goes."""
    match settings.format:
        case "json":
            from chatcli.rendering.json import JsonRenderer

            return JsonRenderer(sys.stdout, sys.stderr, quiet=settings.quiet)
        case "jsonl":
            from chatcli.rendering.json import JsonLinesRenderer

            return JsonLinesRenderer(sys.stdout, sys.stderr)
        case _ if settings.script is not None:
            from chatcli.rendering.script import ScriptRenderer

            return ScriptRenderer(sys.stdout, sys.stderr, quiet=settings.quiet)
        case None if settings.schema_file is None and (sys.stdout.isatty() or wants_color(settings.color)):
            from chatcli.rendering.deferred import DeferredRenderer

            # The streams of now: by then a graph of the user's may have sys.stdout.
            return DeferredRenderer(partial(_terminal_renderer, settings, sys.stdout, sys.stderr))
        case _:
            from chatcli.rendering.plain import PlainRenderer

            return PlainRenderer(sys.stdout, sys.stderr, quiet=settings.quiet)


def _terminal_renderer(settings: Settings, out: TextIO, err: TextIO) -> Renderer:
    from chatcli.rendering.terminal.renderer import TerminalRenderer
    from chatcli.rendering.theme import find_theme

    console, errors = build_console(out, settings.color), build_console(err, settings.color)
    dumb = console.is_dumb_terminal
    return TerminalRenderer(
        console,
        errors,
        markdown=not settings.plain and not dumb,
        quiet=settings.quiet,
        theme=find_theme(settings.theme),
        movable=out.isatty() and not dumb,
    )
