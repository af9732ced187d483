"""What Langflow's API answers, read as it is: a turn in this process, against a scripted server."""

import asyncio
from collections.abc import Iterator

import pytest

from chatcli.config.settings import Settings
from chatcli.config.values import parse_entry
from chatcli.errors import ExitCode
from chatcli.events import Event, TextDelta, TurnFailed, TurnFinished
from chatcli.graphs.chat.graph import build_graph
from chatcli.graphs.chat.session import ChatSession
from chatcli.graphs.chat.state import TurnContext
from chatcli.models.build import build_model
from chatcli.models.names import ModelName
from chatcli.sessions.history import Turn, session_name
from chatcli.sessions.requests import Ask
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store
from tests.fakes.langflow_server import KEY, FakeLangflow, Reply, end, message, question, streamed
from tests.waiting import WAIT_SECONDS


@pytest.fixture
def langflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLangflow]:
    with FakeLangflow() as server:
        monkeypatch.setenv("LANGFLOW_URL", server.url)
        monkeypatch.setenv("LANGFLOW_API_KEY", KEY)
        yield server


def ask(timeout: float = 0.1) -> list[Event]:
    """Run one turn; within `timeout` seconds, a failure is tried again."""
    model = build_model(ModelName("langflow", "parrot"), Settings.load(), lambda event: None)

    async def run() -> list[Event]:
        async with open_store(StoreLocation(None)) as store:
            turn = TurnContext(model, timeout=timeout)
            session = ChatSession(build_graph(store.checkpointer), store.threads, "a", turn)
            return [event async for event in session.run(Ask("hi"))]

    return asyncio.run(run())


FIRST, SECOND = streamed(["O", "ne."], "One.", "a", "1"), streamed(["Tw", "o."], "Two.", "a", "2")
MIXED = [piece for pair in zip(FIRST, SECOND, strict=True) for piece in pair]
TWO = [*streamed(["O", "ne."], "One.", "a", "1"), *streamed(["Tw", "o."], "Two.", "a", "2")]


@pytest.mark.parametrize(
    ("events", "answer", "pieces"),
    [
        ([question("hi", "a"), *streamed(["He", "llo"], "Hello", "a"), end("a", "Hello")], "Hello", 2),
        # No tokens: a flow whose model does not stream.
        ([question("hi", "a"), end("a", "Whole.")], "Whole.", 1),
        # What came in tokens stands in the end too, with white space of its own.
        ([*streamed(["\nHe", "llo \n"], "Hello", "a"), end("a", " Hello")], "\nHello \n", 2),
        # Several chat outputs, one of them without tokens.
        ([*TWO, end("a", "One.", "Two.", "Three.")], "One.\n\nTwo.\n\nThree.", 7),
        # At the same time: the second is shown when the first has ended.
        ([*MIXED, end("a", "One.", "Two.")], "One.\n\nTwo.", 5),
        ([*MIXED[:-2], end("a", "One.", "Two.")], "One.\n\nTwo.", 5),
        # Outputs that say the same, or a part of what another says.
        ([end("a", "Yes.", "Yes.")], "Yes.\n\nYes.", 3),
        ([*streamed(["Yes, ", "I do."], "Yes, I do.", "a"), end("a", "Yes", "Yes, I do.")], "Yes, I do.\n\nYes", 4),
        ([*FIRST, end("a", "One.", "One.")], "One.\n\nOne.", 4),
        # What an agent said on its way is in its tokens only.
        ([*streamed(["Let me see. ", "Four."], "Four.", "a"), end("a", "Four.")], "Let me see. Four.", 2),
        ([{"event": "build_start", "data": {"id": "x"}}, end("a", "")], "", 0),
    ],
)
def test_the_answer_comes_in_tokens_or_at_the_end(
    langflow: FakeLangflow, events: list[dict[str, object]], answer: str, pieces: int
) -> None:
    langflow.script.append(Reply(events))
    shown = ask()
    last = shown[-1]
    assert isinstance(last, TurnFinished), last
    assert last.content == answer
    assert last.langflow is not None
    assert (last.langflow.session_id, last.langflow.sender) == ("a", "Machine")
    assert "".join(event.text for event in shown if isinstance(event, TextDelta)) == answer
    assert (last.messages_in_context, last.context_tokens, last.context_budget) == (1, 0, None)


