"""Build the REPL: the prompt first, and behind it everything that handles its lines."""

import asyncio
import os
import sys
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING

from prompt_toolkit.completion import DynamicCompleter

from chatcli.config.settings import Settings
from chatcli.conversation.place import Place
from chatcli.rendering.renderer import Renderer
from chatcli.repl.loop import Repl
from chatcli.repl.prompt import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chatcli.attachments.attachment import Attachment
    from chatcli.conversation.conversation import Conversation
    from chatcli.repl.completion import LineCompleter
    from chatcli.repl.handler import LineHandler

_SWITCH_INTERVAL = 0.001
"""Seconds that an importing thread may hold the interpreter while a key waits to be shown. A key needs several turns:
with Python's default of 0.005 an echo took up to 40 ms."""


def build_repl(
    settings: Settings,
    place: Place,
    begin: "Callable[[], Conversation]",
    renderer: Renderer,
    attachments: "Sequence[Attachment]" = (),
) -> Repl:
    """Return the REPL at this process's terminal.

    The conversation begins, and its engine is opened, once the prompt is on the screen.
    """
    prompt = _build_prompt(settings, place, renderer, lambda: repl.conversation)

    def open_handler() -> "LineHandler":
        from chatcli.repl.handler import build_handler

        return build_handler(settings, begin, renderer, prompt, attachments, toolbar=_may_use_terminal(settings))

    repl = Repl(prompt, partial(asyncio.to_thread, open_handler))
    prompt.when_shown = lambda: _warm_up(repl, prompt)
    return repl


def _build_prompt(
    settings: Settings, place: Place, renderer: Renderer, conversation: "Callable[[], Conversation | None]"
) -> Prompt:
    asks_background = _may_use_terminal(settings) and settings.theme == "auto" and settings.color != "never"
    return Prompt(
        DynamicCompleter(cache(lambda: _build_completer(settings, place, conversation))),
        keep_history=not settings.no_save,
        vi=settings.editing_mode == "vi",
        plain=settings.plain or os.environ.get("TERM") == "dumb",
        color=settings.color != "never",
        on_background=partial(_choose_theme, renderer) if asks_background else None,
    )


def _may_use_terminal(settings: Settings) -> bool:
    """Return whether to show a toolbar, and whether the terminal may be asked for its background."""
    return not settings.plain and not settings.quiet and os.environ.get("TERM") != "dumb"


def _choose_theme(renderer: Renderer, dark: bool) -> None:
    from chatcli.events import ThemeChosen

    renderer.render(ThemeChosen("dark" if dark else "light"))


def _build_completer(
    settings: Settings, place: Place, conversation: "Callable[[], Conversation | None]"
) -> "LineCompleter":
    from chatcli.repl.completion import build_completer

    return build_completer(settings, place, conversation)


async def _warm_up(repl: Repl, prompt: Prompt) -> None:
    """Import what handles lines and shows answers, then open the engine.

    One after the other: two importing threads would slow down typing.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL)
    handler = await repl.handler()
    await asyncio.to_thread(import_module, "chatcli.rendering.terminal.renderer")
    handler.conversation.warm_up(on_end=prompt.refresh)
    prompt.refresh()
