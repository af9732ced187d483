"""A model server with TLS that counts its connections and keeps them open."""

import datetime as dt
import json
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Condition, Thread
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.waiting import WAIT_SECONDS

_ANSWER = (
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": " there"}, "finish_reason": "stop"}]},
)


class TlsServer:
    """The server; `folder` gets its certificate.

    The first `silent` connections get no handshake, and it closes the next `closed` ones after theirs.
    """

    def __init__(self, folder: Path, *, silent: int = 0, closed: int = 0) -> None:
        self.certificate = folder / "localhost.pem"
        self.bodies: list[bytes] = []
        self._silent, self._closed = silent, closed
        self._accepted: list[ssl.SSLSocket] = []
        self._threads: list[Thread] = []
        self._changed = Condition()
        write_certificate(self.certificate)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *args: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for connection in self._accepted:
            with suppress(OSError):  # the client has gone
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for opened in (self._listener, *self._accepted):
            opened.close()

    @property
    def base_url(self) -> str:
        """The base URL for OpenAI's protocol."""
        return f"https://localhost:{self._listener.getsockname()[1]}/v1"

    @property
    def connections(self) -> int:
        """How many clients have connected."""
        return len(self._accepted)

    def wait_for_connections(self, count: int) -> None:
        """Wait until `count` clients have connected."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.connections >= count, WAIT_SECONDS)

    def _start(self, work: Callable[[], None]) -> None:
        self._threads.append(Thread(target=work, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                connection = self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
                with self._changed:
                    self._accepted.append(connection)
                    self._changed.notify_all()
                if self.connections > self._silent:
                    self._start(
                        partial(self._serve, connection, closes=self.connections <= self._silent + self._closed)
                    )

    def _serve(self, connection: ssl.SSLSocket, *, closes: bool) -> None:
        with suppress(OSError):
            connection.do_handshake()
            if closes:
                connection.close()
                return
            with connection.makefile("rb") as stream:
                while stream.readline():
                    length = 0
                    while header := stream.readline().strip().lower():
                        if header.startswith(b"content-length:"):
                            length = int(header.partition(b":")[2])
                    self.bodies.append(stream.read(length))
                    connection.sendall(_response())


def _response() -> bytes:
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "fake"}
    events = [json.dumps(chunk | part) for part in _ANSWER]
    body = "".join(f"data: {event}\n\n" for event in (*events, "[DONE]")).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def write_certificate(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(secret + certificate.public_bytes(Encoding.PEM))
