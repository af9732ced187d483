"""What a response may cost: memory and time. The servers are real sockets, and the readers real clients."""

import asyncio
import gzip
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

from chatcli.runtime.http import (
    MODEL_HOOKS,
    MOST_PIECE,
    ElsewhereError,
    LimitError,
    PageError,
    async_hooks,
    hooks,
    origin,
    request,
    within,
)
from tests.fakes.raw_server import EVENTS, Send, endless, reply, server
from tests.fakes.tls_server import TlsServer
from tests.waiting import WAIT_SECONDS

MIB = 1 << 20
LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])


async def read(library: Any, url: str, **options: object) -> bytes:
    async with library.AsyncClient(event_hooks=MODEL_HOOKS, timeout=WAIT_SECONDS, **options) as client:
        response = await client.get(url)
        return bytes(response.content)


@LIBRARIES
def test_gzip_is_asked_for_and_read(library: Any) -> None:
    text = b"a word " * 300_000  # more than is decompressed at once
    with server(reply(gzip.compress(text), "Content-Encoding: gzip")) as url:
        assert asyncio.run(read(library, url)) == text
    with (
        server(reply(gzip.compress(text), "Content-Encoding: gzip")) as url,
        library.Client(event_hooks=hooks()) as client,
    ):
        assert client.get(url).content == text


@LIBRARIES
@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "deflate", "gzip, br", "unknown"])
def test_other_compression_is_refused(library: Any, encoding: str) -> None:
    with server(reply(b"x", f"Content-Encoding: {encoding}")) as url, pytest.raises(LimitError, match="gzip was asked"):
        asyncio.run(read(library, url))


@LIBRARIES
def test_a_body_that_is_no_gzip_is_an_error_of_the_library(library: Any) -> None:
    broken = reply(b"no gzip", "Content-Encoding: gzip")
    with server(broken) as url, pytest.raises(library.DecodingError):
        asyncio.run(read(library, url))


READ = """
import asyncio, resource, sys, httpx, httpx2
from chatcli.runtime.http import MODEL_HOOKS, LimitError
library = {"httpx": httpx, "httpx2": httpx2}[sys.argv[2]]
async def read():
    async with library.AsyncClient(event_hooks=MODEL_HOOKS, timeout=None) as client:
        async with client.stream("GET", sys.argv[1]) as response:
            lines = [len(line) async for line in response.aiter_lines()]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(int(sys.argv[3])):
    try:
        asyncio.run(read())
        print("it was read", 0, sep="|")
    except LimitError as error:
        print(error, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, sep="|")
"""


@cache
def compressed() -> bytes:
    """Return 300 MiB in a few hundred kB."""
    return gzip.compress(bytes(300 * MIB))


def bomb(kind: str) -> Send:
    return lambda connection: reply(compressed(), "Content-Encoding: gzip", kind)(connection)


COSTLY: dict[str, tuple[Send, str]] = {
    "a bomb": (bomb("Content-Type: application/json"), "an answer of more than 16 MiB"),
    "a bomb of one event": (bomb("Content-Type: text/event-stream"), "an event of more than 16 MiB"),
    "an endless event": (endless(EVENTS + b"data: ", b"x" * MIB), "an event of more than 16 MiB"),
    "an endless line": (
        endless(EVENTS.replace(b"text/event-stream", b"application/x-ndjson"), b"x" * MIB),
        "an event of more than 16 MiB",
    ),
    "an endless event of many lines": (endless(EVENTS, b"data: x\n" * 100_000), "an event of more than 16 MiB"),
    "endless events": (endless(EVENTS, (b"data: " + b"x" * 1000 + b"\n\n") * 1000), "an answer of more than 128 MiB"),
}


@pytest.mark.linux
@pytest.mark.e2e
@LIBRARIES
def test_memory_stays_bounded(library: Any) -> None:
    with server(*(answer for answer, _ in COSTLY.values())) as url:
        command = [sys.executable, "-c", textwrap.dedent(READ), url, library.__name__, str(len(COSTLY))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS, check=True)
    for (case, (_, words)), line in zip(COSTLY.items(), done.stdout.splitlines(), strict=True):
        said, grown = line.split("|")
        assert words in said, case
        assert int(grown) < 200, (case, grown)  # in MiB, the most so far


@LIBRARIES
def test_events_whose_end_is_cut_are_counted_one_by_one(library: Any) -> None:
    event = b"data: " + b"x" * (MIB - 8) + b"\n\n"
    body = event * 40

    def send(connection: socket.socket) -> None:
        connection.sendall(EVENTS)
        for start in range(0, len(body), MIB - 1):  # the cut moves through the ends
            connection.sendall(body[start : start + MIB - 1])

    with server(send) as url:
        assert asyncio.run(read(library, url)) == body


@LIBRARIES
def test_a_redirect_stays_within_the_origin(library: Any) -> None:
    moved = reply(b"", "Location: /there", status="307 Temporary Redirect")
    with server(moved, reply(b"fine")) as url:
        assert asyncio.run(read(library, url, follow_redirects=True)) == b"fine"
    asked: list[bool] = []
    with server(lambda connection: asked.append(True)) as other:
        for target in (other, other.replace("127.0.0.1", "localhost"), "https://127.0.0.1/", "//example.org/x"):
            away = reply(b"", f"Location: {target}", status="307 Temporary Redirect")
            for follows in (True, False):
                with server(away) as url, pytest.raises(ElsewhereError, match="redirects to"):
                    asyncio.run(read(library, url, follow_redirects=follows))
    assert asked == []
    away = reply(b"", "Location: https://me:s3cret@a.example/x?key=s3cret", status="307 Temporary Redirect")
    with server(away) as url, pytest.raises(ElsewhereError, match=r"redirects to https://a\.example/x$"):
        asyncio.run(read(library, url))


