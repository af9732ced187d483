"""JSON messages, a line each, on this process's standard input and output."""

import asyncio
import json
import os
import threading
import time
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from chatcli.serve.standard_streams import read_lines, rpc_error, write_whole

END_SECONDS = 6.0
"""Time to stop all turns once the editor is gone; then the process ends in any case, whatever a graph is doing."""
FLUSH_SECONDS = 2.0
"""Time for the last messages to be written."""
_PARSE_ERROR, _INVALID_REQUEST = -32700, -32600

Message = dict[str, Any]


class Pipes:
    """The transport of the connection: `acp.connection.Connection` asks it for messages and gives it others.

    Threads read and write, since a standard stream may be anything: a pipe, a socket, a file.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[Message | None] = asyncio.Queue()
        self._back: list[Message | None] = []
        self._leaving: SimpleQueue[bytes | None] = SimpleQueue()
        self._closed = False
        threading.Thread(target=self._read, name="acp reader", daemon=True).start()
        self._writer = threading.Thread(target=self._write, name="acp writer", daemon=True)
        self._writer.start()

    async def receive(self) -> Message | None:
        """Return the next message; None when the editor is gone."""
        if self._back:
            return self._back.pop()
        return await self._arrived.get()

    def put_back(self, message: Message | None) -> None:
        """Let `receive` return `message` again."""
        self._back.append(message)

    async def send(self, message: Message) -> None:
        """Write `message` after those before it, without waiting; an editor that is gone gets nothing."""
        if not self._closed:
            self._leaving.put(_encoded(message))

    async def close(self) -> None:
        """Write what is left."""
        if not self._closed:
            self._leaving.put(None)
            await asyncio.to_thread(self._writer.join, FLUSH_SECONDS)
        self._closed = True

    def end(self) -> None:
        """Let `receive` return None, as it does when the editor is gone; then the process ends within a bound."""
        threading.Thread(target=_expire, name="acp end", daemon=True).start()
        self._arrived.put_nowait(None)

    def _read(self) -> None:
        try:
            for line in read_lines(self._reading):
                self._take(line)
        except OSError:
            pass
        self._tell(None)
        _expire()

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            self._leaving.put(_encoded(rpc_error(_PARSE_ERROR, "Parse error")))
            return
        if not isinstance(message, dict) or not isinstance(message.get("method", ""), str):
            self._leaving.put(_encoded(rpc_error(_INVALID_REQUEST, "Invalid request")))
            return
        self._tell(message)

    def _tell(self, message: Message | None) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, message)

    def _write(self) -> None:
        while (data := self._leaving.get()) is not None:
            try:
                write_whole(self._writing, data)
            except OSError:
                self._closed = True
                self._tell(None)
                _expire()


def _expire() -> None:
    """End the process soon, whatever keeps it, such as a node of a graph that sleeps: nobody waits for its answer."""
    time.sleep(END_SECONDS)
    os._exit(0)


def _encoded(message: Message) -> bytes:
    """Return `message` as a line; what JSON has no form for becomes a text."""
    try:
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        from chatcli.sessions.state import as_json  # late: it imports pydantic

        text = json.dumps(as_json(message), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace") + b"\n"
