"""One HTTP/1.1 exchange over a socket, with the control over its end that a server library would deny."""

import json
import select
import socket
import struct
from collections.abc import Mapping
from http import HTTPStatus
from threading import Event
from time import monotonic
from typing import Any

from tests.fakes.steps import Request


class ClientClosedError(Exception):
    """The client closed the connection before the answer was complete."""


class Connection:
    """A client's connection; every answer ends it."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._chunked = False

    def read_request(self) -> Request | None:
        """Read one request whole; None when the client sent none, or was killed while it did."""
        with self._sock.makefile("rb") as stream:
            start = stream.readline().decode("latin-1").split()
            if not start:
                return None
            headers: dict[str, str] = {}
            while line := stream.readline().decode("latin-1").strip():
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            length = int(headers.get("content-length", "0"))
            body = stream.read(length)
        if len(body) < length:
            return None
        return Request(start[0], start[1], headers, json.loads(body or b"{}"), monotonic())

    def send_json(self, status: int, value: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        """Send a whole JSON response."""
        self.send_body(status, json.dumps(value).encode(), "application/json", headers)

    def send_body(self, status: int, body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole response."""
        fields = {"Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})}
        self._send(self._head(status, fields) + body)

    def send_event(self, data: str) -> None:
        """Send one server-sent event, after the head of the response if it is the first."""
        if not self._chunked:
            self._chunked = True
            fields = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}
            self._send(self._head(200, fields))
        event = f"data: {data}\n\n".encode()
        self._send(f"{len(event):x}\r\n".encode() + event + b"\r\n")

    def send_text(self, text: str) -> None:
        """Send `text` as it is."""
        self._send(text.encode())

    def send_endlessly(self, head: bytes, piece: bytes) -> None:
        """Send `head`, and then `piece` every few milliseconds until the client closes."""
        self._send(head)
        while True:
            self._send(piece)
            self.pause(0.005)

    def end_body(self) -> None:
        """Mark a streamed body as complete."""
        self._send(b"0\r\n\r\n")

    def reset(self) -> None:
        """Close so that the client sees "connection reset by peer"."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def pause(self, seconds: float) -> None:
        """Wait, but not longer than the client does.

        Raises:
            ClientClosedError: The client closed meanwhile.

        """
        readable, _, _ = select.select([self._sock], [], [], seconds)
        if readable:
            raise ClientClosedError

    def wait_for(self, gate: Event) -> None:
        """Wait until `gate` is set, but not longer than the client does."""
        while not gate.is_set():
            self.pause(0.02)

    def wait_until_closed(self) -> None:
        """Wait until the client closes."""
        select.select([self._sock], [], [])
        raise ClientClosedError

    def abort(self) -> None:
        """End from another thread whatever is being waited for."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:  # it was closed already
            return

    def close(self) -> None:
        """Close in the regular way."""
        self._sock.close()

    def _head(self, status: int, fields: Mapping[str, str]) -> bytes:
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _send(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except OSError as error:
            raise ClientClosedError from error
