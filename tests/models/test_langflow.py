"""What Langflow's API answers, read as it is: a turn in this process, against a scripted server."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from chatcli.config.settings import Settings
from chatcli.config.values import parse_entry
from chatcli.errors import AuthError, ExitCode, MissingKeyError, RefusedError, UsageError
from chatcli.events import Event, TextDelta, TurnFailed, TurnFinished
from chatcli.graphs.chat.graph import build_graph
from chatcli.graphs.chat.session import ChatSession
from chatcli.graphs.chat.state import TurnContext
from chatcli.models.build import build_model
from chatcli.models.langflow import FlowModel
from chatcli.models.langflow_server import LangflowServer
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
        (Reply(status=429, detail="slow down"), 75, "429: slow down"),
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


@pytest.mark.parametrize("status", [408, 429, 503])
def test_a_run_that_did_not_begin_is_asked_for_again(langflow: FakeLangflow, status: int) -> None:
    langflow.script.append(Reply(status=status, detail="busy"))
    assert isinstance(ask(timeout=WAIT_SECONDS)[-1], TurnFinished)
    assert len(langflow.runs) == 2


@pytest.mark.parametrize("reply", [Reply([question("hi", "a")], whole=False), Reply([question("hi", "a")])])
def test_a_run_that_broke_off_is_not_asked_for_again(langflow: FakeLangflow, reply: Reply) -> None:
    langflow.script.append(reply)  # its memory has the question
    assert isinstance(ask(timeout=WAIT_SECONDS)[-1], TurnFailed)
    assert len(langflow.runs) == 1


def test_a_flow_gets_the_newest_question_in_a_session_of_its_own(langflow: FakeLangflow) -> None:
    settings = Settings.load({"tweak": {"A": {"b": 1}}})
    server = LangflowServer.of(settings.credentials)
    model = FlowModel(flow="parrot", server=server, tweaks=settings.tweak, seconds=WAIT_SECONDS)
    talk = [HumanMessage("one"), AIMessage("1"), HumanMessage("two")]
    answer = asyncio.run(model.ainvoke(talk, session_id="mine"))
    [run] = langflow.runs
    assert (run.flow, run.headers["x-api-key"], run.query["stream"]) == ("parrot", KEY, ["true"])
    assert (run.body["input_value"], run.body["session_id"], run.body["tweaks"]) == ("two", "mine", {"A": {"b": 1}})
    assert answer.response_metadata["finish_reason"] == "stop"
    with pytest.raises(RefusedError, match="not known"):
        asyncio.run(model.model_copy(update={"flow": "a/b?c"}).ainvoke(talk, session_id="mine"))
    assert langflow.runs[1].flow == "a/b?c"


def test_what_a_run_used_and_who_spoke_is_the_answers(langflow: FakeLangflow) -> None:
    said = message(
        "Hi", "Parrot", "other", properties={"state": "complete", "usage": {"input_tokens": 7, "output_tokens": 2}}
    )
    echo = message("hi", "User", "other", properties={"state": "complete", "usage": {"input_tokens": 99}})
    events = [{"event": "add_message", "data": said}, {"event": "add_message", "data": echo}]
    langflow.script.append(Reply([*events, {"event": "token", "data": {"id": "x", "chunk": "Hi"}}, end("other", "Hi")]))
    last = ask()[-1]
    assert isinstance(last, TurnFinished)
    assert last.usage is not None
    assert (last.usage.input_tokens, last.usage.output_tokens, last.usage.total_tokens) == (7, 2, 9)
    assert last.langflow is not None
    assert last.langflow.session_id == "other"


def test_a_message_is_known_by_its_id(langflow: FakeLangflow) -> None:
    last_words = end("a", "Quite another text.")
    token = {"event": "token", "data": {"id": "Machine-1", "chunk": "Draft."}}
    langflow.script.append(Reply([token, last_words]))
    last = ask()[-1]
    assert isinstance(last, TurnFinished)
    assert last.content == "Draft."


def test_an_option_that_the_flow_sets_is_refused(langflow: FakeLangflow) -> None:
    for name, value in (("temperature", 0.5), ("max_tokens", 9)):
        with pytest.raises(UsageError, match="the flow itself sets it"):
            build_model(ModelName("langflow", "parrot"), Settings.load({name: value}), lambda event: None)
    assert langflow.runs == []


@pytest.mark.parametrize("tweak", [{"Nobody": {"b": 1}}, {"A": {"c": 1}}, {"A": {"code": "print(1)"}}])
def test_a_tweak_that_langflow_would_ignore_is_refused(
    langflow: FakeLangflow, tweak: dict[str, dict[str, Any]]
) -> None:
    with pytest.raises(UsageError, match=r"has no (component|field)"):
        build_model(ModelName("langflow", "parrot"), Settings.load({"tweak": tweak}), lambda event: None)


def test_the_flows_and_the_fields_of_one_are_listed(langflow: FakeLangflow) -> None:
    server = LangflowServer.of(Settings.load().credentials)
    assert [flow.handle for flow in server.flows()] == ["parrot", "11111111-2222-4333-8444-555555555555"]
    fields = server.fields("parrot")
    assert fields is not None
    assert fields["A"] == fields["A-x1"] == ["b"]
    assert list(fields).index("Prompt") < list(fields).index("ChatInput-x1")  # the titles come first
    assert server.fields("unknown") is None


def test_a_password_and_a_key_stay_hidden_and_a_missing_key_is_told(
    langflow: FakeLangflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = langflow.url.replace("://", "://me:pass-123@")
    langflow.script.append(Reply(status=401, detail=f"{KEY}?"))
    monkeypatch.setenv("LANGFLOW_URL", url)
    last = ask()[-1]
    assert isinstance(last, TurnFailed)
    assert isinstance(last.error, AuthError)
    assert not isinstance(last.error, MissingKeyError)
    assert "pass-123" not in last.error.message
    assert KEY not in last.error.message
    monkeypatch.delenv("LANGFLOW_API_KEY")
    langflow.script.append(Reply(status=403, detail="no"))
    last = ask()[-1]
    assert isinstance(last, TurnFailed)
    assert isinstance(last.error, MissingKeyError)


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
