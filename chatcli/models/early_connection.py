"""Opens the connection to a model's server while the modules that will send the question are still imported.

The lookup of the name, TCP and TLS take three round trips: 100 to 300 ms with most providers.
"""

import socket
import ssl
from concurrent.futures import Future
from contextlib import suppress
from functools import cached_property
from threading import Thread
from urllib.parse import urlsplit

from chatcli.config.credentials import Credentials
from chatcli.errors import ChatcliError
from chatcli.models.names import ModelName, openai_base_url

CONNECT_SECONDS = 10.0
"""The limit for the connection alone: a host that is down should not cost a whole timeout."""


class EarlyConnection:
    """A connection with TLS that a thread opens."""

    def __init__(self, host: str, port: int) -> None:
        self.address = host, port
        self.opened: Future[ssl.SSLSocket | None] = Future()
        """The connection, or None where it failed; then the client connects anew, and reports what fails."""
        Thread(target=self._open, daemon=True).start()

    def _open(self) -> None:
        from urllib.request import getproxies  # 15 ms, which this thread has

        opened = None
        with suppress(Exception):  # a thread's traceback would stand on the screen
            if not getproxies().keys() & {"https", "all"}:  # else the question goes to a proxy
                with socket.create_connection(self.address, CONNECT_SECONDS) as connection:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    opened = self.context.wrap_socket(connection, server_hostname=self.address[0])
        self.opened.set_result(opened)

    def close(self) -> None:
        """Close the connection, once it is open."""

        def end(opened: "Future[ssl.SSLSocket | None]") -> None:
            if (connection := opened.result()) is not None:
                connection.close()

        self.opened.add_done_callback(end)

    @cached_property
    def context(self) -> ssl.SSLContext:
        """The client's own rules for TLS. To read the certificates takes 25 ms, so both share them."""
        from httpcore2 import default_ssl_context

        context = default_ssl_context()
        context.set_alpn_protocols(["http/1.1"])
        return context


_waiting: list[EarlyConnection] = []
"""The newest connection, until a client takes it."""


def connect_early(name: ModelName, credentials: Credentials) -> EarlyConnection | None:
    """Begin to connect to the server of the model `name`; nothing is sent to it. Return the connection.

    None is begun without TLS, where it would save too little, without a key, and to a server that is not asked in
    OpenAI's protocol, as other clients take no connection.
    """
    with suppress(ChatcliError, ValueError):  # who asks the model reports what is wrong with its URL
        parts = urlsplit(openai_base_url(name.provider, credentials))
        if parts.scheme == "https" and parts.hostname and not credentials.lacks_key(name.provider):
            _waiting[:] = [EarlyConnection(parts.hostname, parts.port or 443)]
            return _waiting[0]
    return None


def take_early(url: str) -> EarlyConnection | None:
    """Return the connection to the server of `url`, once; None if none was begun."""
    parts = urlsplit(url)
    fits = _waiting and _waiting[0].address == (parts.hostname, parts.port or 443) and parts.scheme == "https"
    return _waiting.pop() if fits else None
