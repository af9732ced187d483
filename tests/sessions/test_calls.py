from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolCall, ToolMessage
from langchain_core.messages.tool import tool_call_chunk

from chatcli.sessions.message_calls import NO_RESULT, is_cut, name_calls, open_calls, pair_calls, whole_answer


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
