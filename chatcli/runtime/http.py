"""HTTP within limits: the hooks that every HTTP client gets, and documents that are fetched whole."""

# The hooks are the same for httpx and httpx2, and work in a client that somebody else makes, too.

import socket
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import wait
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial
from typing import Any, TypeVar

import httpx2

from chatcli.runtime.addresses import is_this_machine
from chatcli.runtime.background import begin
from chatcli.text import one_line

MIB = 1 << 20
MOST_BODY = 128 * MIB
"""The most bytes of one response, after decompression: an answer of 100,000 tokens has some 40 MiB."""
MOST_PIECE = 16 * MIB
"""The most bytes of one event, of one line, and of a response that is no stream: readers hold it several times."""
_DECODED_AT_ONCE = MIB
_GREETING_SECONDS = 1.0
_GREETING_BYTES = 80
_EVENTS = ("text/event-stream",)
_LINES = ("application/x-ndjson", "application/jsonl", "application/json-lines", "application/stream+json")
_EVENT_ENDS = (b"\n\n", b"\n\r\n", b"\r\r")
_LINE_ENDS = (b"\n",)
_PAGE_STARTS = (b"<!doctype html", b"<html")

_Result = TypeVar("_Result")

Hooks = dict[str, list[Callable[..., Any]]]
"""The `event_hooks` of a client."""


class LimitError(Exception):
    """A response went over a limit. It is also an exception of the client's library: a `RequestError`."""


class ElsewhereError(LimitError):
    """The server redirects to another one, which gets neither the question nor the key."""


class PageError(LimitError):
    """The server answered with a web page."""


def hooks(most: int = MOST_PIECE, *, leaves: bool = False) -> Hooks:
    """Return the hooks of a blocking client; a response that is no stream has at most `most` bytes.

    One that sends neither a question nor a key may be led elsewhere: it `leaves` the server.
    """
    return {"request": [_ask_for_gzip], "response": [partial(_bound, most=most, leaves=leaves)]}


def async_hooks(most: int = MOST_PIECE, *, pages: bool = True) -> Hooks:
    """Return the hooks of an asynchronous client; an event, and a response without any, has at most `most` bytes."""

    # Without `pages`, a web page is refused: the server has another purpose.
    async def ask_for_gzip(request: Any) -> None:
        _ask_for_gzip(request)

    async def bound(response: Any) -> None:
        _bound(response, most, pages=pages)

    return {"request": [ask_for_gzip], "response": [bound]}


def _ask_for_gzip(request: Any) -> None:
    """Ask for no other compression: only zlib decompresses in pieces on every version of Python."""
    if request.headers.get("accept-encoding") != "identity":
        request.headers["accept-encoding"] = "gzip"


def _bound(response: Any, most: int, *, pages: bool = True, leaves: bool = False) -> None:
    library = type(response).__module__.partition(".")[0]
    if response.has_redirect_location and not leaves:
        target = response.url.join(response.headers["location"])
        if origin(target) != origin(response.url):
            raise _error(library, ElsewhereError, f"it redirects to {target.copy_with(userinfo=b'', query=None)}")
    codings = [coding.strip().lower() for coding in response.headers.get("content-encoding", "").split(",")]
    codings = [coding for coding in codings if coding not in ("", "identity")]
    if any(coding not in ("gzip", "x-gzip") for coding in codings) or len(codings) > 1:
        raise _error(library, LimitError, f"its answer is compressed by {', '.join(codings)}, and gzip was asked for")
    if codings:
        del response.headers["content-encoding"]
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    ends = _EVENT_ENDS if kind in _EVENTS else _LINE_ENDS if kind in _LINES else ()
    response.stream = _stream_type(library)(
        response.stream,
        library,
        most=MOST_BODY if ends else most,
        most_piece=most,
        ends=ends,
        unpack=zlib.decompressobj(zlib.MAX_WBITS | 16) if codings else None,
        pages=pages or not response.is_success,
    )


MODEL_HOOKS = async_hooks(pages=False)
"""The hooks of an asynchronous client that asks a model."""


def origin(url: Any) -> tuple[str, str, int | None]:
    """Return the scheme, the host and the port of a URL of httpx or httpx2."""
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host, port


