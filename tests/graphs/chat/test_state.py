"""The reducer of a thread's messages."""

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage
from langgraph.channels import DeltaChannel
from langgraph.graph.message import REMOVE_ALL_MESSAGES, add_messages
from langgraph.types import Overwrite

from chatcli.graphs.chat import state as chat_state
from chatcli.graphs.chat.state import MessagesChannel, append_messages

IDS = st.sampled_from("abcdef")
MESSAGES = st.one_of(
    st.builds(lambda name, text: HumanMessage(text, id=name), IDS, st.text(max_size=3)),
    st.builds(lambda name, text: AIMessage(text, id=name), IDS, st.text(max_size=3)),
)
SEEDS: list[list[BaseMessage]] = [[], [HumanMessage("first", id="a")]]
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


@given(st.lists(WRITES, max_size=6))
def test_it_does_so_for_messages_that_are_indexed(batches: list[list[list[BaseMessage]]]) -> None:
    state: list[BaseMessage] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chat_state, "MAX_UNINDEXED", 1)
        for writes in batches:
            before, copied = state, list(state)
            state = append_messages(state, writes)
            assert state == one_by_one(copied, writes)
            assert before == copied


def loaded(writes: list[tuple[str, str, list[BaseMessage]]]) -> list[BaseMessage]:
    channel = MessagesChannel(append_messages, list).from_checkpoint([])
    channel.replay_writes(writes)
    messages: list[BaseMessage] = channel.get()
    return messages


def test_a_load_takes_over_what_was_loaded_of_the_same_thread_alone() -> None:
    one, other = ([("task", "messages", list[BaseMessage]([HumanMessage(text, id="a")]))] for text in ("one", "other"))
    for writes, text in ((one, "one"), (other, "other"), (other, "other"), (one, "one")):
        messages = loaded(list(writes))
        assert [message.text for message in messages] == [text]
        messages.clear()  # what a caller does with its list is seen nowhere else


VALUES = st.lists(st.lists(MESSAGES, max_size=3) | st.builds(Overwrite, st.just([])), max_size=12)


@given(VALUES, VALUES, st.data())
def test_a_load_of_a_thread_gives_what_all_of_its_writes_do(
    one: list[list[BaseMessage] | Overwrite], other: list[list[BaseMessage] | Overwrite], data: st.DataObject
) -> None:
    threads = [[("task", "messages", value) for value in values] for values in (one, other)]
    for _ in range(data.draw(st.integers(1, 6))):
        # As the store gives them out: a new list of the same writes, of a thread as long as it was at a checkpoint.
        thread = data.draw(st.sampled_from(threads))
        writes = thread[: data.draw(st.integers(0, len(thread)))]
        seed: list[BaseMessage] = data.draw(st.sampled_from(SEEDS))
        ours, whole = (kind(append_messages, list).from_checkpoint(seed) for kind in (MessagesChannel, DeltaChannel))
        ours.replay_writes(writes)
        whole.replay_writes(writes)
        assert ours.get() == whole.get()
        ours.get().clear()


def test_it_removes_by_id_and_leaves_its_argument_alone() -> None:
    state: list[BaseMessage] = [HumanMessage("one", id="1"), AIMessage("two", id="2"), HumanMessage("three", id="3")]
    kept = list(state)
    assert append_messages(state, [RemoveMessage("2")]) == [state[0], state[2]]
    assert append_messages(state, [[RemoveMessage(REMOVE_ALL_MESSAGES), AIMessage("new", id="9")]]) == [
        AIMessage("new", id="9")
    ]
    assert state == kept
