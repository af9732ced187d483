"""The error that the user sees for each failure of a model's server, and which failures are tried again."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from langchain_core import exceptions as langchain
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from chatcli.config.secrets import Secret
from chatcli.errors import (
    AuthError,
    ChatcliError,
    ContextError,
    CutAnswerError,
    InternalError,
    NetworkError,
    RefusedError,
    UsageError,
)
from chatcli.graphs.chat import receive
from chatcli.graphs.chat.receive import refuse_unfinished, retry_after
from chatcli.models.errors import (
    MAX_MESSAGE,
    BrokenAnswerError,
    UnreadableAnswerError,
    is_unreadable,
    translate,
    translate_foreign,
)
from chatcli.models.model import Endpoint
from chatcli.models.names import ModelName
from chatcli.sessions.message_calls import finish_reason
from tests.graphs.chat.test_context import turn

KEY = "my-own-key-123"
NAME = ModelName("openai", "gpt-fake")
PLACE = Endpoint(NAME, address="https://api.example", key=Secret(KEY))


class HttpError(Exception):
    """An error of an SDK, with a status, and what the server sent."""

    def __init__(self, status: int | None = None, message: str = "", **body: Any) -> None:
        super().__init__(message or str(body.get("message", "")))
        self.status_code = status
        self.body = {"error": body} if body else None


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (HttpError(401), AuthError, "refused the key"),
        (HttpError(403), AuthError, "refused the key"),
        (HttpError(400, "invalid_api_key"), AuthError, "refused the key"),
        (HttpError(404, "no such model"), RefusedError, "is not known there"),
        (HttpError(400, "bad"), RefusedError, "refused the request: bad"),
        (HttpError(400, "content_filter"), RefusedError, "filtered the request"),
        (HttpError(413), ContextError, "does not fit the context"),
        (HttpError(400, "prompt is too long"), ContextError, "does not fit the context"),
        (
            HttpError(400, "exceed_context_size", n_prompt_tokens=9, n_ctx=8),
            ContextError,
            "(9 tokens, and the limit is 8)",
        ),
        (langchain.ContextOverflowError("x"), ContextError, "does not fit the context"),
        (HttpError(402), NetworkError, "no credit left"),
        (HttpError(429, code="insufficient_quota"), NetworkError, "no credit left"),
        (HttpError(403, "used all available credits"), NetworkError, "no credit left"),
        (HttpError(429), NetworkError, "limits the rate"),
        (HttpError(408), NetworkError, "did not answer in time"),
        (HttpError(409), NetworkError, "failed"),
        (HttpError(500), NetworkError, "failed"),
        (HttpError(599), NetworkError, "failed"),
        (TimeoutError(), NetworkError, "did not answer in time"),
        (caused(langchain.ModelConnectionError("x"), httpx2.ReadTimeout("")), NetworkError, "did not answer in time"),
        (BrokenAnswerError(), NetworkError, "broke off before the end"),
        (httpx2.RemoteProtocolError("x"), NetworkError, "broke off before the end"),
        (ConnectionRefusedError("refused"), NetworkError, "can't be reached: refused"),
        (UnreadableAnswerError(begun=True), NetworkError, "sent a part of its answer that can't be read"),
        (UnreadableAnswerError(begun=False), NetworkError, "sent something that can't be read"),
        (json.JSONDecodeError("x", "", 0), NetworkError, "sent something that can't be read"),
        (ZeroDivisionError("x"), InternalError, "ZeroDivisionError: x"),
    ],
)
def test_a_failure_of_a_server_is_an_error_of_its_kind(error: Exception, kind: type[ChatcliError], words: str) -> None:
    failure = translate(error, PLACE)
    assert type(failure) is kind
    assert words in failure.message
    if kind is not InternalError and kind is not ContextError:
        assert failure.message.startswith("openai:gpt-fake at https://api.example ")
    assert failure.retryable is (kind is NetworkError)


def test_our_own_error_stays() -> None:
    error = UsageError("x")
    assert translate(error, PLACE) is error


def test_no_message_holds_the_key_or_is_too_long() -> None:
    for size in range(300, 360):  # somewhere the key stands where the message is cut
        failure = translate(HttpError(400, f"{'x' * size}{KEY}"), PLACE)
        assert KEY[:3] not in failure.message
        assert len(failure.message) <= MAX_MESSAGE
    assert "key ***" in translate(HttpError(401, f"key {KEY}"), PLACE).message
    assert translate(HttpError(401), PLACE).remedy == "Check the key (OPENAI_API_KEY) and its permissions."


def test_a_server_that_got_no_key_is_named_to_get_one() -> None:
    name = ModelName("openai", "x", "https://mine/v1")
    named = Endpoint(name, address="https://mine/v1", base_url="https://mine/v1")
    assert "No key was sent" in translate(HttpError(401), named).remedy
    with_key = replace(named, key=Secret(KEY))
    assert "No key was sent" not in translate(HttpError(401), with_key).remedy


@pytest.mark.parametrize(
    ("url", "status", "text", "kind", "remedy"),
    [
        ("https://mine", 404, "nothing", UsageError, "--base-url https://mine/v1"),
        ("https://mine/v1", 404, "nothing", UsageError, "Check the base URL."),
        ("https://mine/v1/chat/completions", 405, "", UsageError, "--base-url https://mine/v1"),
        ("https://mine", 404, "<html> no such model", UsageError, "--base-url https://mine/v1"),
        ("https://mine", 404, "no such model", RefusedError, "Choose another one"),
        ("https://mine", 404, "gpt-fake is unknown", RefusedError, "Choose another one"),
        ("https://mine", 404, "nothing at /v1/models", UsageError, "--base-url https://mine/v1"),
        ("https://mine", 200, "Unexpected endpoint", UsageError, "--base-url https://mine/v1"),
        ("", 404, "nothing", RefusedError, "Choose another one"),
    ],
)
def test_a_wrong_base_url_is_told_from_an_unknown_model(
    url: str, status: int, text: str, kind: type[ChatcliError], remedy: str
) -> None:
    endpoint = Endpoint(NAME, address=url or "https://api", key=Secret(KEY), base_url=url)
    failure = translate(HttpError(status, text), endpoint)
    assert type(failure) is kind
    assert remedy in failure.remedy


def test_a_failure_of_a_users_graph_is_a_models_only_if_a_provider_raised_it() -> None:
    assert translate_foreign(OSError("disk"), "graph:x") is None
    assert translate_foreign(HttpError(401), "graph:x") is None
    for own in (ConnectionError("x"), TimeoutError(), caused(ValueError(), ConnectionError("x"))):
        assert translate_foreign(own, "graph:x") is None
    failure = translate_foreign(langchain.ModelAuthenticationError("x"), "graph:x")
    assert isinstance(failure, AuthError)
    assert failure.message.startswith("a model of graph:x refused the key")


@pytest.mark.parametrize(
    ("error", "begun", "unreadable"),
    [
        (ValueError("x"), True, True),
        (KeyError("x"), False, True),
        (HttpError(400), True, False),
        (HttpError(400), False, False),
        (ConnectionError(), True, False),
        (BrokenAnswerError(), False, False),
        (UsageError("x"), True, False),
        (NotImplementedError(), False, False),
        (ImportError(), False, False),
    ],
)
def test_an_error_without_a_meaning_comes_from_what_can_not_be_read(
    error: Exception, *, begun: bool, unreadable: bool
) -> None:
    assert is_unreadable(error, begun=begun) is unreadable


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        *(({}, ""), ({"finish_reason": "STOP"}, "stop"), ({"stop_reason": "end_turn"}, "stop")),
        *(({"status": "incomplete"}, "length"), ({"done_reason": "length"}, "length")),
        *(({"stopReason": "guardrail_intervened"}, "content_filter"), ({"finish_reason": "odd"}, "odd")),
        ({"finish_reason": "stop", "status": "incomplete"}, "stop"),
    ],
)
def test_why_a_model_stopped_is_said_in_one_set_of_words(metadata: dict[str, str], reason: str) -> None:
    assert finish_reason(AIMessage("x", response_metadata=metadata)) == reason


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (AIMessage("x", response_metadata={"finish_reason": "stop"}), None),
        (AIMessage("x", response_metadata={"finish_reason": "length"}), None),
        (AIMessage("x"), BrokenAnswerError),
        (AIMessage("", response_metadata={"finish_reason": "content_filter"}), RefusedError),
        (AIMessage("x", response_metadata={"finish_reason": "refusal"}), CutAnswerError),
        (AIMessage("", additional_kwargs={"refusal": "no"}, response_metadata={"finish_reason": "stop"}), RefusedError),
        (AIMessage("x", additional_kwargs={"refusal": "no"}, response_metadata={"finish_reason": "stop"}), None),
    ],
)
def test_an_answer_that_is_not_whole_is_an_error(answer: AIMessage, failure: type[Exception] | None) -> None:
    if failure is None:
        refuse_unfinished(answer, turn().model)
        return
    with pytest.raises(failure) as refused:
        refuse_unfinished(answer, turn().model)
    assert refused.type is failure


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        *((None, None), ("3", 3), ("0.5", 0.5), ("-1", 0), ("nan", None), ("inf", None), ("soon", None)),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ],
)
def test_the_pause_that_a_server_asks_for(header: str | None, seconds: float | None) -> None:
    assert retry_after(header) == seconds


@pytest.mark.parametrize(
    ("failures", "attempts"),
    [
        ([], 1),
        ([HttpError(429)], 2),
        ([HttpError(408), HttpError(409), HttpError(503)], 4),
        ([HttpError(500)] * 4, 4),
        ([ConnectionError()], 2),
        ([HttpError(400)], 1),
        ([HttpError(401)], 1),
        ([HttpError(402)], 1),
        ([HttpError(429, code="insufficient_quota")], 1),
        ([ValueError("unreadable")], 1),
        (["begun"], 1),
    ],
)
async def test_a_failure_that_may_pass_is_tried_again_unless_an_answer_has_begun(
    failures: list[Any], attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive, "_FIRST_PAUSE", 0.0)
    left, asked, notes = list(failures), [], list[str]()

    async def ask() -> AsyncIterator[BaseMessage]:
        asked.append(1)
        failure = left.pop(0) if left else None
        if failure == "begun":
            yield AIMessageChunk(content="He")
            raise HttpError(503)
        if failure is not None:
            raise failure
        yield AIMessageChunk(content="He")
        yield AIMessageChunk(content="llo")

    got = receive.receive(ask, turn().model, seconds=60, report=notes.append)
    if len(failures) < attempts:
        assert (await got).text == "Hello"
    else:
        with pytest.raises((HttpError, BrokenAnswerError, UnreadableAnswerError, ConnectionError)):
            await got
    assert (len(asked), len(notes)) == (attempts, attempts - 1)


async def test_a_server_that_asks_for_a_longer_pause_than_there_is_time_ends_the_attempts() -> None:
    error = HttpError(429)
    error.headers = {"Retry-After": "100"}  # type: ignore[attr-defined]

    async def ask() -> AsyncIterator[BaseMessage]:
        for _ in range(1):
            raise error
        yield AIMessage("never")

    with pytest.raises(NetworkError, match="asks to wait 100 seconds"):
        await receive.receive(ask, turn().model, seconds=60, report=lambda text: None)
