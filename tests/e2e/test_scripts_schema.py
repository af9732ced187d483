"""Answers that follow a JSON Schema: `--schema FILE`."""

import json
from typing import Any

import pytest

from tests.e2e.checks import assert_reported
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Fail, Stall

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
NO_FORMAT = Fail(
    400, {"error": {"message": "'response_format' is not supported here", "type": "invalid_request_error"}}
)


@pytest.fixture
def schema(chat: Chat) -> str:
    """Write a schema into the working folder."""
    (chat.home.work / "person.json").write_text(json.dumps(PERSON))
    return "person.json"


def _format(body: Any) -> Any:
    return body["response_format"]["json_schema"]


def test_the_answer_is_json_that_validates(chat: Chat, fake: FakeOpenAI, schema: str) -> None:
    fake.script(Answer('{"name": "Ada",\n "age": 36}'))
    result = chat("--schema", schema, "-t", "ada", "who?")
    assert (result.returncode, result.stdout, result.stderr) == (0, '{"name": "Ada",\n "age": 36}\n', "")
    assert _format(fake.requests[0].body) == {"name": "person", "schema": PERSON, "strict": True}
    assert chat.messages("ada")[1]["content"] == '{"name": "Ada",\n "age": 36}'


def test_a_schema_that_strict_mode_refuses_is_sent_without_it(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "open.json").write_text('{"type": "object", "properties": {"a": {"type": "string"}}}')
    fake.script(Answer("{}"))
    assert chat("--schema", "open.json", "who?").stdout == "{}\n"
    assert _format(fake.requests[0].body)["strict"] is False


def test_an_answer_that_does_not_validate_is_sent_back_once_with_the_reason(
    chat: Chat, fake: FakeOpenAI, schema: str
) -> None:
    fake.script(Answer('{"name": "Ada"}'), Answer('```json\n{"name": "Ada", "age": 36}\n```'))
    result = chat("--json", "--schema", schema, "-t", "ada", "who?")
    assert result.returncode == 0, result
    turn = result.json()
    assert turn["content"] == '{"name": "Ada", "age": 36}'
    assert turn["usage"] == {"input_tokens": 22, "output_tokens": 14, "total_tokens": 36}
    role, correction = fake.requests[1].messages[-1]
    assert role == "user"
    assert "'age' is a required property" in correction
    assert [message["role"] for message in chat.messages("ada")] == ["user", "assistant"]


@pytest.mark.parametrize("in_conversation", [False, True])
def test_a_terminal_shows_the_json_as_it_is(
    fake: FakeOpenAI, schema: str, terminal: OpenTerminal, *, in_conversation: bool
) -> None:
    fake.default = Answer('{"name": "*A_d_a* `x`\\n# y",\n    "age": 36}', chunks=12)
    tty = terminal("--schema", schema, *([] if in_conversation else ["who?"]))
    if in_conversation:
        tty.wait_for_prompt()
        tty.send_line("who?")
    tty.wait_for('{"name": "*A_d_a* `x`\\n# y",\n    "age": 36}')


@pytest.mark.parametrize("text", ['{"name": "Ada"}', "It is Ada.", '{"name": "Ada", "age": NaN}'])
def test_a_second_invalid_answer_is_a_refusal(chat: Chat, fake: FakeOpenAI, schema: str, text: str) -> None:
    fake.default = Answer(text)
    result = chat("--schema", schema, "who?")
    assert_reported(result, 4)
    assert result.stdout == ""
    assert len(fake.requests) == 2

    failure = chat("--json", "--schema", schema, "who?")
    assert (failure.returncode, failure.json()["error"]["code"]) == (4, "refused")


def test_an_answer_that_was_cut_is_a_refusal(chat: Chat, fake: FakeOpenAI, schema: str) -> None:
    fake.default = Answer('{"name": "Ada', finish_reason="length")
    result = chat("--schema", schema, "who?")
    assert_reported(result, 4)
    assert "cut short" in result.stderr


def test_a_server_without_structured_output_gets_the_schema_in_words(chat: Chat, fake: FakeOpenAI, schema: str) -> None:
    fake.script(NO_FORMAT, Answer('{"name": "Ada", "age": 36}'))
    result = chat("--schema", schema, "who?")
    assert (result.returncode, result.stdout, result.stderr) == (0, '{"name": "Ada", "age": 36}\n', "")
    assert "response_format" not in fake.requests[1].body
    assert json.dumps(PERSON) in fake.requests[1].last


def test_nothing_is_shown_before_it_is_valid(chat: Chat, fake: FakeOpenAI, schema: str) -> None:
    fake.script(Answer("rubbish"), Answer('{"name": "Ada", "age": 36}'))
    kinds = [event["type"] for event in chat("--format", "jsonl", "--schema", schema, "who?").events()]
    assert kinds == ["turn_started", "text_delta", "turn_finished"]
    fake.script(Stall("half"))
    assert chat("--timeout", "0.5", "--schema", schema, "who?").stdout == ""


@pytest.mark.parametrize(
    "text",
    [None, "{", "[]", '{"type": "nonsense"}', '{"properties": 3}'],
    ids=["missing", "no JSON", "no object", "a", "b"],
)
def test_an_invalid_schema_is_a_usage_error_before_anything_is_sent(
    chat: Chat, fake: FakeOpenAI, text: str | None
) -> None:
    if text is not None:
        (chat.home.work / "bad.json").write_text(text)
    result = chat("--schema", "bad.json", "who?")
    assert_reported(result, 2)
    assert "bad.json" in result.stderr
    assert fake.requests == []


def test_the_schema_has_a_variable_and_a_key_of_its_own(chat: Chat, fake: FakeOpenAI, schema: str) -> None:
    fake.default = Answer('{"name": "Ada", "age": 36}')
    chat("who?", env={"CHATCLI_SCHEMA": schema})
    config = chat.home.root / ".config" / "chatcli" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'schema = "{schema}"\n')
    assert chat("who?").returncode == 0
    assert all("response_format" in request.body for request in fake.requests)
