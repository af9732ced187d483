"""Rebuilds the index of messages of a PostgreSQL store from LangGraph's tables."""

from typing import TYPE_CHECKING

import psycopg

from chatcli.store.message_index import message_rows
from chatcli.store.postgres.schema import ADD_MESSAGE
from chatcli.store.serde import CompressedSerializer

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

NUL, NUL_SHOWN = "\x00", "\N{REPLACEMENT CHARACTER}"
"""A text column holds no NUL; the index shows a replacement character, the checkpoints keep the NUL."""


def indexable(row: tuple[str, str, str, str, str, bool]) -> tuple[str | bool, ...]:
    """Return a row of `message_rows` as the index of messages takes it."""
    return tuple(value.replace(NUL, NUL_SHOWN) if isinstance(value, str) else value for value in row)


def rebuild_messages(connection: psycopg.Connection) -> None:
    """Index every message that a checkpoint's writes hold; to be called in a transaction."""
    serde = CompressedSerializer()
    connection.execute("DELETE FROM chatcli_messages")
    # A server-side cursor: a database may hold more than fits into memory here.
    with connection.cursor("chatcli_rebuild") as rows:
        rows.execute(
            "SELECT thread_id, checkpoint_id, type, blob FROM checkpoint_writes"
            " WHERE channel = 'messages' AND checkpoint_ns = '' ORDER BY checkpoint_id, task_path, task_id, idx"
        )
        for thread_id, checkpoint_id, kind, value in rows:
            where: RunnableConfig = {"configurable": {"thread_id": thread_id, "checkpoint_id": checkpoint_id}}
            for said in message_rows(where, [("messages", serde.loads_typed((kind, value)))]):
                connection.execute(ADD_MESSAGE, indexable(said))
