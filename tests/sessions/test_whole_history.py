"""Messages that a graph has removed from its state are still shown, in their place."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES

from chatcli.sessions.requests import Ask
from tests.sessions.test_any_graph import gather, opened

Written = list[BaseMessage]


def keep_newest(messages: Written) -> Written:
    return [RemoveMessage(id=str(message.id)) for message in messages[:-1]]


def keep_first(messages: Written) -> Written:
    return [RemoveMessage(id=str(message.id)) for message in messages[1:]]


def remove_all(messages: Written) -> Written:
    return [RemoveMessage(id=REMOVE_ALL_MESSAGES)]


def summarise(messages: Written) -> Written:
    summary = HumanMessage("a summary", additional_kwargs={"lc_source": "summarization"})
    return [RemoveMessage(id=REMOVE_ALL_MESSAGES), summary, *messages[-1:]] if len(messages) == 3 else []


@pytest.mark.parametrize("change", [keep_newest, keep_first, remove_all, summarise])
async def test_a_removed_message_is_shown_in_its_place(change: Any) -> None:
    def speak(state: MessagesState) -> dict[str, Any]:
        question = state["messages"][-1].text
        return {"messages": [*change(state["messages"]), AIMessage(f"re: {question}")]}

    builder = StateGraph(MessagesState).add_node(speak).add_edge(START, "speak")
    async with opened(builder) as session:
        for question in ("one", "two", "three"):
            await gather(session.run(Ask(question)))
        shown = [message.text for message in await session.history() if message.role != "summary"]
        assert shown == ["one", "re: one", "two", "re: two", "three", "re: three"]
        await session.undo()
        await gather(session.run(Ask("four")))
        shown = [message.text for message in await session.history() if message.role != "summary"]
        assert shown == ["one", "re: one", "two", "re: two", "four", "re: four"]
