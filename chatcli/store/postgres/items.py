"""LangGraph's store of items in a PostgreSQL database."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from langgraph.store.base import BaseStore, IndexConfig, TTLConfig
from langgraph.store.postgres import PostgresStore
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from chatcli.store.errors import refuse_foreign_tables
from chatcli.store.postgres.connection import connect, parameters
from chatcli.store.postgres.saver import POOL_TIMEOUT, making_tables


@contextmanager
def open_postgres_items(
    uri: str, index: IndexConfig | None, ttl: TTLConfig | None, report: Callable[[str], None]
) -> Iterator[BaseStore]:
    """Yield LangGraph's store at `uri`, with its tables; `report` takes a line if an index lacks pgvector."""
    pool = ConnectionPool(
        kwargs={**parameters(uri), "autocommit": True, "row_factory": dict_row},
        min_size=1,
        max_size=1,
        timeout=POOL_TIMEOUT,
        reconnect_timeout=POOL_TIMEOUT,
        check=ConnectionPool.check_connection,  # it may be lost while the user thinks
        open=False,
    )
    with closing(pool):
        with closing(connect(uri)) as connection:
            refuse_foreign_tables(lambda table: connection.execute(_COLUMNS, [table]), "this database")
            if index is not None and connection.execute(_PGVECTOR).fetchone() is None:
                report("the graph's store does not search by meaning: the PostgreSQL server has no extension vector")
                index = None
            pool.open()
            store = PostgresStore(pool, index=index, ttl=ttl)  # type: ignore[arg-type]
            with making_tables(connection):
                store.setup()
        yield store


_PGVECTOR = "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"
_COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
