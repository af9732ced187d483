"""Run a command in the user's shell, after `!`."""

import asyncio
import codecs
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress

from chatcli.events import Event
from chatcli.rendering.display import ShellFinished, ShellOutput
from chatcli.tools.leash import missed_interrupt

KEPT = 1_000_000
"""The most characters of a command's output that are kept for a question; the end of a longer output is kept."""
_POLL_SECONDS = 0.05


class ShellCommand:
    """Runs `command` in the user's shell; its output becomes events.

    The command has no access to the keyboard and the terminal, since the input line uses them.
    """

    def __init__(self, command: str) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._done = False
        self._ending: asyncio.Task[None] | None = None
        """Ends what an interrupted shell leaves running; None if nothing was interrupted."""

    async def run(self) -> AsyncIterator[Event]:
        """Yield the output as it arrives, then the exit code; closing the generator early kills the command."""
        self._process = process = await asyncio.create_subprocess_exec(
            os.environ.get("SHELL") or "/bin/sh",
            "-c",
            self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        output = ""
        try:
            while data := await process.stdout.read(65536):
                text = decoder.decode(data)
                output = (output + text)[-KEPT:]
                yield ShellOutput(text)
            code = await process.wait()
            if self._ending is not None:
                await self._ending
            self._done = True
            yield ShellFinished(self._command, output, code if code >= 0 else 128 - code)
        finally:
            self._send(signal.SIGKILL)
            await process.wait()

    def interrupt(self) -> None:
        """Interrupt the command, as Ctrl-C does; the second time, or once the shell itself is over, kill it.

        What an interrupted shell leaves running is killed too, such as its background jobs, which ignore interrupts.
        """
        if self._process is None:
            return
        if self._ending is not None or self._process.returncode is not None:
            self._send(signal.SIGKILL)
        else:
            self._send(signal.SIGINT)
            self._ending = asyncio.ensure_future(self._end(self._process))

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        while process.returncode is None:  # `wait` would also wait for the output of what is left
            await asyncio.sleep(_POLL_SECONDS)
            for missed in missed_interrupt(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(missed, signal.SIGINT)
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and not self._done:
            with suppress(ProcessLookupError, PermissionError):  # it has just ended (macOS), or runs as another user
                os.killpg(self._process.pid, number)
