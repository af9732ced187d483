"""The REPL: read lines and pass them to the handler."""

import asyncio
import signal
from typing import TYPE_CHECKING

from chatcli.repl.prompt import Prompt
from chatcli.runtime.signals import leave_signals_to_python, silence_dead_terminal, take_signals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chatcli.conversation.conversation import Conversation
    from chatcli.events import ThreadChoice
    from chatcli.repl.handler import LineHandler


class Repl:
    """Runs a conversation at the terminal until the user leaves.

    Args:
        prompt: The input line.
        open_handler: Imports and builds the handler of the lines. It runs after the first prompt has appeared, so
            that the prompt appears sooner. A line that is entered earlier waits for it.

    """

    def __init__(self, prompt: Prompt, open_handler: "Callable[[], Awaitable[LineHandler]]") -> None:
        self._prompt = prompt
        self._open_handler = open_handler
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
            self._opening = asyncio.ensure_future(self._open_handler())
        self._handler = await self._opening
        return self._handler

    async def run(self, first: str | None = None, *, choices: "tuple[ThreadChoice, ...]" = ()) -> bool:
        """Ask `first`, if given, then each typed line; return whether a signal ended the REPL, not the user.

        With `choices`, the user picks one of these threads first.
        """
        leave_signals_to_python()  # from here on the terminal must be restored at the end
        take_signals(asyncio.get_running_loop(), self._stop, (signal.SIGTERM, signal.SIGHUP))
        with self._prompt.held():
            if choices:
                await (await self.handler()).pick(choices)
            if first is not None:
                await (await self.handler()).ask_first(first)
            while not self._leaving:
                try:
                    line = await self._prompt.read()
                except EOFError:
                    break
                if line.strip():
                    await self._handle(line)
        return self._stopped

    async def _handle(self, line: str) -> None:
        with self._prompt.bracketed_paste():
            handler = await self.handler()
        if self._leaving:  # a signal came meanwhile
            await handler.keep(line)
            return
        await handler.handle(line)
        self._leaving |= handler.leaving

    async def close(self) -> None:
        """Stop what is running, and close the handler if it was opened."""
        if self._opening is not None:
            await (await self.handler()).close()

    def _stop(self) -> None:
        silence_dead_terminal()
        self._leaving = self._stopped = True
        if self._handler is not None:
            self._handler.interrupt()
        self._prompt.leave()
