import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolCall, ToolMessage
from langchain_core.messages.tool import tool_call_chunk

from chatcli.sessions.message_calls import (
    MAX_DEPTH,
    NO_RESULT,
    finish_reason,
    is_cut,
    name_calls,
    open_calls,
    pair_calls,
    result_of,
    whole_answer,
)


def asks(*ids: str) -> AIMessage:
    return AIMessage("", tool_calls=[ToolCall(name="look", args={}, id=each, type="tool_call") for each in ids])


def done(call_id: str) -> ToolMessage:
    return ToolMessage(f"result of {call_id}", tool_call_id=call_id)


def shape(messages: list[BaseMessage]) -> list[str]:
    return [message.tool_call_id if isinstance(message, ToolMessage) else message.type for message in messages]


def test_every_call_gets_a_result_and_every_result_has_a_call() -> None:
    messages = [HumanMessage("x"), asks("1", "2", "3"), done("3"), done("1"), HumanMessage("y"), done("2"), asks("4")]
    paired = pair_calls(messages)
    assert shape(paired) == ["human", "ai", "1", "2", "3", "human", "ai", "4"]
    assert [message.text for message in paired if message.text == NO_RESULT] == [NO_RESULT] * 2
    whole = [HumanMessage("x"), asks("1"), done("1"), AIMessage("done")]
    assert all(before is after for before, after in zip(whole, pair_calls(whole), strict=True))


def test_only_the_newest_answer_has_open_calls() -> None:
    assert [call["id"] for call in open_calls([asks("1", "2"), done("2")])] == ["1"]
    assert open_calls([asks("1"), HumanMessage("y")]) == []
    assert open_calls([]) == []


def test_calls_without_an_id_of_their_own_get_one() -> None:
    answer = name_calls(asks("0"), [asks("0"), done("0")])
    assert answer.tool_calls[0]["id"] not in ("0", None)
    unnamed = AIMessageChunk(content="", tool_call_chunks=[tool_call_chunk(name="look", args="{}", id=None, index=0)])
    assert whole_answer(unnamed).tool_calls[0]["id"]


def test_a_call_that_was_cut_off_keeps_no_arguments() -> None:
    parts = [
        tool_call_chunk(name="run", args='{"command": "rm -rf /tmp/x', id="1", index=0),
        tool_call_chunk(name="run", args='{"command": "ls"}', id="2", index=1),
        tool_call_chunk(name="run", args="", id="3", index=2),
    ]
    answer = name_calls(whole_answer(AIMessageChunk(content="", tool_call_chunks=parts)), [done("1")])
    assert [call["args"] for call in answer.tool_calls] == [{}, {"command": "ls"}, {}]
    assert [is_cut(call, answer) for call in answer.tool_calls] == [True, False, False]


def test_an_answer_in_blocks_has_no_empty_texts() -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "index": 0}
    chunks = [
        AIMessageChunk(content=""),
        AIMessageChunk(content=[thinking]),
        AIMessageChunk(content=[{"type": "text", "text": "", "index": 1}]),
    ]
    assert whole_answer(chunks[0] + chunks[1:]).content == [thinking]


@pytest.mark.parametrize(
    ("arguments", "is_whole"),
    [
        ('{"a": [{"b": [1, 2.5, true, null, "x"]}]}', True),
        ('{"a": %s}' % ("[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)), True),
        ('{"a": %s}' % ("[" * MAX_DEPTH + "]" * MAX_DEPTH), False),
        (f'{{"a": {2**63 - 1}}}', True),
        (f'{{"a": {2**63}}}', False),
        ('{"a": NaN}', False),
        ('{"a": 1e999}', False),
        ('{"a": "\\ud800"}', False),
        ('{"\\ud800": 1}', False),
        ("[1]", False),
        ('"a"', False),
    ],
)
def test_arguments_that_can_not_be_sent_again_are_cut_off(arguments: str, is_whole: bool) -> None:
    parts = [tool_call_chunk(name="run", args=arguments, id="1", index=0)]
    answer = whole_answer(AIMessageChunk(content="", tool_call_chunks=parts))
    [call] = answer.tool_calls
    assert is_cut(call, answer) is not is_whole
    assert bool(call["args"]) is is_whole


def test_a_result_that_can_not_be_sent_as_it_is_is_repaired() -> None:
    [call] = asks("1").tool_calls
    assert result_of(call, "a\ud800b").text == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"stop_reason": "max_tokens"}, "length"),
        ({"status": "incomplete"}, "length"),
        ({"finish_reason": "MAX_TOKENS"}, "length"),
        ({"stop_reason": "refusal"}, "content_filter"),
        ({"finish_reason": "SAFETY"}, "content_filter"),
        ({"stopReason": "guardrail_intervened"}, "content_filter"),
        ({"stop_reason": "tool_use"}, "tool_calls"),
        ({"done_reason": "stop"}, "stop"),
        ({"stop_reason": "end_turn"}, "stop"),
        ({"finish_reason": "own word"}, "own word"),
        ({}, ""),
    ],
)
def test_why_a_model_stopped_is_told_in_one_word_for_all_providers(metadata: dict[str, str], reason: str) -> None:
    assert finish_reason(AIMessage("", response_metadata=metadata)) == reason
