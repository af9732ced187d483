"""What the stores use of LangGraph's savers beyond their documented interface; these tests fail when that changes."""

import inspect

import langgraph.checkpoint.base.id as generator
import pytest
from langgraph.checkpoint.base import WRITES_IDX_MAP, BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.pregel._checkpoint import create_checkpoint


def test_the_postgres_saver_writes_by_these_parts() -> None:
    assert [*inspect.signature(AsyncPostgresSaver._dump_writes).parameters] == [
        "self",
        "thread_id",
        "checkpoint_ns",
        "checkpoint_id",
        "task_id",
        "task_path",
        "writes",
    ]
    assert "pipeline" in inspect.signature(AsyncPostgresSaver._cursor).parameters
    for query in (AsyncPostgresSaver.UPSERT_CHECKPOINT_WRITES_SQL, AsyncPostgresSaver.INSERT_CHECKPOINT_WRITES_SQL):
        assert "INTO checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path" in query
    assert {"__error__", "__interrupt__", "__resume__"} <= set(WRITES_IDX_MAP)


def test_the_sqlite_saver_writes_in_one_transaction_of_its_connection() -> None:
    code = inspect.getsource(AsyncSqliteSaver.aput_writes)
    assert "async with self.lock, self.conn.cursor()" in code
    assert code.count("await self.conn.commit()") == 1


def test_savers_rebuild_a_delta_channel_by_this_method() -> None:
    for saver in (BaseCheckpointSaver, InMemorySaver, AsyncSqliteSaver, AsyncPostgresSaver):
        assert [*inspect.signature(saver.aget_delta_channel_history).parameters] == ["self", "config", "channels"]


def test_ids_of_checkpoints_come_after_the_last_time_of_their_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    now = generator.uuid6()
    year = 365 * 24 * 3600 * 10**7
    monkeypatch.setattr(generator, "_last_v6_timestamp", now.time + year)
    for make in (empty_checkpoint, lambda: create_checkpoint(empty_checkpoint(), None, 1)):
        made = make()
        assert generator.UUID(made["id"]).time > now.time + year
        assert made["id"] > str(now)
