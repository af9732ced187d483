"""Which server is meant, and what one that can't be used comes to."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk.schema import StreamPart

from chatcli.config.secrets import Secret
from chatcli.config.settings import Settings
from chatcli.conversation.backend import LocalBackend, ServerBackend, choose_backend
from chatcli.errors import AuthError, ChatcliError, NetworkError, RefusedError, UsageError
from chatcli.graphs.server.client import ServerAddress, StartedRun, app_schemas, assistants, check_server, noted
from tests.fakes import raw_server
from tests.fakes.web import FakeWeb

URL = "http://127.0.0.1:2024"


@pytest.fixture(autouse=True)
def no_key(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's keys away."""
    for name in ("LANGGRAPH_API_KEY", "LANGSMITH_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        *((status, AuthError) for status in (401, 403)),
        *((status, RefusedError) for status in (400, 413, 422)),
        *((status, NetworkError) for status in (408, 409, 425, 429, 500, 503)),
        *((status, UsageError) for status in (404, 501)),
    ],
)
def test_another_status_is_reported(status: int, failure: type[ChatcliError]) -> None:
    with FakeWeb() as web:
        web.pages["/ok"] = (status, {}, b"")
        with pytest.raises(failure, match=web.url):
            check_server(ServerAddress(web.url))


def test_a_server_that_is_no_langgraph_server_is_reported() -> None:
    with FakeWeb() as web:
        web.pages["/ok"] = (200, {}, b"fine")
        server = ServerAddress(web.url)
        check_server(server)
        with pytest.raises(UsageError, match="does not answer like a LangGraph server"):
            assistants(server)
    for body, problem in ((b"{}", "it lists no assistants"), (b"<html>", "it sends no JSON")):
        answer = raw_server.reply(body, "Content-Type: application/json")
        with raw_server.server(answer) as url, pytest.raises(UsageError, match=problem):
            assistants(ServerAddress(url))


def test_what_a_server_says_is_shown_in_one_short_line_without_keys() -> None:
    headers = (("Authorization", Secret("Bearer tk-4f1e-77")), ("X-Api-Key", Secret("own-51c2")))
    server = ServerAddress(URL, Secret("lg-key-77"), own_headers=headers)
    assert server.line("the key lg-key-77,\n the token tk-4f1e-77 of own-51c2") == "the key ***, the token *** of ***"
    assert len(server.line("x" * 5000)) == 300
    assert server.headers == {"authorization": "Bearer tk-4f1e-77", "x-api-key": "own-51c2"}, "a header goes first"


@pytest.mark.parametrize(("status", "words"), [(401, "wants to know who asks"), (403, "does not allow you this")])
def test_the_reason_of_a_refusal_is_said_without_the_headers(status: int, words: str) -> None:
    headers = (("Authorization", Secret("Bearer tk-4f1e-77")),)
    assistant: Any = {"assistant_id": "a"}
    with FakeWeb() as web:
        web.pages["/ok"] = (status, {"www-authenticate": "Bearer"}, b"")
        with pytest.raises(AuthError, match=rf"{words}: status {status} .*it takes Bearer"):
            check_server(ServerAddress(web.url))
        page = b'{"detail": "the token tk-4f1e-77 has expired"}'
        web.pages["/assistants/a/schemas"] = (status, {"content-type": "application/json"}, page)
        server = ServerAddress(web.url, own_headers=headers)
        with pytest.raises(AuthError, match=r"the token \*\*\* has expired"):
            app_schemas(server, assistant)
        assert "tk-4f1e-77" not in repr(server)


def test_headers_go_with_every_request_and_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load({"url": URL, "header": ["Authorization=Bearer tk-4f1e-77", "X-Tenant=cats"]})
    backend = choose_backend(settings)
    assert isinstance(backend, ServerBackend)
    assert backend.server.headers == {"authorization": "Bearer tk-4f1e-77", "x-tenant": "cats"}
    assert "tk-4f1e-77" not in f"{settings!r} {backend!r}"
    with pytest.raises(UsageError) as refused:
        Settings.load({"url": URL, "header": ["Authorization: Bearer tk-4f1e-77"]})
    assert "tk-4f1e-77" not in refused.value.message
    with pytest.raises(UsageError, match="--header has no effect"):
        choose_backend(Settings.load({"header": ["a=b"]}))
    monkeypatch.setenv("CHATCLI_HEADER", '{"Authorization": "Bearer tk-4f1e-78"}')
    from_environment = choose_backend(Settings.load({"url": URL}))
    assert isinstance(from_environment, ServerBackend)
    assert from_environment.server.headers == {"authorization": "Bearer tk-4f1e-78"}


def test_a_password_in_the_address_is_not_shown() -> None:
    server = ServerAddress("http://me:pw-51c2@127.0.0.1:9", Secret("lg-key-77"))
    with pytest.raises(NetworkError) as refused:
        check_server(server)
    assert "http://127.0.0.1:9" in refused.value.message
    assert "pw-51c2" not in refused.value.message + repr(server)
    assert "lg-key-77" not in repr(server)


@pytest.mark.parametrize("option", [{"store": "memory:"}, {"no_save": True}, {"model": "local"}, {"graph": "a.py:b"}])
def test_an_option_for_turns_here_goes_before_a_server_that_is_no_option(
    option: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATCLI_URL", f"{URL}/")
    assert choose_backend(Settings.load({})) == ServerBackend(ServerAddress(URL))
    assert isinstance(choose_backend(Settings.load(option)), LocalBackend)
    with pytest.raises(UsageError, match="no effect on a LangGraph server"):
        choose_backend(Settings.load({**option, "url": URL}))


@pytest.mark.parametrize("option", [{"system": "Be brief"}, {"role": "pirate"}, {"schema_file": Path("a.json")}])
def test_what_the_app_decides_is_no_option(option: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="no effect on a LangGraph server"):
        choose_backend(Settings.load({**option, "url": URL}))


def test_a_server_that_leads_elsewhere_gets_no_key() -> None:
    with FakeWeb() as web, FakeWeb() as other:
        web.pages["/ok"] = (307, {"Location": f"{other.url}/ok"}, b"")
        with pytest.raises(UsageError, match=f"it redirects to {other.url}/ok"):
            check_server(ServerAddress(web.url, Secret("lg-key-77")))
        assert other.hosts == []


IDS = ["1-0", "1-0", "2-0", "2-0", "2-0", "2-0", "3-0", "4-0", "4-0"]
SENT = [StreamPart("messages", {"text": text}, given) for text, given in zip("abccdefgg", IDS, strict=True)]
"""As LangGraph's development server sends them: the events of a millisecond have the same ID."""


@pytest.mark.parametrize("cuts", [*itertools.combinations(range(len(SENT)), 2)])
async def test_a_run_that_is_joined_again_loses_no_event_and_repeats_none(cuts: tuple[int, int]) -> None:
    async def stream(run: StartedRun, end: int) -> AsyncIterator[StreamPart]:
        for part in SENT[:end]:
            if run.join_after is None or str(part.id) > run.join_after:
                yield part

    run = StartedRun()
    assert [part for end in (*cuts, len(SENT)) async for part in noted(stream(run, end), run)] == SENT


def test_a_run_whose_events_have_no_ids_is_joined_where_it_is() -> None:
    run = StartedRun()
    run.note(StreamPart("messages", {"text": "a"}, None))
    assert run.join_after is None
