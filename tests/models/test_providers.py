"""Each provider's real client sends a streamed turn to a server that speaks its protocol."""

import asyncio
import dataclasses
import functools
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from chatcli.config.providers import KEY_VARIABLES, PROVIDERS
from chatcli.config.settings import Settings
from chatcli.errors import ChatcliError, ExitCode
from chatcli.events import Event, Notice, ReasoningDelta, TextDelta, TurnFailed, TurnFinished
from chatcli.graphs.chat.answer_schema import AnswerSchema, load_schema
from chatcli.graphs.chat.graph import build_graph
from chatcli.graphs.chat.session import ChatSession
from chatcli.graphs.chat.state import TurnContext
from chatcli.models.build import build_model
from chatcli.models.names import ModelName, resolve_model
from chatcli.runtime.http import MIB, MOST_BODY, MOST_PIECE
from chatcli.sessions.requests import Ask
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store
from tests.fakes.provider_server import ANSWER, TOKEN, FakeProvider, with_payload
from tests.models.service_account import write_service_account
from tests.waiting import WAIT_SECONDS

# Warnings of the providers' packages are not about our code.
pytestmark = pytest.mark.filterwarnings("ignore")

KEY = "key-7d1f0a5e3c9b4286"


@dataclass(frozen=True)
class Case:
    """A provider's way to the fake server: the path of its base URL, and what else it needs."""

    model: str
    base_path: str = ""
    env: dict[str, str] = field(default_factory=dict)


AWS = {"AWS_ACCESS_KEY_ID": "AKIAFAKE", "AWS_SECRET_ACCESS_KEY": KEY, "AWS_REGION": "eu-west-1"}
GOOGLE = {
    "GOOGLE_CLOUD_PROJECT": "fake-project",
    "GOOGLE_CLOUD_LOCATION": "europe-west1",
    "GOOGLE_API_KEY": "of-gemini",
}
CASES = {
    "openai": Case("openai:gpt-fake", "/v1"),
    "anthropic": Case("anthropic:claude-fake"),
    "google_genai": Case("google_genai:gemini-fake"),
    "azure_openai": Case("azure_openai:gpt-fake", env={"OPENAI_API_VERSION": "2024-10-21"}),
    "google_vertexai": Case("google_vertexai:gemini-fake", env=GOOGLE),
    "groq": Case("groq:llama-fake"),
    "cohere": Case("cohere:command-fake"),
    "nvidia": Case("nvidia:meta/llama-fake", "/v1"),
    "fireworks": Case("fireworks:accounts/fireworks/models/fake", "/v1"),
    "mistralai": Case("mistralai:mistral-fake", "/v1"),
    "together": Case("together:meta-llama/fake", "/v1"),
    "xai": Case("xai:grok-fake", "/v1"),
    "deepseek": Case("deepseek:deepseek-fake", "/v1"),
    "ollama": Case("ollama:fake"),
    "lmstudio": Case("lmstudio:fake", "/v1"),
    "openrouter": Case("openrouter:some/fake", "/v1"),
    "perplexity": Case("perplexity:sonar"),
    "databricks": Case("databricks:fake"),
    "bedrock_converse": Case("bedrock_converse:anthropic.claude-3-haiku-20240307-v1:0", env=AWS),
}
LIMITED = tuple(provider for provider in CASES if provider != "bedrock_converse")
"""The providers whose HTTP client is one of httpx, with our limits."""
FAILURES: dict[str, tuple[int, dict[str, Any], ExitCode]] = {
    "a refused key": (401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}, ExitCode.AUTH),
    "an unknown model": (404, {"error": {"message": "The model does not exist"}}, ExitCode.REFUSED),
    "a rate limit": (429, {"error": {"code": 429, "message": "Rate limit reached"}}, ExitCode.TEMPORARY),
    "a failing server": (500, {"error": {"message": "Internal error"}}, ExitCode.TEMPORARY),
    "a filter": (400, {"error": {"message": "content_filter: refused"}}, ExitCode.REFUSED),
    "no credit": (402, {"error": {"message": "Payment Required"}}, ExitCode.TEMPORARY),
    "an overflow": (400, {"error": {"message": "exceeds this model's maximum context length"}}, ExitCode.REFUSED),
}

