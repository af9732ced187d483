"""A model hub over a real socket, which fails in the ways that real ones do."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import ClassVar, Self


class Hub:
    """Serves `files`, by path; the attributes set how.

    - `ranges`: whether a Range header is obeyed
    - `status`: answered instead of a file, when not 200
    - `cut_after`: bytes of the body after which the connection is closed, `stall_after` after which it is silent
    - `chunk_pause`: seconds between two pieces of 64 kB
    - `heads`: by path, the headers of a response without a body, which may redirect
    - `silent`: accept connections and never answer
    """

    handler: ClassVar[type["_Handler"]]

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.heads: dict[str, dict[str, str]] = {}
        self.ranges = True
        self.status = 200
        self.cut_after: int | None = None
        self.stall_after: int | None = None
        self.chunk_pause = 0.0
        self.silent = False
        self.requests: list[tuple[str, str | None]] = []
        self.tokens: list[str | None] = []
        self.closing = threading.Event()
        handler = type("Handler", (self.handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: ClassVar[Hub]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.hub.requests.append((self.path, wanted))
        if self.hub.silent:
            self.hub.closing.wait()
            return
        self.hub.tokens.append(self.headers.get("Authorization"))
        if (head := self.hub.heads.get(self.path)) is not None:
            self.send_response(302 if "Location" in head else self.hub.status)
            for name, value in ({"Content-Length": "0"} | head).items():
                self.send_header(name, value)
            self.end_headers()
            return
        body = self.hub.files.get(self.path)
        if body is None or self.hub.status != 200:
            self.send_error(self.hub.status if body is not None else 404)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.hub.ranges else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self._send(body[start:])

    def _send(self, body: bytes) -> None:
        for position in range(0, len(body), 65536):
            if self.hub.cut_after is not None and position >= self.hub.cut_after:
                return
            if self.hub.stall_after is not None and position >= self.hub.stall_after:
                self.hub.closing.wait()
                return
            try:
                self.wfile.write(body[position : position + 65536])
            except OSError:
                return
            time.sleep(self.hub.chunk_pause)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Tests read `requests` instead."""


Hub.handler = _Handler
