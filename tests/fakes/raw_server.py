"""A server that answers with given bytes: for what no HTTP library would send."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Send = Callable[[socket.socket], None]
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
"""The head of an event stream."""


@contextmanager
def server(*answers: Send) -> Iterator[str]:
    """Serve one connection after another, each by the next of `answers`; yield the address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            try:
                connection, _ = listener.accept()
            except OSError:  # the test has ended
                return
            with connection:
                connection.recv(65536)
                try:
                    answer(connection)
                except OSError:  # the client has left
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def reply(body: bytes, *fields: str, status: str = "200 OK") -> Send:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *fields])
    return lambda connection: connection.sendall(f"{head}\r\n\r\n".encode() + body)


def endless(head: bytes, piece: bytes) -> Send:
    """Send `piece` until the client leaves."""

    def send(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)

    return send
