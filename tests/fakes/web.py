"""A web server that holds a few pages and misbehaves on demand."""

import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from threading import Event

from tests.fakes.http_server import HttpServer

Page = tuple[int, dict[str, str], bytes]
"""Status, header fields, body."""


class FakeWeb(HttpServer):
    """Serves `pages` by path; `/slow` drips for a minute, `/endless` never ends, `/interim` never begins.

    Attributes:
        pages: What is served.
        hosts: The host that each request named.
        dripping: Set when a client has begun to wait for `/slow` or `/endless`.
        dripped: The paths of them that a client has waited for to the end.
        left: Set when a client waits for `/interim` no more.

    """

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.hosts: list[str] = []
        self.dripping = Event()
        self.dripped: list[str] = []
        self.left = Event()
        pages, hosts, dripping, dripped, left = self.pages, self.hosts, self.dripping, self.dripped, self.left

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hosts.append(self.headers["Host"])
                if self.path == "/interim":
                    _promise(self.wfile)
                    left.set()
                    return
                if self.path in ("/slow", "/endless"):
                    self._drip(*((600, 0.1, b".") if self.path == "/slow" else (10_000, 0, b"." * 65536)))
                    return
                status, headers, body = pages.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _drip(self, times: int, pause: float, piece: bytes) -> None:
                self.send_response(200)
                self.end_headers()
                dripping.set()
                try:
                    for _ in range(times):
                        self.wfile.write(piece)
                        time.sleep(pause)
                except OSError:  # the client has gone, as it should
                    return
                dripped.append(self.path)

        super().__init__(Handler)


def _promise(file: BufferedIOBase) -> None:
    """Say that the reply is to come, again and again, until the client leaves."""
    with suppress(OSError):
        while True:
            file.write(b"HTTP/1.1 102 Processing\r\n\r\n")
