"""The program connects to the model's server while it still starts, or while the first question is typed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home
from tests.fakes.tls_server import TlsServer


@pytest.fixture
def server(home: Home, tmp_path: Path) -> Iterator[TlsServer]:
    """Run a server that the program trusts and asks."""
    with TlsServer(tmp_path) as running:
        home.env["SSL_CERT_FILE"] = str(running.certificate)
        home.env["OPENAI_API_KEY"] = "sk-test"
        home.env["OPENAI_BASE_URL"] = running.base_url
        yield running


@pytest.mark.parametrize("args", [(), ("-t", "bu")], ids=["a new thread", "a thread that may have another server"])
def test_a_question_takes_one_connection(args: tuple[str, ...], chat: Chat, server: TlsServer) -> None:
    answered = chat("-m", "fake", *args, "hello")
    assert (answered.returncode, answered.stdout) == (0, "Hello there\n"), answered
    assert (server.connections, len(server.bodies)) == (1, 1)


def test_the_server_is_connected_to_before_the_question_is_checked(chat: Chat, server: TlsServer) -> None:
    too_long = ("-m", "fake", "--context-tokens", "1000", "word " * 2000)
    assert chat(*too_long).returncode == 4
    server.wait_for_connections(1)
    assert server.bodies == []
    assert chat("-t", "bu", *too_long).returncode == 4
    assert server.connections == 1


def test_the_first_key_connects_and_the_question_goes_that_way(terminal: OpenTerminal, server: TlsServer) -> None:
    tty = terminal("-m", "fake")
    tty.wait_for_prompt()
    assert server.connections == 0
    tty.send("hel")
    server.wait_for_connections(1)
    tty.send_line("lo")
    tty.wait_for("Hello there")
    assert (server.connections, len(server.bodies)) == (1, 1)
