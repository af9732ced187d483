"""Threads in a checkpointer that a graph brings along."""

import asyncio
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph

from chatcli.errors import UsageError
from chatcli.store.open import foreign_store


def answer(state: MessagesState) -> MessagesState:
    return MessagesState(messages=[AIMessage(f"heard {len(state['messages'])}")])


async def test_a_branch_is_copied_and_goes_on_by_itself(tmp_path: Path) -> None:
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "own.db")) as saver:
        builder = StateGraph(MessagesState)
        builder.add_node("answer", answer)
        builder.add_edge(START, "answer")
        graph = builder.compile(checkpointer=saver)
        threads = foreign_store(saver).threads

        async def said(thread_id: str, question: str = "") -> list[str]:
            config = RunnableConfig(configurable={"thread_id": thread_id})
            if question:
                await graph.ainvoke(MessagesState(messages=[HumanMessage(question)]), config)
            return [message.text for message in (await graph.aget_state(config)).values["messages"]]

        await said("old", "one")
        first = (await asyncio.to_thread(threads.steps, "old"))[-1].checkpoint_id
        await said("old", "two")
        await asyncio.to_thread(threads.fork, "old", "new", first)
        found = await asyncio.to_thread(threads.find, "new")
        assert found is not None
        assert found.thread_id == "new"
        assert await asyncio.to_thread(threads.find, "newer") is None
        assert await said("new") == ["one", "heard 1"]
        assert await said("new", "three") == ["one", "heard 1", "three", "heard 3"]
        assert await said("old") == ["one", "heard 1", "two", "heard 3"]
        with pytest.raises(UsageError, match="already"):
            await asyncio.to_thread(threads.fork, "old", "new")
        with pytest.raises(UsageError, match="no checkpoint"):
            await asyncio.to_thread(threads.fork, "old", "newer", "nowhere")
