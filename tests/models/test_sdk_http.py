"""The connection that was opened early, as the HTTP library of OpenAI's SDK uses it."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Thread

import httpcore2
import pytest

from chatcli.models.sdk_http import _EarlyStream, httpx
from tests.fakes.tls_server import write_certificate
from tests.waiting import WAIT_SECONDS

pytestmark = pytest.mark.skipif(httpx.__name__ != "httpx2", reason="OpenAI's SDK takes such a client from 2.47 on")

Pair = tuple[ssl.SSLSocket, ssl.SSLSocket]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Give both ends of a connection with TLS, whose buffers hold little."""
    both = socket.socketpair()
    for end in both:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    write_certificate(tmp_path / "localhost.pem")
    server_context.load_cert_chain(tmp_path / "localhost.pem")
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    served: Future[ssl.SSLSocket] = Future()
    thread = Thread(target=lambda: served.set_result(server_context.wrap_socket(both[1], server_side=True)))
    thread.start()
    client = client_context.wrap_socket(both[0])
    thread.join()
    with client, served.result() as server:
        client.setblocking(False)
        with suppress(ssl.SSLWantReadError):  # what belongs to the handshake
            client.recv(1)
        yield client, server


def _watched(connection: ssl.SSLSocket) -> bool:
    loop = asyncio.get_running_loop()
    return loop.remove_reader(connection) or loop.remove_writer(connection)


async def test_a_long_text_goes_out_as_a_whole(pair: Pair) -> None:
    client, server = pair
    size, received = 1 << 20, bytearray()

    def read() -> None:
        while len(received) < size:
            received.extend(server.recv(1 << 16))

    thread = Thread(target=read, daemon=True)
    thread.start()
    await _EarlyStream(client).write(b"x" * size)
    await asyncio.to_thread(thread.join)
    assert len(received) == size
    assert not _watched(client)


async def test_what_the_library_waits_for_has_its_limits_and_its_errors(pair: Pair) -> None:
    client, _ = pair
    stream = _EarlyStream(client)
    with pytest.raises(httpcore2.ReadTimeout):
        async with asyncio.timeout(WAIT_SECONDS):
            await stream.read(1, timeout=0.01)
    assert not _watched(client)
    with pytest.raises(httpcore2.WriteTimeout):
        async with asyncio.timeout(WAIT_SECONDS):
            await stream.write(b"x" * (1 << 22), timeout=0.01)
    assert not _watched(client)
    assert stream.get_extra_info("is_readable") is False
    await stream.aclose()
    assert stream.get_extra_info("is_readable") is True
    with pytest.raises(httpcore2.ReadError):
        await stream.read(1)
    with pytest.raises(httpcore2.WriteError):
        await stream.write(b"x")
