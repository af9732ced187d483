"""What is kept of a turn that was cut short: the one policy for cancel, failure and crash.

The question always stays. A partial answer is written under the node that was giving it, marked interrupted, so that
nothing is pending. A question without any answer stays pending: it can be asked again, and the next turn's context
joins it to the next question.
"""

import asyncio
from uuid import uuid4

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START
from langgraph.types import StateSnapshot

from chatcli.events import INTERRUPTED
from chatcli.graph.build import ChatGraph
from chatcli.graph.nodes import MODEL_NODE
from chatcli.store.threads import Threads


async def keep_turn(graph: ChatGraph, config: RunnableConfig, question: HumanMessage, partial: str) -> None:
    """Store what a turn that asked `question` and got as far as `partial` has not stored itself."""
    state = await graph.aget_state(config)
    stored = [message.id for message in state.values.get("messages", [])]
    if question.id not in stored:
        await graph.aupdate_state(config, {"messages": [question]}, as_node=START)
    elif partial and stored[-1] == question.id:
        await _keep_partial(graph, config, state, partial)


async def recover(graph: ChatGraph, threads: Threads, config: RunnableConfig) -> bool:
    """Store the partial answer of a process that was killed; return whether there was one.

    The caller holds the thread's lock: a journal without a lock is a dead process's.
    """
    thread_id = config["configurable"]["thread_id"]
    partial = await asyncio.to_thread(threads.partial, thread_id)
    if partial is None:
        return False
    state = await graph.aget_state(config)
    messages = state.values.get("messages", [])
    unanswered = bool(messages) and messages[-1].id == partial.question_id
    if unanswered:
        await _keep_partial(graph, config, state, partial.text)
    await asyncio.to_thread(threads.clear_partial, thread_id)
    return unanswered


async def recover_unless_running(graph: ChatGraph, threads: Threads, thread_id: str) -> None:
    """Do what `recover` does, unless a process is running a turn on the thread, whose answer needs no repair."""
    if threads.try_lock(thread_id):
        try:
            await recover(graph, threads, {"configurable": {"thread_id": thread_id}})
        finally:
            threads.unlock(thread_id)


async def _keep_partial(graph: ChatGraph, config: RunnableConfig, state: StateSnapshot, partial: str) -> None:
    # Under the labels of the question, so that it belongs to that turn; LangGraph itself takes on none of them.
    labels = {name: value for name, value in (state.metadata or {}).items() if name.startswith("chatcli_")}
    config = {**config, "metadata": {**labels, **config.get("metadata", {})}}
    answer = AIMessage(partial, id=str(uuid4()), response_metadata={"finish_reason": INTERRUPTED})
    await graph.aupdate_state(config, {"messages": [answer]}, as_node=MODEL_NODE)
