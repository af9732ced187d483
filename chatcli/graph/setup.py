"""A thread's setup in its state."""

from langgraph.checkpoint.base import BaseCheckpointSaver

from chatcli.graph.build import ChatGraph
from chatcli.graph.state import ChatState
from chatcli.roles.setup import Setup


async def read_setup(graph: ChatGraph, thread_id: str) -> Setup | None:
    """Return the setup of the thread `thread_id`, or None when there is no such thread; its messages are not read."""
    checkpointer = graph.checkpointer
    assert isinstance(checkpointer, BaseCheckpointSaver)
    newest = await checkpointer.aget_tuple({"configurable": {"thread_id": thread_id}})
    if newest is None:
        return None
    values = newest.checkpoint["channel_values"]
    return Setup(
        system=values.get("system") or "",
        role=values.get("role") or "",
        template=values.get("template") or "",
        variables=values.get("variables") or {},
        temperature=values.get("temperature"),
        model=values.get("model") or "",
        base_url=values.get("base_url") or "",
    )


def setup_update(setup: Setup) -> ChatState:
    """Return the update of a thread's state that makes `setup` its own."""
    return ChatState(
        system=setup.system,
        role=setup.role,
        template=setup.template,
        variables=dict(setup.variables),
        temperature=setup.temperature,
        model=setup.model,
        base_url=setup.base_url,
    )