@dataclass(eq=False)
class _BoundedStream:
    """The body of a response, decompressed in pieces and counted."""

    stream: Any
    library: str
    most: int
    most_piece: int
    ends: tuple[bytes, ...]
    unpack: "zlib._Decompress | None"
    pages: bool
    length: int = 0
    open: int = 0
    """How many bytes of the last event have come."""
    tail: bytes = b""

    def __iter__(self) -> Iterator[bytes]:
        for data in self.stream:
            yield from self._read(data)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self.stream:
            for part in self._read(data):
                yield part

    def close(self) -> None:
        self.stream.close()

    async def aclose(self) -> None:
        await self.stream.aclose()

    @property
    def elapsed(self) -> timedelta | None:
        """How long the response took, once it is closed; httpx2 asks its stream."""
        return getattr(self.stream, "elapsed", None)

    def _read(self, data: bytes) -> Iterator[bytes]:
        for part in (data,) if self.unpack is None else self._decode(self.unpack, data):
            if not self.pages and (start := part.lstrip()[:15].lower()):
                if start.startswith(_PAGE_STARTS):
                    raise _error(self.library, PageError, "it answers with a web page")
                self.pages = True  # only the beginning decides
            self.length += len(part)
            if self.ends:  # an end of an event may lie across two parts
                searched = self.tail + part
                end = max(searched.rfind(end) for end in self.ends)
                self.open = self.open + len(part) if end < 0 else len(searched) - end
                self.tail = searched[-2:]
            if self.length > self.most:
                raise self._too_much("an answer", self.most)
            if self.open > self.most_piece:
                raise self._too_much("an event", self.most_piece)
            yield part

    def _decode(self, unpack: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
        try:
            while not unpack.eof:
                part = unpack.decompress(data, _DECODED_AT_ONCE)
                yield part
                data = unpack.unconsumed_tail
                if not data and len(part) < _DECODED_AT_ONCE:
                    return
        except zlib.error as error:
            raise sys.modules[self.library].DecodingError(str(error)) from error

    def _too_much(self, what: str, most: int) -> LimitError:
        return _error(self.library, LimitError, f"it sent {what} of more than {most // MIB} MiB")


@cache
def _stream_type(library: str) -> type[_BoundedStream]:
    module = sys.modules[library]
    return type("BoundedStream", (_BoundedStream, module.AsyncByteStream, module.SyncByteStream), {})


def _error(library: str, kind: type[LimitError], reason: str) -> LimitError:
    made: type[LimitError] = type(kind.__name__, (kind, sys.modules[library].RequestError), {})
    return made(reason)


def bounded(parts: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Yield `parts` of a response that another library reads. Raises LimitError above `most` bytes."""
    length = 0
    for part in parts:
        length += len(part)
        if length > most:
            raise LimitError(f"it sent an answer of more than {most // MIB} MiB")
        yield part


def request(method: str, url: str, *, seconds: float, retries: int = 0, **more: Any) -> httpx2.Response:
    """Return the response to a request for `url`, read whole; `more` goes to `httpx2.Client.request`.

    A connection that can't be made is tried again `retries` times. Raises httpx2.HTTPError, also if it takes longer
    than `seconds` in all, and httpx2.InvalidURL.
    """
    parts = httpx2.URL(url)
    with httpx2.Client(
        timeout=seconds,
        event_hooks=hooks(),
        transport=httpx2.HTTPTransport(retries=retries) if retries else None,
        # To read the certificates takes longer than all else, and no proxy is asked for this machine.
        verify=parts.scheme != "http",
        trust_env=not is_this_machine(parts.host),
    ) as client:
        return within(seconds, lambda: client.request(method, url, **more))


def greeting(url: str) -> str:
    """Return the line that the server at `url` sends unasked, as those of SSH and mail do; an HTTP server waits."""
    parts = httpx2.URL(url)
    if parts.scheme != "http":
        return ""
    try:
        with socket.create_connection((parts.host, parts.port or 80), _GREETING_SECONDS) as connection:
            return one_line(connection.recv(_GREETING_BYTES).decode("ascii", "replace"))
    except OSError:
        return ""


def within(seconds: float, work: Callable[[], _Result]) -> _Result:
    """Return the result of `work`, which runs in a daemon thread; raise httpx2.ReadTimeout after `seconds`."""
    # A blocking client has a limit for each pause only, and none for the lookup of a name.
    result = begin(work)
    wait([result], max(seconds, 0))
    if not result.done():
        raise httpx2.ReadTimeout(f"no whole answer within {seconds:g} seconds")
    return result.result()
