"""`--base-url`: which model is asked there, and what is reported about an address that is wrong or does not answer."""

import socket
from collections.abc import Iterator

import pytest

from chatcli.config.providers import PROVIDERS
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Fail, unknown_model


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    """Run a model server that nothing in the environment names."""
    with FakeOpenAI() as running:
        yield running


@pytest.fixture
def deaf() -> Iterator[str]:
    """Give an address at which nobody listens, and nobody else can."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.mark.parametrize("options", [("-m", "gpt-fake"), ()], ids=["named", "listed"])
@pytest.mark.parametrize("path", ["", "/v1/chat/completions"])
def test_a_wrong_path_is_reported_with_what_may_be_right(
    chat: Chat, server: FakeOpenAI, path: str, options: tuple[str, ...]
) -> None:
    url = server.base_url.removesuffix("/v1") + path
    result = chat("--base-url", url, *options, "hello")
    assert result.returncode == 2, result
    assert f"--base-url {server.base_url}\n" in result.stderr
    assert "not known" not in result.stderr


@pytest.mark.parametrize(
    "step",
    [
        Fail(404, {"detail": "Not Found"}),
        Fail(404, {"error": {"message": "Cannot POST /v1/models-proxy/chat/completions"}}),
        Fail(405, {"detail": "Method Not Allowed"}),
    ],
    ids=["bare", "repeated path", "method"],
)
def test_a_path_that_is_not_there_is_no_unknown_model(chat: Chat, server: FakeOpenAI, step: Fail) -> None:
    server.script(step)
    result = chat("--base-url", server.base_url, "-m", "gpt-fake", "hello")
    assert result.returncode == 2, result
    assert "has nothing under /v1/chat/completions" in result.stderr


@pytest.mark.parametrize(
    "step",
    [
        unknown_model(),
        Fail(404, {"error": {"message": 'model "gpt-fake" not found, try pulling it first'}}),
        Fail(404, {"error": "gpt-fake: not found"}),
        Fail(404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist"}}),
    ],
    ids=["openai", "ollama", "its name", "azure"],
)
def test_an_unknown_model_is_no_wrong_path(chat: Chat, server: FakeOpenAI, step: Fail) -> None:
    server.script(step)
    result = chat("--base-url", server.base_url, "-m", "gpt-fake", "hello")
    assert result.returncode == 4, result
    assert "is not known there" in result.stderr


def test_the_first_model_that_the_server_lists_is_asked(chat: Chat, server: FakeOpenAI) -> None:
    server.models = ["first", "gpt-5-mini"]
    config = chat.home.root / ".config/chatcli/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('model = "anthropic:claude-sonnet-4-5"\n')  # the default, for where no server is named
    assert chat("--base-url", server.base_url, "hello").returncode == 0
    assert chat("hello", env={"CHATCLI_BASE_URL": server.base_url}).returncode == 0
    assert chat("--base-url", server.base_url, "hello", env={"CHATCLI_MODEL": "second"}).returncode == 0
    assert [request.body["model"] for request in server.requests] == ["first", "first", "second"]


def test_a_server_that_lists_nothing_asks_for_a_name(chat: Chat, server: FakeOpenAI) -> None:
    server.models = []
    result = chat("--base-url", server.base_url, "hello")
    assert result.returncode == 2
    assert "lists no models" in result.stderr
    assert "-m" in result.stderr
    assert server.requests == []
    listed = chat("--base-url", server.base_url, "models", "list", "--json").json()
    assert not any(model["default"] for model in listed)


def test_a_refused_key_is_reported_before_a_model_is_known(chat: Chat, server: FakeOpenAI) -> None:
    server.key = "sk-its-own-key"
    result = chat("--base-url", server.base_url, "hello")
    assert result.returncode == 3
    assert server.base_url in result.stderr


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("openai:gpt-fake", "OPENAI_BASE_URL"),
        ("anthropic:claude-fake", "ANTHROPIC_BASE_URL"),
        ("google_genai:gemini-fake", "GOOGLE_GEMINI_BASE_URL"),
        ("groq:llama-fake", "GROQ_API_BASE"),
        ("mistralai:mistral-fake", "MISTRAL_BASE_URL"),
        ("cohere:command-fake", "CO_API_URL"),
        ("deepseek:deepseek-fake", "DEEPSEEK_API_BASE"),
        ("ollama:fake", "OLLAMA_HOST"),
    ],
)
def test_a_failure_names_the_host_that_was_asked(
    chat: Chat, server: FakeOpenAI, deaf: str, model: str, variable: str
) -> None:
    provider = PROVIDERS[model.partition(":")[0]]
    pytest.importorskip((provider.package or "langchain_openai").replace("-", "_"))
    keys = dict.fromkeys(provider.key_variables[:1], "key-3f1a9d7c5b")
    refused = chat("-m", model, "--timeout", "1", "hello", env={**keys, variable: f"http://{deaf}"})
    assert refused.returncode == 75, refused
    assert f"{model} at http://{deaf}" in refused.stderr
    server.key = "another"
    unauthorized = chat("-m", model, "hello", env={**keys, variable: server.base_url})
    assert unauthorized.returncode == 3, unauthorized
    assert server.base_url.removesuffix("/v1") in unauthorized.stderr