GRAPH = build_graph(InMemorySaver())
"""Compiled once: that takes as long as a turn."""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeProvider]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("platformdirs.PlatformDirs.user_config_dir", str(tmp_path / "config"))
    for variable in ("OPENAI_BASE_URL", *KEY_VARIABLES):
        monkeypatch.delenv(variable, raising=False)
    with FakeProvider() as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def _read_services_once() -> Iterator[None]:
    """Let all clients of AWS share one reader of its services: each would look into 400 folders, and parse 2 MB."""
    with pytest.MonkeyPatch.context() as patch:
        if importlib.util.find_spec("botocore"):
            from botocore.loaders import create_loader

            patch.setattr("botocore.session.create_loader", functools.cache(create_loader))
        yield


def ask(
    case: Case,
    fake: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    schema: AnswerSchema | None = None,
    timeout: float = 0.1,
    seconds: float = 20.0,
    questions: Sequence[str] = ("Hi! I'm Bob.",),
) -> list[Event]:
    """Run turns with the real client; failures are tried again for `timeout` seconds, silence lasts `seconds`."""
    provider = PROVIDERS[case.model.partition(":")[0]]
    for name, value in case.env.items():
        monkeypatch.setenv(name, value)
    if provider.key_variables:
        monkeypatch.setenv(provider.key_variables[0], KEY)
    base_url = fake.url + case.base_path
    if "base_url" in provider.options and not provider.options["base_url"]:
        monkeypatch.setenv(provider.url_variables[0], "http://127.0.0.1:9")  # the base URL goes before it
    if provider.prefix == "google_vertexai":
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_service_account(f"{fake.url}/token")))
    settings = Settings.load({"model": case.model, "base_url": base_url, "timeout": seconds})
    model = build_model(resolve_model(case.model, settings), settings, lambda event: None)

    async def run() -> list[Event]:
        async with open_store(StoreLocation(None)) as store:
            graph = GRAPH.copy({"checkpointer": store.checkpointer})
            turn = TurnContext(model, schema=schema, timeout=timeout)
            session = ChatSession(graph, store.threads, "thread", turn)
            return [event for question in questions for event in [e async for e in session.run(Ask(question))]]

    return asyncio.run(run())


def case_of(provider: str) -> Case:
    """Return the provider's case; where its package isn't installed, the test is skipped."""
    pytest.importorskip((PROVIDERS[provider].package or "langchain_openai").replace("-", "_"))
    return CASES[provider]


def finished(case: Case, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch, **options: Any) -> TurnFinished:
    """Return the end of turns that succeed; `ask` takes the same arguments."""
    last = ask(case, fake, monkeypatch, **options)[-1]
    assert isinstance(last, TurnFinished), last
    return last


def failed(case: Case, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch, **options: Any) -> TurnFailed:
    """Return the end of turns that fail; `ask` takes the same arguments."""
    last = ask(case, fake, monkeypatch, **options)[-1]
    assert isinstance(last, TurnFailed), last
    return last


def test_every_provider_has_a_case() -> None:
    # The local model has no server of its own to fake. The clients of Langflow and IBM have tests of their own.
    assert PROVIDERS.keys() - CASES == {"local", "langflow", "ibm"}


