"""The REPL: it reads lines and passes them to the handler.

The prompt is built first, and behind it everything that handles its lines.
"""

import asyncio
import os
import signal
import sys
import time
from concurrent.futures import Future
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from prompt_toolkit.completion import DynamicCompleter

from chatcli.commands.lines import parse_command, parse_shell, parse_word
from chatcli.config.settings import Settings
from chatcli.conversation.backend import Backend
from chatcli.rendering.images import is_multiplexed, known_protocol
from chatcli.rendering.renderer import Renderer
from chatcli.repl.keys import ASK_ATTRIBUTES, ASK_BACKGROUND, ASK_NAME, Reply
from chatcli.repl.prompt import Prompt
from chatcli.runtime.signals import leave_signals_to_python, silence_dead_terminal, take_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chatcli.attachments.attachment import Attachment
    from chatcli.commands.registry import Choice
    from chatcli.conversation.conversation import Conversation
    from chatcli.repl.completion import LineCompleter
    from chatcli.repl.handler import LineHandler

_SWITCH_INTERVAL = 0.001
"""Seconds that an importing thread may hold the interpreter while a key waits to be shown. A key needs several turns:
with Python's default of 0.005 an echo took up to 40 ms."""
_RENDERER = "chatcli.rendering.terminal.renderer"
"""What shows answers."""
_ANSWERED = ("retry", "continue", "approve")
"""The commands that an answer follows, as it follows the prompts of MCP servers."""


class Repl:
    """Runs a conversation at the terminal until the user leaves.

    `open_handler` imports and builds the handler of the lines. It runs in a thread after the first prompt has appeared,
    so that the prompt appears sooner. A line that is entered earlier waits for it; `shows_start` says whether something
    moves on the screen meanwhile.
    """

    def __init__(self, prompt: Prompt, open_handler: "Callable[[], LineHandler]", *, shows_start: bool) -> None:
        self._prompt = prompt
        self._open_handler = open_handler
        self._shows_start = shows_start
        self.begun: Future[asyncio.AbstractEventLoop] = Future()
        """Where the conversation runs, once it has begun, for what asks it from another thread."""
        self._opening: asyncio.Future[LineHandler] | None = None
        self._handler: LineHandler | None = None
        self._leaving = False
        self._stopped = False

    @property
    def conversation(self) -> "Conversation | None":
        """The conversation; None before it begins."""
        return self._handler.conversation if self._handler is not None else None

    async def handler(self) -> "LineHandler":
        """Return the handler of the lines; the first call builds it."""
        if self._opening is None:
            self._opening = asyncio.ensure_future(asyncio.to_thread(self._open_handler))
        self._handler = await self._opening
        return self._handler

    async def run(
        self,
        first: str | None = None,
        *,
        resources: "Sequence[tuple[str, str]]" = (),
        threads: "Sequence[Choice]" = (),
        decides: bool = False,
    ) -> bool:
        """Ask `first`, if given, then each typed line; return whether a signal ended the REPL, not the user.

        The `resources` of MCP servers go along with `first`.
        With `threads`, the user picks one of them first; with `decides`, they decide on the calls that wait.
        """
        leave_signals_to_python()  # from here on the terminal must be restored at the end
        take_signals(asyncio.get_running_loop(), self._stop, (signal.SIGTERM, signal.SIGHUP))
        with self._prompt.held():
            if threads:
                await (await self.handler()).resume(threads)
            if first is not None:
                await (await self._handler_of_line()).ask_first(first, resources)
            if decides:
                await (await self.handler()).decide()
            while not self._leaving:
                try:
                    line = await self._prompt.read()
                except EOFError:
                    break
                if line.strip():
                    await self._handle(line)
        return self._stopped

    async def _handle(self, line: str) -> None:
        if _is_answered(line):
            self._prompt.skip_line()
        with self._prompt.bracketed_paste():
            handler = await self._handler_of_line()
        if self._leaving:  # a signal came meanwhile
            await handler.keep(line)
            return
        await handler.handle(line)
        self._leaving |= handler.context.leaving

    async def _handler_of_line(self) -> "LineHandler":
        """Return the handler for a line that was entered now; show meanwhile that the program is starting."""
        entered = time.monotonic()
        if self._shows_start:
            with self._prompt.starting():
                await self.handler()
                await asyncio.to_thread(import_module, _RENDERER)
            self._shows_start = False
        handler = await self.handler()
        handler.entered = entered
        return handler

    async def close(self) -> None:
        """Stop what is running, and close the handler if it was opened."""
        if self._opening is not None:
            await (await self.handler()).conversation.close()

    def _stop(self) -> None:
        silence_dead_terminal()
        self._leaving = self._stopped = True
        if self._handler is not None:
            self._handler.interrupt()
        self._prompt.leave()


