"""Build the REPL: the prompt first, and behind it everything that handles its lines."""

import os
import sys
from functools import cache, partial
from typing import TYPE_CHECKING

from chatcli.config.settings import THEMES, Settings
from chatcli.conversation.place import Place, open_threads
from chatcli.errors import ChatcliError
from chatcli.rendering.renderer import Renderer
from chatcli.store.location import StoreLocation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chatcli.attachments.attachment import Attachment
    from chatcli.conversation.conversation import Conversation
    from chatcli.repl.completion import Choices, LineCompleter
    from chatcli.repl.handler import LineHandler
    from chatcli.repl.loop import Repl
    from chatcli.repl.prompt import Prompt

_KEYS_WAIT = 0.001
"""Seconds that an importing thread may hold the interpreter while a key waits to be shown. A key needs several turns:
with Python's default of 0.005 an echo took up to 40 ms."""


def build_repl(
    settings: Settings,
    place: Place,
    begin: "Callable[[], Conversation]",
    renderer: Renderer,
    attachments: "Sequence[Attachment]" = (),
) -> "Repl":
    """Return the REPL at this process's terminal.

    The conversation begins, and its engine is opened, once the prompt is on the screen.
    """
    from chatcli.repl.loop import Repl

    prompt = _build_prompt(settings, place, renderer, lambda: repl.conversation)

    async def open_handler() -> "LineHandler":
        import asyncio

        return await asyncio.to_thread(_build_handler, settings, begin, renderer, prompt, attachments)

    repl = Repl(prompt, open_handler)
    prompt.when_shown = lambda: _warm_up(repl, prompt)
    return repl


def _build_prompt(
    settings: Settings, place: Place, renderer: Renderer, conversation: "Callable[[], Conversation | None]"
) -> "Prompt":
    from prompt_toolkit.completion import DynamicCompleter

    from chatcli.repl.prompt import Prompt

    asks_background = _is_lively(settings) and settings.theme == "auto" and settings.color != "never"
    return Prompt(
        DynamicCompleter(cache(lambda: _build_completer(settings, place, conversation))),
        keep_history=not settings.no_save,
        vi=settings.editing_mode == "vi",
        plain=settings.plain or os.environ.get("TERM") == "dumb",
        color=settings.color != "never",
        on_background=partial(_choose_theme, renderer) if asks_background else None,
    )


def _is_lively(settings: Settings) -> bool:
    """Return whether a toolbar may be shown and the terminal be asked for its background."""
    return not settings.plain and not settings.quiet and os.environ.get("TERM") != "dumb"


def _choose_theme(renderer: Renderer, dark: bool) -> None:
    from chatcli.events import ThemeChosen

    renderer.render(ThemeChosen("dark" if dark else "light"))


def _build_completer(
    settings: Settings, place: Place, conversation: "Callable[[], Conversation | None]"
) -> "LineCompleter":
    from chatcli.commands.all import all_commands
    from chatcli.repl.completion import LineCompleter

    return LineCompleter(
        all_commands(), {**_argument_choices(settings, place), "set": lambda: _graph_fields(conversation())}
    )


def _build_handler(
    settings: Settings,
    begin: "Callable[[], Conversation]",
    renderer: Renderer,
    prompt: "Prompt",
    attachments: "Sequence[Attachment]",
) -> "LineHandler":
    """Import and build what handles lines; give the prompt its toolbar."""
    from chatcli.commands.all import all_commands
    from chatcli.commands.registry import CommandContext
    from chatcli.repl.handler import LineHandler
    from chatcli.repl.toolbar import Toolbar

    conversation = begin()
    toolbar = Toolbar(conversation, lambda: _thread_titles(conversation.place))
    toolbar.on_change = prompt.refresh
    if _is_lively(settings):
        prompt.toolbar = toolbar.text
        prompt.refresh()
    context = CommandContext(conversation, all_commands(), settings)
    return LineHandler(context, toolbar.watch(renderer), prompt, attachments)


async def _warm_up(repl: "Repl", prompt: "Prompt") -> None:
    """Import what handles lines and shows answers, then open the engine.

    One after the other: two importing threads would slow down typing.
    """
    import asyncio
    from importlib import import_module

    sys.setswitchinterval(_KEYS_WAIT)
    handler = await repl.handler()
    await asyncio.to_thread(import_module, "chatcli.rendering.terminal.renderer")
    handler.conversation.warm_up(on_end=prompt.refresh)
    prompt.refresh()


def _graph_fields(conversation: "Conversation | None") -> list[tuple[str, str]]:
    """Return what `/set` may begin with where a graph takes values, once the thread is open."""
    if conversation is None:
        return []
    from chatcli.graphs.values import shown_key

    return [(f"{shown_key(kind, key)}=", name) for kind, key, name in conversation.settable()]


def _argument_choices(settings: Settings, place: Place) -> "dict[str, Choices]":
    """Return the choices for the arguments of slash commands."""
    return {
        "thread": lambda: _thread_titles(place).items(),
        "model": lambda: _model_choices(settings),
        "role": _role_choices,
        "theme": lambda: [(name, "") for name in THEMES],
        "help": _manual_topics,
    }


def _model_choices(settings: Settings) -> list[tuple[str, str]]:
    from chatcli.models.usable import usable_models

    return [(model.alias or str(model.name), model.source) for model in usable_models(settings)]


def _role_choices() -> list[tuple[str, str]]:
    from chatcli.roles.role import SHIPPED, role_files

    return [(name, "shipped" if path.parent == SHIPPED else "yours") for name, path in role_files().items()]


def _manual_topics() -> tuple[tuple[str, str], ...]:
    from chatcli.manual import list_topics

    return list_topics()


def _thread_titles(place: Place) -> dict[str, str]:
    """Return the titles of the stored threads by ID, the newest first; none if the store can't be read."""
    if not isinstance(place, StoreLocation) or place.path is None or not place.path.exists():
        return {}
    try:
        return {thread.thread_id: thread.title for thread in open_threads(place).recent()}
    except ChatcliError:
        return {}
