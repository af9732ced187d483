"""`httpx`: the HTTP library that OpenAI's SDK takes clients of."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import httpcore2
import openai

from chatcli.models.early_connection import EarlyConnection, take_early
from chatcli.runtime.http import Hooks

if hasattr(openai, "DefaultAsyncHttpx2Client"):
    import httpx2 as httpx
    from openai import DefaultAsyncHttpx2Client as DefaultAsyncClient
else:  # before 2.47; the names are the same
    import httpx  # type: ignore[no-redef]
    from openai import DefaultAsyncHttpxClient as DefaultAsyncClient  # type: ignore[assignment]

__all__ = ["async_client", "httpx"]

_MORE_SECONDS = 0.3
"""How long a question waits for its early connection. Then it connects anew, and tries several addresses at once."""
_Result = TypeVar("_Result")


def async_client(url: str, hooks: Hooks) -> httpx.AsyncClient:
    """Return the SDK's client for the server at `url`, with the connection to it that was opened early."""
    early = take_early(url) if httpx.__name__ == "httpx2" else None
    if early is None:
        return DefaultAsyncClient(event_hooks=hooks)
    client = DefaultAsyncClient(event_hooks=hooks, verify=early.context)
    # A client takes a whole transport only, and ours would need most of the library's own. A connection that is open
    # already saves 100 to 300 ms of the first answer; `test_early_connection` fails when these names change.
    pool = client._transport._pool  # type: ignore[attr-defined]
    pool._network_backend = _EarlyBackend(early, pool._network_backend)
    return client


class _EarlyBackend(httpcore2.AsyncNetworkBackend):
    """Gives the first request the connection that was opened early, and connects for all others."""

    def __init__(self, early: EarlyConnection, usual: httpcore2.AsyncNetworkBackend) -> None:
        self._early: EarlyConnection | None = early
        self._usual = usual

    async def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        early, self._early = self._early, None
        if early is not None:
            stream = await self._opened(early)
            if stream is not None and early.address == (host, port) and stream.is_waiting():
                return stream
            early.close()
        return await self._usual.connect_tcp(host, port, *args, **kwargs)

    async def _opened(self, early: EarlyConnection) -> "_EarlyStream | None":
        with suppress(TimeoutError):
            opened = await asyncio.to_thread(early.opened.result, _MORE_SECONDS)
            return None if opened is None else _EarlyStream(opened)
        return None

    async def sleep(self, seconds: float) -> None:
        await self._usual.sleep(seconds)


class _EarlyStream(httpcore2.AsyncNetworkStream):
    """A connection that has TLS already, as the HTTP library reads and writes it."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        connection.setblocking(False)
        self._connection = connection

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the library's
        with _mapped(httpcore2.ReadTimeout, httpcore2.ReadError):
            async with asyncio.timeout(timeout):
                return await self._when_ready(partial(self._connection.recv, max_bytes))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the library's
        left = memoryview(buffer)
        with _mapped(httpcore2.WriteTimeout, httpcore2.WriteError):
            async with asyncio.timeout(timeout):
                while left:
                    left = left[await self._when_ready(partial(self._connection.send, left)) :]

    async def _when_ready(self, work: Callable[[], _Result]) -> _Result:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        while True:
            try:
                return work()
            except ssl.SSLWantReadError:
                watch, forget = loop.add_reader, loop.remove_reader
            except ssl.SSLWantWriteError:
                watch, forget = loop.add_writer, loop.remove_writer
            ready.clear()
            watch(self._connection, ready.set)
            try:
                await ready.wait()
            finally:
                forget(self._connection)

    async def aclose(self) -> None:
        self._connection.close()

    async def start_tls(self, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return not self.is_waiting()
        return self._connection if info in ("ssl_object", "socket") else None

    def is_waiting(self) -> bool:
        """Return whether the server waits for a request: it has neither closed the connection nor said anything."""
        try:
            self._connection.recv(1)
        except ssl.SSLWantReadError:
            return True
        except OSError:
            return False
        return False


@contextmanager
def _mapped(timeout: type[Exception], error: type[Exception]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as failure:
        raise timeout(str(failure)) from failure
    except OSError as failure:
        raise error(str(failure)) from failure