def _is_answered(line: str) -> bool:
    """Return whether an answer follows `line`: a question, or a command that goes on with one."""
    command = parse_word(line) or parse_command(line)
    if command is not None:
        return command.name in _ANSWERED or ":" in command.name
    return parse_shell(line) is None


def build_repl(
    settings: Settings,
    backend: Backend,
    begin: "Callable[[], Conversation]",
    renderer: Renderer,
    attachments: "Sequence[Attachment]" = (),
) -> Repl:
    """Return the REPL at this process's terminal. The conversation begins once the prompt is on the screen."""

    def build_completer() -> "LineCompleter":
        from chatcli.repl import completion

        return completion.build_completer(settings, backend, lambda: repl.conversation, repl.begun)

    def open_handler() -> "LineHandler":
        from chatcli.repl.handler import LineHandler

        return LineHandler(settings, begin(), renderer, prompt, attachments, toolbar=_may_use_terminal(settings))

    prompt = _build_prompt(settings, renderer, build_completer)
    shows_start = _may_use_terminal(settings) and settings.format is None
    repl = Repl(prompt, open_handler, shows_start=shows_start)
    prompt.when_shown = lambda: _warm_up(repl, prompt)
    return repl


def _build_prompt(settings: Settings, renderer: Renderer, build_completer: "Callable[[], LineCompleter]") -> Prompt:
    asks = ASK_NAME
    if settings.theme == "auto" and settings.color != "never":
        asks += ASK_BACKGROUND
    if not known_protocol() and not is_multiplexed():
        asks += ASK_ATTRIBUTES

    def show_reply(reply: Reply) -> None:
        from chatcli.rendering.display import AbilityReported, ThemeChosen

        if reply not in ("dark", "light"):
            renderer.render(AbilityReported(reply))
        elif ASK_BACKGROUND in asks:  # these replies are names of themes
            prompt.use_theme(reply)
            prompt.refresh()
            renderer.render(ThemeChosen(reply))

    prompt = Prompt(
        DynamicCompleter(cache(build_completer)),
        keep_history=not settings.no_save,
        vi=settings.editing_mode == "vi",
        plain=settings.plain or os.environ.get("TERM") == "dumb",
        color=settings.color != "never",
        theme=settings.theme,
        spaced=settings.format not in ("json", "jsonl"),
        asks=asks if _may_use_terminal(settings) else "",
        on_reply=show_reply,
        asks_focus=settings.notify != "off",
    )
    return prompt


def _may_use_terminal(settings: Settings) -> bool:
    """Return whether to show a toolbar, and whether the terminal may be asked for its background."""
    return not settings.plain and not settings.quiet and os.environ.get("TERM") != "dumb"


async def _warm_up(repl: Repl, prompt: Prompt) -> None:
    """Import what handles lines and shows answers, then open the engine: two importing threads would slow typing."""
    sys.setswitchinterval(_SWITCH_INTERVAL)
    handler = await repl.handler()
    # Here, not in the thread that built it: prompt-toolkit fails when the line ends at the same moment.
    prompt.refresh()
    prompt.offer_commands()
    await asyncio.to_thread(import_module, _RENDERER)

    def on_end() -> None:
        prompt.refresh()
        handler.on_open()

    handler.conversation.warm_up(on_end=on_end)
    repl.begun.set_result(asyncio.get_running_loop())
    prompt.refresh()
