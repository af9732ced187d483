"""The reducer of a thread's messages."""

from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage
from langgraph.graph.message import REMOVE_ALL_MESSAGES, add_messages

from chatcli.graphs.chat.state import append_messages

IDS = st.sampled_from("abcdef")
MESSAGES = st.one_of(
    st.builds(lambda name, text: HumanMessage(text, id=name), IDS, st.text(max_size=3)),
    st.builds(lambda name, text: AIMessage(text, id=name), IDS, st.text(max_size=3)),
)
WRITES = st.lists(st.lists(MESSAGES, max_size=3), max_size=6)


def one_by_one(state: list[BaseMessage], writes: list[list[BaseMessage]]) -> list[BaseMessage]:
    for write in writes:
        state = cast("list[BaseMessage]", add_messages(state, write))  # type: ignore[arg-type]  # invariant lists
    return state


@given(WRITES)
def test_it_does_what_add_messages_does(writes: list[list[BaseMessage]]) -> None:
    assert append_messages([], writes) == one_by_one([], writes)


@given(WRITES, WRITES)
def test_it_may_be_applied_in_batches(first: list[list[BaseMessage]], then: list[list[BaseMessage]]) -> None:
    assert append_messages(append_messages([], first), then) == append_messages([], first + then)


def test_it_removes_by_id_and_leaves_its_argument_alone() -> None:
    state: list[BaseMessage] = [HumanMessage("one", id="1"), AIMessage("two", id="2"), HumanMessage("three", id="3")]
    kept = list(state)
    assert append_messages(state, [RemoveMessage("2")]) == [state[0], state[2]]
    assert append_messages(state, [[RemoveMessage(REMOVE_ALL_MESSAGES), AIMessage("new", id="9")]]) == [
        AIMessage("new", id="9")
    ]
    assert state == kept