COMPONENT = '{"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}'
FAILED = message("Incorrect API key provided\n", "Language Model", "a", error=True, category="error")


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        (Reply([{"event": "error", "data": {"error": "Component OpenAI has no key"}}]), 4, "Component OpenAI has no"),
        (Reply([{"event": "error", "data": {"error": COMPONENT}}]), 4, "failed: Incorrect API key provided"),
        (Reply([{"event": "error", "data": {"error": f"Error building LLM: \n\n{COMPONENT}"}}]), 4, "LLM: Incorrect"),
        (
            Reply([question("hi", "a"), {"event": "error", "data": FAILED}]),
            4,
            "failed at Language Model: Incorrect API",
        ),
        (Reply([{"event": "error", "data": {"error": f"the key {KEY} is wrong"}}]), 4, "the key *** is wrong"),
        (Reply([end("a")]), 4, "no chat output"),
        (Reply([{"event": "end", "data": {"result": {"session_id": "a", "outputs": []}}}]), 4, "no chat output"),
        (Reply(status=401, detail="Could not validate credentials"), 3, "refused the key"),
        (Reply(status=422, detail=[{"loc": ["body"], "msg": "Input should be a string"}]), 4, "should be a string"),
        (Reply(status=500, detail='{"message": "database is locked", "traceback": null}'), 75, ": database is locked"),
        (Reply(status=503, detail="busy"), 75, "503: busy"),
        (Reply([question("hi", "a")]), 75, "broke off"),
        (Reply([question("hi", "a")], whole=False), 75, "broke off"),
        (Reply(raw=b"<html>It works!</html>"), 75, "not an answer of Langflow"),
    ],
)
def test_a_failure_has_its_message_and_exit_code(langflow: FakeLangflow, reply: Reply, code: int, words: str) -> None:
    langflow.script.append(reply)
    last = ask()[-1]
    assert isinstance(last, TurnFailed), last
    assert (last.error.exit_code, words in last.error.message) == (code, True), last.error.message
    assert "\n" not in last.error.message
    assert KEY not in last.error.message
    assert len(langflow.runs) == 1


def test_only_a_run_that_did_not_begin_is_asked_for_again(langflow: FakeLangflow) -> None:
    langflow.script.append(Reply(status=503, detail="busy"))
    assert isinstance(ask(timeout=WAIT_SECONDS)[-1], TurnFinished)
    assert len(langflow.runs) == 2


def test_without_a_server_the_error_has_its_address(langflow: FakeLangflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGFLOW_URL", "http://127.0.0.1:9")
    last = ask()[-1]
    assert isinstance(last, TurnFailed)
    assert last.error.exit_code == ExitCode.TEMPORARY
    assert "http://127.0.0.1:9" in last.error.message


def test_a_tweak_is_json_where_it_is_json() -> None:
    assert parse_entry("Chat Model 4.1.temperature=0.5") == ("Chat Model 4.1", "temperature", 0.5)
    assert parse_entry("Prompt-x1.template=a=b") == ("Prompt-x1", "template", "a=b")
    assert parse_entry('A.b="5"') == ("A", "b", "5")
    for wrong in ("A.b", "b=1", ".b=1", "A.=1"):
        with pytest.raises(ValueError, match=r"NAME\.FIELD=VALUE"):
            parse_entry(wrong)


def test_a_session_is_the_threads_until_it_goes_back() -> None:
    def branch(*numbers: int) -> list[Turn]:
        return [Turn(number, "", None, None, "", current=True) for number in numbers]

    assert session_name("t", branch(1)) == "t"
    assert session_name("t", branch(1, 2, 3)) == "t"
    assert session_name("t", branch(1, 3)) == "t-3"
    assert session_name("t", branch(1, 3, 4)) == "t-3"
    assert session_name("t", branch(1, 3, 5)) == "t-5"
    assert session_name("t", branch(2)) == "t-2"