@pytest.mark.parametrize("provider", CASES)
def test_a_streamed_turn_with_the_key_in_its_place(
    provider: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = case_of(provider)
    events = ask(case, fake, monkeypatch)
    last = events[-1]
    assert isinstance(last, TurnFinished), last
    assert last.content == ANSWER
    assert last.finish_reason == "stop"
    assert last.usage.output_tokens == 7
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == ANSWER
    request = fake.requests[-1]
    assert "Bob" in str(request.body)
    if PROVIDERS[provider].key_variables:
        assert any(KEY in value for value in request.headers.values()), request.headers


@pytest.mark.parametrize("provider", CASES)
def test_a_timeout_is_in_seconds(provider: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.delay = 0.1
    finished(case_of(provider), fake, monkeypatch, seconds=7.5)


@pytest.mark.parametrize("provider", ["openai", "ollama", "bedrock_converse", "mistralai", "cohere"])
def test_a_server_that_says_nothing_is_given_up(
    provider: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.delay = 60
    last = failed(case_of(provider), fake, monkeypatch, seconds=0.4)
    assert last.error.exit_code == ExitCode.TEMPORARY
    assert "did not answer in time" in last.error.message


OPENAI_PATHS = {
    "groq": ("https://api.groq.com", "/openai/v1"),
    "nvidia": ("https://integrate.api.nvidia.com/v1", ""),
    "fireworks": ("https://api.fireworks.ai/inference", "/v1"),
    "together": ("https://api.together.xyz/v1", ""),
    "xai": ("https://api.x.ai/v1", ""),
    "deepseek": ("https://api.deepseek.com/v1", ""),
    "openrouter": ("https://openrouter.ai/api/v1", ""),
    "databricks": ("", "/serving-endpoints"),
}
"""The address of each provider that is asked in OpenAI's protocol, and what follows an address that the user names."""


def _base_url(provider: str) -> str:
    client: Any = build_model(ModelName(provider, "fake"), Settings.load(), lambda event: None).client
    return str(client.openai_api_base)


@pytest.mark.parametrize("provider", [row.prefix for row in PROVIDERS.values() if row.takes_openai])
def test_a_provider_with_openais_protocol_is_asked_at_its_address(
    provider: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    own, path = OPENAI_PATHS[provider]
    row = PROVIDERS[provider]
    monkeypatch.setenv(row.key_variables[0], KEY)
    if own:
        assert _base_url(provider) == own + path
    for named in ("https://proxy.example", "https://proxy.example/", f"https://proxy.example{path}", "proxy.example"):
        for variable in row.url_variables[:1]:
            monkeypatch.setenv(variable, named)
            assert _base_url(provider) == f"https://proxy.example{path}"


def test_ollama_is_asked_for_a_window_of_the_budgets_size(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATCLI_CONTEXT_TOKENS", "20000")
    monkeypatch.setenv("CHATCLI_MAX_TOKENS", "500")
    ask(case_of("ollama"), fake, monkeypatch)
    assert fake.requests[-1].body["options"]["num_ctx"] == 20500


def test_a_usage_that_each_event_repeats_counts_once(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = b'"usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}, "object"'
    fake.spoil = lambda events: [event.replace(b'"object"', usage) for event in events]
    last = finished(CASES["databricks"], fake, monkeypatch)
    assert (last.usage.input_tokens, last.usage.output_tokens) == (11, 7)


def test_openais_responses_protocol(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    # langchain-openai itself chooses the protocol by the model.
    events = ask(Case("openai:gpt-5-pro", "/v1"), fake, monkeypatch)
    last = events[-1]
    assert isinstance(last, TurnFinished), last
    assert (last.content, last.finish_reason) == (ANSWER, "stop")
    assert fake.requests[-1].path == "/v1/responses"


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_of_an_openai_compatible_server_is_shown_apart_and_not_sent_back(
    field: str, whole: bool, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reason(events: list[bytes]) -> list[bytes]:
        if whole:
            message = {"role": "assistant", "content": "4", field: "two and two"}
            return [json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()]
        frame: dict[str, Any] = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "fake"}
        deltas = [{field: "two "}, {"content": None, field: "and "}, {"content": "", field: "two"}, {"content": "4"}]
        chunks = [{**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        return [*(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks), *events[-2:]]

    fake.spoil = reason
    fake.content_type = "application/json" if whole else None
    events = ask(CASES["openai"], fake, monkeypatch, questions=("What is 2+2?", "Sure?"))
    last = events[-1]
    assert isinstance(last, TurnFinished), last
    assert last.content == "4"
    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == "two and two" * 2
    assert "two and two" not in str(fake.requests[-1].body)


def test_vertex_ai_is_asked_as_the_service_account_that_logged_in(
    fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(case_of("google_vertexai"), fake, monkeypatch)
    (request,) = fake.requests
    assert len(fake.logins) == 1
    models = "/v1beta1/projects/fake-project/locations/europe-west1/publishers/google/models"
    assert request.path == f"{models}/gemini-fake:streamGenerateContent?alt=sse"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert "of-gemini" not in str(request)


def test_bedrocks_request_is_signed_and_has_no_secret(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(case_of("bedrock_converse"), fake, monkeypatch)
    request = fake.requests[-1]
    assert request.path == "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse-stream"
    signature = request.headers["authorization"]
    assert signature.startswith("AWS4-HMAC-SHA256 Credential=AKIAFAKE/")
    assert "/eu-west-1/bedrock/aws4_request" in signature
    assert KEY not in str(request)


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ([], ExitCode.AUTH, "Unable to locate credentials"),
        (["AWS_REGION"], ExitCode.AUTH, "Unable to locate credentials"),
        (["AWS_ACCESS_KEY_ID", "AWS_REGION"], ExitCode.AUTH, "missing: AWS_SECRET_ACCESS_KEY"),
        (["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], ExitCode.USAGE, "You must specify a region"),
    ],
)
def test_a_missing_login_and_a_missing_region_of_bedrock_have_different_errors(
    given: list[str],
    code: ExitCode,
    words: str,
    fake: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for variable in ("AWS_DEFAULT_REGION", "AWS_PROFILE", *AWS):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    case = dataclasses.replace(case_of("bedrock_converse"), env={name: AWS[name] for name in given})
    failure = _failure(case, fake, monkeypatch)
    assert failure.exit_code == code
    assert words in failure.message


NEED_KEY = [row.prefix for row in PROVIDERS.values() if not (row.keyless or row.key_optional)]


@pytest.mark.parametrize("base_url", [None, "http://127.0.0.1:9/v1"])
@pytest.mark.parametrize("provider", NEED_KEY)
def test_a_missing_key_is_named_before_anything_else(
    provider: str, base_url: str | None, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    if provider == "openai" and base_url:
        pytest.skip("a server of one's own with OpenAI's protocol may need no key")
    for variable in PROVIDERS[provider].key_variables:
        monkeypatch.delenv(variable, raising=False)
    settings = Settings.load({"model": f"{provider}:fake", "base_url": base_url})
    assert settings.credentials.lacks_key(provider)
    with pytest.raises(ChatcliError) as caught:
        build_model(ModelName(provider, "fake"), settings, lambda event: None)
    assert caught.value.exit_code == ExitCode.AUTH
    assert PROVIDERS[provider].key_variables[0] in caught.value.message


def _failure(case: Case, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> ChatcliError:
    """Return the error of a turn, whether the client can't be made or its request fails."""
    try:
        last = ask(case, fake, monkeypatch)[-1]
    except ChatcliError as error:
        return error
    assert isinstance(last, TurnFailed)
    return last.error


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("provider", CASES)
def test_a_failure_has_its_exit_code_and_hides_the_key(
    provider: str, failure: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, error, code = FAILURES[failure]
    fake.failure = status, error
    last = failed(case_of(provider), fake, monkeypatch)
    assert last.error.exit_code == code, last.error.message
    assert ("billing" in last.error.remedy) == (failure == "no credit")
    if PROVIDERS[provider].key_variables:
        assert KEY not in last.error.message


WITHOUT_CREDIT: dict[str, tuple[str, int, dict[str, Any]]] = {
    "OpenAI": ("openai", 429, {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}),
    "Azure": ("azure_openai", 429, {"error": {"message": "No quota", "type": "insufficient_quota"}}),
    "Anthropic": (
        "anthropic",
        400,
        {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}},
    ),
    "Anthropic's own type": ("anthropic", 403, {"type": "error", "error": {"type": "billing_error", "message": "No"}}),
    "xAI": ("xai", 403, {"code": "forbidden", "error": "Your team has used all available credits."}),
    "Perplexity": ("perplexity", 401, {"error": {"message": "No quota", "type": "insufficient_quota"}}),
}


@pytest.mark.parametrize("case", WITHOUT_CREDIT)
def test_an_error_of_credit_has_a_word_on_billing_whatever_its_status(
    case: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, status, error = WITHOUT_CREDIT[case]
    fake.failure = status, error
    last = failed(case_of(provider), fake, monkeypatch, timeout=WAIT_SECONDS)
    assert (last.error.exit_code, len(fake.requests)) == (ExitCode.TEMPORARY, 1), last.error.message
    assert "billing" in last.error.remedy


@pytest.mark.parametrize("provider", CASES)
def test_a_rate_limit_is_waited_for_as_the_server_asks(
    provider: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = []
    sleep = asyncio.sleep

    async def skip_the_pause(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0 if seconds == 13 else seconds)

    monkeypatch.setattr("asyncio.sleep", skip_the_pause)
    fake.retry_after = "13"
    note = _note_of_one_failure("a rate limit", provider, fake, monkeypatch)
    assert "the rate limit is reached; asking again in" in note
    assert note.endswith("in 13 s")
    assert 13 in pauses


@pytest.mark.parametrize("provider", CASES)
def test_a_server_that_fails_is_asked_again(provider: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.retry_after = "0"
    note = _note_of_one_failure("a failing server", provider, fake, monkeypatch)
    assert note.endswith("the server failed; asking again in 0 s")


def _note_of_one_failure(failure: str, provider: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the first request fail, and return the one notice that is shown before the second one, which succeeds."""
    fake.failure = FAILURES[failure][:2]
    fake.failing = 1
    events = ask(case_of(provider), fake, monkeypatch, timeout=WAIT_SECONDS)
    assert isinstance(events[-1], TurnFinished), events[-1]
    assert len(fake.requests) == 2
    (note,) = [event.text for event in events if isinstance(event, Notice)]
    return note


@pytest.mark.parametrize("status", [408, 409])
@pytest.mark.parametrize("provider", CASES)
def test_a_request_that_may_succeed_later_is_repeated(
    provider: str, status: int, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.failure = status, {"error": {"code": status, "message": "Try again"}}
    fake.failing = 1
    fake.retry_after = "0"
    finished(case_of(provider), fake, monkeypatch, timeout=WAIT_SECONDS)
    fake.failing = None
    last = failed(case_of(provider), fake, monkeypatch)
    assert last.error.exit_code == ExitCode.TEMPORARY, last.error.message


MIDDLE = 3
"""An event in the middle of an answer, whatever the protocol: some of the text came before it."""


def _with_payload(payload: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda events: [*events[:MIDDLE], with_payload(events[MIDDLE], payload), *events[MIDDLE + 1 :]]


SPOILT: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "broken JSON": _with_payload(b'{"choi'),
    "no JSON": _with_payload(b"oops"),
    "not UTF-8": _with_payload(b"\xff\xfe\xfa"),
    "a list": _with_payload(b"[1, 2]"),
    "a number": _with_payload(b"3"),
    "null": _with_payload(b"null"),
    "a text": _with_payload(b'"text"'),
    "fields of other types": _with_payload(
        b'{"choices": [{"delta": 4}], "candidates": [{"content": 3}], "message": 3,'
        b' "type": "content-delta", "delta": 3}'
    ),
    "cut in mid-event": lambda events: [*events[:MIDDLE], events[MIDDLE][: len(events[MIDDLE]) // 2]],
    "no end": lambda events: events[:MIDDLE],
}


@pytest.mark.parametrize("spoilt", SPOILT)
@pytest.mark.parametrize("provider", CASES)
def test_an_unreadable_event_is_reported_and_what_came_before_is_kept(
    provider: str, spoilt: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    if provider == "anthropic" and spoilt == "fields of other types":
        pytest.skip("its protocol wants events of unknown types to be skipped")
    fake.spoil = SPOILT[spoilt]
    last = failed(case_of(provider), fake, monkeypatch)
    assert last.error.exit_code == ExitCode.TEMPORARY, last.error.message
    assert "OpenAI" not in last.error.message
    assert "kept" in last.error.remedy
    assert last.content
    assert ANSWER.startswith(last.content)
    assert len(fake.requests) == 1


@pytest.mark.parametrize("provider", CASES)
def test_a_page_in_place_of_an_answer(provider: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.content_type = "text/html"
    fake.spoil = lambda events: [b"<html><body>Bad gateway</body></html>"]
    last = failed(case_of(provider), fake, monkeypatch)
    assert last.error.exit_code == (ExitCode.USAGE if provider in LIMITED else ExitCode.TEMPORARY), last.error.message
    assert ("web page" in last.error.message) == (provider in LIMITED)
    if provider in LIMITED:
        assert len(fake.requests) == 1


@pytest.mark.parametrize("provider", LIMITED)
def test_the_client_of_every_provider_has_limits(
    provider: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.encoding = "gzip, gzip"
    last = failed(case_of(provider), fake, monkeypatch)
    assert last.error.exit_code == ExitCode.REFUSED, last.error.message
    assert "compressed by gzip, gzip" in last.error.message
    assert [request.headers["accept-encoding"] for request in fake.requests] == ["gzip"]


def test_the_client_of_bedrock_has_limits(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.failure = 400, {"message": "x" * (MOST_PIECE + 1)}
    last = failed(case_of("bedrock_converse"), fake, monkeypatch)
    assert last.error.exit_code == ExitCode.REFUSED, last.error.message
    assert "more than 16 MiB" in last.error.message
    fake.failure = None
    unread = json.dumps({"contentBlockIndex": 0, "delta": {"text": ""}, "unread": "x" * MIB}).encode()
    fake.spoil = lambda events: events[:1] + [with_payload(events[1], unread)] * (MOST_BODY // MIB)
    last = failed(case_of("bedrock_converse"), fake, monkeypatch, seconds=60)
    assert "more than 128 MiB" in last.error.message


def test_bedrock_is_not_led_elsewhere(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.failure = 307, {"message": "elsewhere"}
    with FakeProvider() as other:
        fake.location = f"{other.url}/model/other/converse-stream"
        failed(case_of("bedrock_converse"), fake, monkeypatch)
    assert (len(fake.requests), len(other.requests)) == (1, 0)


@pytest.mark.e2e
def test_gemini_warns_of_nothing_when_its_server_fails(fake: FakeProvider, tmp_path: Path) -> None:
    pytest.importorskip("langchain_google_genai")
    fake.failure = FAILURES["a failing server"][:2]
    chat = [sys.executable, "-m", "chatcli", "-m", "google_genai:gemini-fake", "--base-url", fake.url, "--no-helper"]
    environment = {**os.environ, "HOME": str(tmp_path), "GOOGLE_API_KEY": KEY}
    done = subprocess.run(
        [*chat, "--timeout", "2", "hi"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert done.returncode == ExitCode.TEMPORARY
    assert "Warning" not in done.stderr
    assert "tracemalloc" not in done.stderr


PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}
WITH_SCHEMA: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "anthropic": ("claude-sonnet-4-5", lambda body: body["output_config"]["format"]["schema"]),
    "google_genai": ("gemini-2.5-flash", lambda body: body["generationConfig"]["responseJsonSchema"]),
    "groq": ("llama-fake", lambda body: body["response_format"]["json_schema"]["schema"]),
    "mistralai": ("mistral-medium-latest", lambda body: body["response_format"]["json_schema"]["schema"]),
}
"""A model that may have structured output, and where its provider wants the schema."""


@pytest.fixture
def person(tmp_path: Path) -> AnswerSchema:
    path = tmp_path / "person.json"
    path.write_text(json.dumps(PERSON))
    return load_schema(path)


def _with_schema(provider: str) -> Case:
    return dataclasses.replace(case_of(provider), model=f"{provider}:{WITH_SCHEMA[provider][0]}")


@pytest.mark.parametrize("provider", WITH_SCHEMA)
def test_a_schema_is_sent_in_the_providers_own_form(
    provider: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch, person: AnswerSchema
) -> None:
    fake.words = ('{"name":', ' "Ada"}')
    last = finished(_with_schema(provider), fake, monkeypatch, schema=person)
    assert last.content == '{"name": "Ada"}'
    (request,) = fake.requests
    sent = WITH_SCHEMA[provider][1](request.body)
    assert {**sent, "title": ""} == {**PERSON, "title": ""}
    assert "JSON Schema" not in str(request.body)


@pytest.mark.parametrize("provider", WITH_SCHEMA)
def test_a_schema_that_the_provider_refuses_is_sent_as_text(
    provider: str, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch, person: AnswerSchema
) -> None:
    fake.words = ('{"name":', ' "Ada"}')
    fake.failure = 400, {"error": {"message": "This response_format type is unavailable now"}}
    fake.failing = 1
    last = finished(_with_schema(provider), fake, monkeypatch, schema=person)
    assert last.content == '{"name": "Ada"}'
    assert "JSON Schema" in str(fake.requests[1].body)


def test_a_model_without_structured_output_gets_the_schema_in_words(
    fake: FakeProvider, monkeypatch: pytest.MonkeyPatch, person: AnswerSchema
) -> None:
    fake.words = ('{"name": "Ada"}',)
    finished(case_of("mistralai"), fake, monkeypatch, schema=person)
    assert "response_format" not in fake.requests[0].body
    assert "JSON Schema" in str(fake.requests[0].body)
