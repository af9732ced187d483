"""`!command`: a line for the user's shell."""

import asyncio
import codecs
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress

from chatcli.events import Event, ShellFinished, ShellOutput

KEPT = 1_000_000
"""Characters of the output, its end, that are kept to be asked about."""


class ShellCommand:
    """Runs `command` in the user's shell; its output comes as events.

    It gets neither the keyboard nor the terminal: the input line uses them.
    """

    def __init__(self, command: str) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None

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
            yield ShellFinished(self._command, output, code if code >= 0 else 128 - code)
        finally:
            if process.returncode is None:
                self._send(signal.SIGKILL)
                await process.wait()

    def interrupt(self) -> None:
        """Interrupt the command, as Ctrl-C does."""
        self._send(signal.SIGINT)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(self._process.pid, number)
