"""Ollama's and LM Studio's servers: which of their models are listed, and how much of a question these read."""

import dataclasses
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from chatcli.config.providers import KEY_VARIABLES, PROVIDERS, Provider
from chatcli.config.settings import Settings
from chatcli.errors import ContextError, ExitCode
from chatcli.events import TurnFailed, TurnFinished
from chatcli.models.build import build_model
from chatcli.models.names import resolve_model
from chatcli.models.own_servers import MOST_MODELS, lmstudio_window, ollama_url, ollama_window
from chatcli.models.usable import usable_models
from tests.fakes.provider_server import ANSWER, FakeProvider
from tests.models.test_providers import CASES, KEY, ask
from tests.waiting import WAIT_SECONDS

pytestmark = pytest.mark.filterwarnings("ignore")

LLAMA = {"general.architecture": "llama", "llama.context_length": 8192, "clip.vision.context_length": 77}
LOADED = {"models": [{"name": "fake:latest", "model": "fake:latest", "context_length": 2048}]}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeProvider]:
    monkeypatch.chdir(tmp_path)
    for folder in ("CONFIG", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{folder}_HOME", str(tmp_path))
    for variable in ("OPENAI_BASE_URL", "CHATCLI_MODEL", "OLLAMA_CONTEXT_LENGTH", "OLLAMA_API_KEY", *KEY_VARIABLES):
        monkeypatch.delenv(variable, raising=False)
    with socket.socket() as bound, FakeProvider() as server:
        bound.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers there
        deaf = f"http://127.0.0.1:{bound.getsockname()[1]}"
        for variable in ("OLLAMA_HOST", "LANGFLOW_URL", "LMSTUDIO_BASE_URL"):
            monkeypatch.setenv(variable, deaf)
        yield server


@contextmanager
def dripping(first: bytes, then: bytes) -> Iterator[str]:
    """Run a server that sends `first`, then `then` again and again, slowly; return its URL."""
    ends = Event()

    def serve() -> None:
        while not ends.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.sendall(first)
                    while not ends.wait(0.05):
                        connection.sendall(then)
                except OSError:
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ends.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def listed(source: str) -> list[str]:
    return [str(model.name) for model in usable_models(Settings.load()) if model.source == source]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://0.0.0.0:11434"),
        (":5000", "http://127.0.0.1:5000"),
        ("box.lan/ollama/", "http://box.lan:11434/ollama"),
        ("http://box.lan", "http://box.lan:80"),
        ("https://u:p@box.lan", "https://u:p@box.lan:443"),
        ("[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_ollamas_address_is_read_as_its_own_client_does(host: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)
    assert ollama_url() == url
    assert ollama_url("http://named:1") == "http://named:1"


def test_models_on_this_machine_are_listed_without_a_key(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", fake.url)
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    monkeypatch.setenv("LMSTUDIO_BASE_URL", f"{fake.url}/v1")
    monkeypatch.setenv("LM_API_TOKEN", KEY)
    fake.others["/api/tags"] = {"models": [{"name": "llama3.2:latest"}, {"name": "qwen3:8b"}]}
    chats = [{"id": "qwen/qwen3-4b", "type": "llm"}, {"id": "gemma", "type": "vlm"}]
    fake.others["/api/v0/models"] = {"data": [*chats, {"id": "nomic", "type": "embeddings"}]}
    assert listed("Ollama") == ["ollama:llama3.2:latest", "ollama:qwen3:8b"]
    assert listed("LM Studio") == ["lmstudio:qwen/qwen3-4b", "lmstudio:gemma"]
    assert fake.asides
    assert not any("authorization" in request.headers for request in fake.asides)


def test_an_older_lm_studio_lists_its_models_too(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMSTUDIO_BASE_URL", f"{fake.url}/v1")
    fake.others["/v1/models"] = {"data": [{"id": "gemma"}, {"id": "text-embedding-nomic"}]}
    assert listed("LM Studio") == ["lmstudio:gemma"]


@pytest.mark.parametrize(
    "answer",
    [None, [], 3, {"models": None, "data": None}, {"models": [3], "data": [3]}, {"models": [{}], "data": [{}]}],
)
def test_what_is_no_list_of_models_lists_nothing(
    answer: object, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", fake.url)
    monkeypatch.setenv("LMSTUDIO_BASE_URL", f"{fake.url}/v1")
    fake.others |= {"/api/tags": answer, "/api/v0/models": answer}
    assert not any(model.source in ("Ollama", "LM Studio") for model in usable_models(Settings.load()))


def test_hostile_names_are_left_out_and_long_lists_end(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", fake.url)
    bad: list[object] = ["\x1b]0;owned\x07", "a\nb", "\u202egnp.exe", "x" * 10_000, "", 7, None]
    names = [*bad, *(f"m{number}" for number in range(5000))]
    fake.others["/api/tags"] = {"models": [{"name": name} for name in names]}
    assert listed("Ollama") == [f"ollama:m{number}" for number in range(MOST_MODELS)]


ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


@pytest.mark.parametrize(
    ("first", "then"),
    [(b"", b""), (ENDLESS, b" "), (b"HTTP/1.1 200 OK\r\nX: ", b"x"), (ENDLESS + b'{"models": [', b" " * 1_000_000)],
    ids=["silent", "drips its body", "drips its head", "endless"],
)
def test_a_slow_server_keeps_nobody_waiting(
    first: bytes, then: bytes, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dripping(first, then) as url:
        for variable in ("OLLAMA_HOST", "LMSTUDIO_BASE_URL"):
            monkeypatch.setenv(variable, url)
        began = time.monotonic()
        assert listed("Ollama") == []
        assert time.monotonic() - began < WAIT_SECONDS  # it would never end


def window(fake: FakeProvider, model: str = "fake") -> tuple[int | None, int | None] | None:
    found = ollama_window(fake.url, model, None, 5)
    return None if found is None else dataclasses.astuple(found)


def test_where_ollamas_window_is_found(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    assert window(fake) is None  # an unknown model
    fake.others["/api/show"] = {"model_info": LLAMA}
    assert window(fake) == (8192, None)
    monkeypatch.setenv("OLLAMA_CONTEXT_LENGTH", "3000")
    assert window(fake) == (8192, 3000)
    fake.others["/api/ps"] = LOADED
    assert window(fake) == (8192, 2048)
    assert window(fake, "fake:latest") == (8192, 2048)
    assert window(fake, "fake:7b") == (8192, 3000)
    fake.others["/api/show"] = {"model_info": LLAMA, "parameters": 'stop "num_ctx 5"\nnum_ctx                6000\n'}
    assert window(fake) == (8192, 6000)
    fake.others["/api/show"] = {"model_info": LLAMA, "remote_host": "https://ollama.com:443"}
    assert window(fake) == (8192, 8192)


@pytest.mark.parametrize(
    "shown",
    [None, [], {"model_info": 3}, {"model_info": {"general.architecture": "llama", "llama.context_length": -1}}],
)
def test_a_window_that_cant_be_read_is_unknown(shown: object, fake: FakeProvider) -> None:
    fake.others["/api/show"] = shown
    assert window(fake) in (None, (None, None))


@pytest.mark.parametrize(
    ("shown", "ps", "budget", "num_ctx"),
    [
        ({"model_info": LLAMA}, {}, None, None),  # the server's own, at least 4096
        ({"model_info": LLAMA, "parameters": "num_ctx 6000"}, {}, None, 6000),
        ({"model_info": LLAMA, "parameters": "num_ctx 60000"}, {}, None, 8192),
        ({"model_info": LLAMA}, LOADED, None, 2048),
        ({"model_info": LLAMA}, LOADED, "3000", 6000),
        ({"model_info": LLAMA}, LOADED, "30000", 8192),
    ],
)
def test_ollama_is_asked_for_the_window_that_is_counted_on(
    shown: object,
    ps: object,
    budget: str | None,
    num_ctx: int | None,
    fake: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("langchain_ollama")
    fake.others |= {"/api/show": shown, "/api/ps": ps}
    if budget is not None:
        monkeypatch.setenv("CHATCLI_CONTEXT_TOKENS", budget)
    last = ask(CASES["ollama"], fake, monkeypatch)[-1]
    assert isinstance(last, TurnFinished), last
    assert fake.requests[-1].body["options"].get("num_ctx") == num_ctx


@pytest.mark.parametrize(
    "question", ["word " * 2000, "\u6f22" * 1800, "\u0436" * 1800], ids=["ASCII", "CJK", "Cyrillic"]
)
@pytest.mark.parametrize("has_package", [True, False])
def test_a_question_that_ollama_would_cut_is_refused(
    question: str, has_package: bool, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    if has_package:
        pytest.importorskip("langchain_ollama")
    else:
        _remove_package(monkeypatch)
    fake.others |= {"/api/show": {"model_info": LLAMA}, "/api/ps": LOADED}
    last = ask(CASES["ollama"], fake, monkeypatch, questions=[question])[-1]
    assert isinstance(last, TurnFailed), last
    assert isinstance(last.error, ContextError)
    assert last.error.exit_code == ExitCode.REFUSED
    assert "is 1536" in last.error.message  # 2048 less a quarter for the answer
    assert "--context-tokens" in last.error.remedy
    assert fake.requests == []


def _remove_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Ollama's client one that is not installed."""
    row = dataclasses.replace(PROVIDERS["ollama"], package="not-there")
    rows: dict[str, Provider] = {**PROVIDERS, "ollama": row}
    for module in ("build", "hosted"):
        monkeypatch.setattr(f"chatcli.models.{module}.PROVIDERS", rows)


def test_ollama_answers_without_its_package(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    _remove_package(monkeypatch)
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    last = ask(CASES["ollama"], fake, monkeypatch)[-1]
    assert isinstance(last, TurnFinished), last
    assert (last.content, last.model) == (ANSWER, "ollama:fake")
    (request,) = fake.requests
    assert (request.path, request.headers["authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert "num_ctx" not in json.dumps(request.body)


def test_lm_studio_is_asked_where_it_listens_or_where_its_variable_says(
    fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LMSTUDIO_BASE_URL")
    settings = Settings.load({"timeout": 5.0})
    model = build_model(resolve_model("lmstudio:gemma", settings), settings, lambda event: None)
    assert (model.address, model.base_url, model.key) == ("http://127.0.0.1:1234/v1", "", None)
    monkeypatch.setenv("LMSTUDIO_BASE_URL", f"{fake.url}/v1")
    fake.others["/api/v0/models"] = {"data": [{"id": "other"}, {"id": "gemma", "loaded_context_length": 4000}]}
    model = build_model(resolve_model("lm-studio:gemma", settings), settings, lambda event: None)
    assert (model.address, model.base_url) == (f"{fake.url}/v1", f"{fake.url}/v1")
    assert (model.limits.window, model.limits.request) == (4000, 3000)
    assert lmstudio_window(f"{fake.url}/v1", "other", None, 5) is None


def test_no_proxy_is_asked_for_a_server_on_this_machine(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("OLLAMA_HOST", fake.url)
    fake.others["/api/tags"] = {"models": [{"name": "here"}]}
    assert listed("Ollama") == ["ollama:here"]
