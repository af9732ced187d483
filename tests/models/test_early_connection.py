"""The connection to a model's server that is opened before the question can be sent."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpcore2
import openai
import pytest
from langchain_core.messages import HumanMessage

from chatcli.config.settings import Settings
from chatcli.models.build import build_model
from chatcli.models.early_connection import EarlyConnection, connect_early, take_early
from chatcli.models.names import ModelName
from chatcli.models.openai_stream import STREAM_HOOKS
from chatcli.models.sdk_http import _EarlyBackend, async_client, httpx
from tests.fakes.tls_server import TlsServer
from tests.waiting import WAIT_SECONDS

pytestmark = pytest.mark.skipif(httpx.__name__ != "httpx2", reason="OpenAI's SDK takes such a client from 2.47 on")

NAME = ModelName("openai", "fake")
MIB = 1 << 20


@contextmanager
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **faults: int) -> Iterator[TlsServer]:
    """Run a server that OpenAI's client trusts, and that is told to it by the environment."""
    with TlsServer(tmp_path, **faults) as server:
        for proxy in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(proxy, raising=False)
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield server
        early = take_early(server.base_url)
        if early is not None:
            early.close()


def ask(*questions: str) -> list[str]:
    """Return the answers of one client to `questions`."""

    async def run() -> list[str]:
        model = build_model(NAME, Settings.load(), lambda event: None)
        try:
            return [
                "".join([str(chunk.content) async for chunk in model.client.astream([HumanMessage(question)])])
                for question in questions
            ]
        finally:
            assert model.close is not None
            await model.close()

    return asyncio.run(run())


def innermost(error: BaseException) -> BaseException:
    """Return the exception that caused all others."""
    return error if error.__cause__ is None else innermost(error.__cause__)


def test_the_first_question_goes_through_the_connection_that_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, monkeypatch) as server:
        early = connect_early(NAME, Settings.load().credentials)
        assert early is not None
        assert early.opened.result(WAIT_SECONDS) is not None
        server.wait_for_connections(1)
        assert server.bodies == []
        assert ask("one", "two") == ["Hello there"] * 2
        assert (server.connections, len(server.bodies)) == (1, 2)
        assert ask("three") == ["Hello there"]
        assert server.connections == 2


class Usual(httpcore2.AsyncNetworkBackend):
    """Notes the connections that are asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    async def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        self.asked.append((host, port))
        return httpcore2.AsyncMockStream([])


def test_one_request_gets_it_and_the_next_one_leaves_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(early: EarlyConnection) -> None:
        usual = Usual()
        backend = _EarlyBackend(early, usual)
        first = await backend.connect_tcp(*early.address)
        assert (first.get_extra_info("socket"), usual.asked) == (early.opened.result(), [])
        await backend.connect_tcp(*early.address)
        assert usual.asked == [early.address]
        assert first.get_extra_info("is_readable") is False  # it stays open
        await first.aclose()

    with serving(tmp_path, monkeypatch):
        early = connect_early(NAME, Settings.load().credentials)
        assert early is not None
        assert early.opened.result(WAIT_SECONDS) is not None
        asyncio.run(run(early))


@pytest.mark.parametrize("is_early", [False, True])
def test_answers_have_the_same_limits_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_early: bool
) -> None:
    with serving(tmp_path, monkeypatch) as server:
        early = connect_early(NAME, Settings.load().credentials) if is_early else None
        assert async_client(server.base_url, STREAM_HOOKS).event_hooks == STREAM_HOOKS
        if early is not None:
            early.close()
            early.opened.result(WAIT_SECONDS)


def test_a_large_question_fits_through_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, monkeypatch) as server:
        connect_early(NAME, Settings.load().credentials)
        assert ask("a" * (8 * MIB)) == ["Hello there"]
        assert (server.connections, len(server.bodies[0]) > 8 * MIB) == (1, True)


def test_a_connection_that_the_server_closed_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, monkeypatch, closed=1) as server:
        early = connect_early(NAME, Settings.load().credentials)
        assert early is not None
        opened = early.opened.result(WAIT_SECONDS)
        assert opened is not None
        opened.recv(1)  # it is closed now
        assert ask("one") == ["Hello there"]
        assert server.connections == 2


def test_a_server_that_keeps_silent_is_asked_by_another_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, monkeypatch, silent=1) as server:
        early = connect_early(NAME, Settings.load().credentials)
        assert ask("one") == ["Hello there"]
        assert server.connections == 2
        assert early is not None
        assert not early.opened.done()


def test_a_certificate_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    with serving(tmp_path, monkeypatch) as server, TlsServer(tmp_path / "other") as other:
        monkeypatch.setenv("SSL_CERT_FILE", str(other.certificate))
        early = connect_early(NAME, Settings.load().credentials)
        assert early is not None
        assert early.opened.result(WAIT_SECONDS) is None
        with pytest.raises(openai.APIConnectionError) as failed:
            ask("one")
        assert "CERTIFICATE_VERIFY_FAILED" in str(innermost(failed.value))
        assert server.bodies == []


def test_no_connection_goes_past_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, monkeypatch) as server:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        early = connect_early(NAME, Settings.load().credentials)
        assert early is not None
        assert early.opened.result(WAIT_SECONDS) is None
        assert server.connections == 0


def test_another_server_does_not_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, monkeypatch) as server:
        early = connect_early(NAME, Settings.load().credentials)
        assert take_early("https://localhost:1/v1") is None
        assert take_early(server.base_url.replace("https", "http")) is None
        assert early is not None
        assert take_early(server.base_url) is early
        assert take_early(server.base_url) is None
        early.close()
        early.opened.result(WAIT_SECONDS)  # else the server may end in the middle, and Python leaves the socket open


@pytest.mark.parametrize(
    ("provider", "variables"),
    [
        ("openai", {"OPENAI_BASE_URL": "http://localhost:1/v1"}),
        ("databricks", {"DATABRICKS_TOKEN": "sk-test", "DATABRICKS_HOST": "localhost:port"}),
        ("openai", {}),
        ("groq", {}),
        ("anthropic", {"ANTHROPIC_API_KEY": "sk-test"}),
        ("local", {}),
    ],
    ids=["no TLS", "no port", "no key", "no key of Groq", "another protocol", "the local model"],
)
def test_none_is_opened_where_it_is_of_no_use(
    provider: str, variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "GROQ_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert connect_early(ModelName(provider, "fake"), Settings.load().credentials) is None
