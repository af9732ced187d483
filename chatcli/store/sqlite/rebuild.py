"""Makes the index of what was said anew, from LangGraph's own tables."""

from typing import TYPE_CHECKING

import aiosqlite
from langgraph.checkpoint.serde.base import SerializerProtocol

from chatcli.store.message_index import message_rows
from chatcli.store.sqlite import schema

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


async def rebuild_messages(connection: aiosqlite.Connection, serde: SerializerProtocol) -> None:
    """Index every message that a checkpoint's writes hold; does not commit."""
    await connection.execute("DELETE FROM messages")
    async with connection.execute(
        "SELECT thread_id, checkpoint_id, type, value FROM writes"
        " WHERE channel = 'messages' AND checkpoint_ns = '' ORDER BY checkpoint_id, task_path, task_id, idx"
    ) as rows:
        async for thread_id, checkpoint_id, kind, value in rows:
            where: RunnableConfig = {"configurable": {"thread_id": thread_id, "checkpoint_id": checkpoint_id}}
            said = message_rows(where, [("messages", serde.loads_typed((kind, value)))])
            await connection.executemany(schema.ADD_MESSAGE, list(said))