def test_an_origin_is_the_scheme_the_host_and_the_port() -> None:
    urls = ("http://a:1", "https://a:1", "http://b:1", "http://a:2", "http://a", "https://a", "http://a:443")
    assert len({origin(httpx2.URL(url)) for url in urls}) == len(urls)
    assert origin(httpx2.URL("http://a:80/x")) == origin(httpx2.URL("http://a/y?z"))


@LIBRARIES
def test_a_page_is_no_answer_of_a_model(library: Any) -> None:
    for page in (b"<!DOCTYPE html><p>Login", b"\n<html>"):
        with server(reply(page)) as url, pytest.raises(PageError):
            asyncio.run(read(library, url))
    with server(reply(b"<html>", status="502 Bad Gateway")) as url:
        assert asyncio.run(read(library, url)) == b"<html>"


def test_a_limit_is_an_error_of_its_library() -> None:
    for library in (httpx, httpx2):
        with server(reply(b"x", "Content-Encoding: br")) as url, pytest.raises(library.RequestError):
            asyncio.run(read(library, url))


def test_a_document_has_a_total_time() -> None:
    with server(endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n")) as url, pytest.raises(httpx2.ReadTimeout):
        request("GET", url, seconds=0.5)
    with server(endless(b"HTTP/1.1 200 OK\r\nX: ", b"x")) as url, pytest.raises(httpx2.RemoteProtocolError):
        request("GET", url, seconds=WAIT_SECONDS)
    with pytest.raises(httpx2.ReadTimeout, match=r"0\.1 seconds"):
        within(0.1, threading.Event().wait)
    with pytest.raises(ZeroDivisionError):
        within(10, lambda: 1 / 0)


def test_a_list_of_any_size_is_refused_above_the_limit() -> None:
    with server(reply(b"x" * (MOST_PIECE + 1))) as url, pytest.raises(LimitError):
        request("GET", url, seconds=WAIT_SECONDS)
    with server(reply(b"x" * (MOST_PIECE + 1))) as url:
        hooked = async_hooks(2 * MOST_PIECE)

        async def read_more() -> int:
            async with httpx2.AsyncClient(event_hooks=hooked) as client:
                return len((await client.get(url)).content)

        assert asyncio.run(read_more()) == MOST_PIECE + 1


async def parts_of(library: Any, kind: str, *pieces: bytes, most: int = 100, **headers: str) -> list[bytes]:
    """Return the parts that a client gets of a response of this `kind`, which comes in `pieces`."""

    async def sent() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    def answer(request: Any) -> Any:
        return library.Response(200, headers={"content-type": kind, **headers}, content=sent())

    transport = library.MockTransport(answer)
    async with (
        library.AsyncClient(transport=transport, event_hooks=async_hooks(most, pages=False)) as client,
        client.stream("GET", "http://a") as response,
    ):
        return [part async for part in response.aiter_bytes()]


@LIBRARIES
@pytest.mark.parametrize(
    ("kind", "end"),
    [
        *(("text/event-stream", end) for end in ("\n\n", "\n\r\n", "\r\n\r\n", "\r\r")),
        ("application/x-ndjson; charset=utf-8", "\n"),
    ],
)
async def test_a_stream_is_as_long_as_it_likes_but_each_event_has_a_bound(library: Any, kind: str, end: str) -> None:
    def pieces(length: int) -> list[bytes]:
        data = f"{'x' * length}{end}".encode() * 9
        return [data[at : at + 7] for at in range(0, len(data), 7)]  # the ends lie across pieces, too

    assert b"".join(await parts_of(library, kind, *pieces(80))) == b"".join(pieces(80))
    with pytest.raises(library.RequestError, match="it sent an event of more than"):
        await parts_of(library, kind, *pieces(120))
    with pytest.raises(library.RequestError, match="it sent an answer of more than"):
        await parts_of(library, "application/json", *pieces(80))


@LIBRARIES
async def test_only_the_beginning_says_that_an_answer_is_a_page(library: Any) -> None:
    assert await parts_of(library, "text/event-stream", b"\n", b"data: x\n\n", b"<html>") != []
    with pytest.raises(library.RequestError, match="a web page"):
        await parts_of(library, "text/event-stream", b"\n", b"<HTML>")


@LIBRARIES
async def test_what_is_compressed_is_decompressed_in_pieces(library: Any) -> None:
    options: dict[str, Any] = {"most": 9 * MIB, "content-encoding": "gzip"}
    parts = await parts_of(library, "text/plain", gzip.compress(b"x" * 8 * MIB), **options)
    assert sum(map(len, parts)) == 8 * MIB
    assert max(map(len, parts)) <= MIB


def test_no_proxy_is_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with server(reply(b"fine")) as url:
        assert request("GET", url, seconds=20).content == b"fine"


def test_a_certificate_is_checked(tmp_path: Path) -> None:
    with TlsServer(tmp_path) as tls, pytest.raises(httpx2.ConnectError, match="certificate verify failed"):
        request("GET", tls.base_url, seconds=20)
