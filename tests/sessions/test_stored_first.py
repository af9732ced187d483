"""A user graph's first node runs only when the question is stored; LangGraph calls the saver's copy for that."""

import asyncio
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from chatcli.sessions.thread import WaitForFirstCheckpoint


async def test_the_first_node_waits_until_its_question_is_stored() -> None:
    happened: list[str] = []

    class SlowSaver(InMemorySaver):
        async def aput(
            self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata, new_versions: Any
        ) -> RunnableConfig:
            for _ in range(100):  # the node's turn comes many times meanwhile
                await asyncio.sleep(0)
            happened.append(f"stored {metadata['step']}")
            return await super().aput(config, checkpoint, metadata, new_versions)

    async def answer(state: MessagesState) -> dict[str, Any]:
        happened.append("answer")
        return {}

    first = WaitForFirstCheckpoint()
    graph = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile()
    graph = graph.copy(update={"checkpointer": first.watch(SlowSaver())})
    config: RunnableConfig = {"configurable": {"thread_id": "work"}, "callbacks": [first]}
    await graph.ainvoke({"messages": [HumanMessage("hi")]}, config, durability="async")
    assert happened.index("stored 0") < happened.index("answer")
