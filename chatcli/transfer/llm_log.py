"""The log of simonw/llm: `logs.db`, whose tables https://llm.datasette.io/en/stable/logging.html describes."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from chatcli.transfer.document import ThreadDocument, check_id, check_storable, check_unique, refuse

MAGIC = b"SQLite format 3\0"
MAX_TEXT = 256 * 1024 * 1024
"""Characters of questions and answers to take at once."""
_COLUMNS = {"conversations": {"id", "name", "model"}, "responses": {"id", "model", "prompt", "system", "response"}}

_SIZE = "SELECT coalesce(sum(length(prompt)), 0) + coalesce(sum(length(response)), 0) FROM responses"
_ROWS = """
SELECT c.id, c.name, c.model, r.id, r.model, r.prompt, r.system, r.response
FROM conversations c JOIN responses r ON r.conversation_id = c.id
JOIN (SELECT conversation_id, max(datetime_utc) AS newest FROM responses GROUP BY conversation_id) AS used
    ON used.conversation_id = c.id
ORDER BY used.newest, c.id, r.datetime_utc, r.id
"""


class _Row(NamedTuple):
    conversation: str
    name: str | None
    model: str | None
    response_id: str
    response_model: str | None
    prompt: str | None
    system: str | None
    response: str | None


def read_llm_log(path: Path) -> list[ThreadDocument]:
    """Return the conversations of the log at `path`, the one used last at the end; the log is only read.

    Raises:
        UsageError: It is no such log, or something is wrong with it.

    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            _refuse_other(connection)
            (size,) = connection.execute(_SIZE).fetchone()
            if size > MAX_TEXT:
                raise refuse("responses", f"holds {size} characters; the most is {MAX_TEXT}")
            rows = [_row(*values) for values in connection.execute(_ROWS)]
    except sqlite3.Error as error:
        raise refuse("the database", str(error)) from None
    return [_document(list(group)) for _, group in groupby(rows, itemgetter(0))]


def _refuse_other(connection: sqlite3.Connection) -> None:
    """Refuse a database without the tables; a view of a table's name could take for ever to be read."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    for table, wanted in _COLUMNS.items():
        if table not in tables:
            raise refuse("the database", f"it has no table {table}, so it is no log of llm")
        columns = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
        if missing := wanted - columns:
            raise refuse(table, f"it has no column {min(missing)}")


def _row(*values: object) -> _Row:
    where = f"responses, id {str(values[3])[:80]!r}"
    for name, value in zip(_Row._fields, values, strict=True):
        required = name in ("conversation", "response_id")
        if not (isinstance(value, str) or (value is None and not required)):
            raise refuse(where, f"{name} is no text")
        check_storable(where, value)
    return _Row(*values)  # type: ignore[arg-type]  # they were looked at just now


def _document(rows: list[_Row]) -> ThreadDocument:
    first = rows[0]
    known: set[str] = set()
    for row in rows:
        check_unique("responses.id", row.response_id, known)
    return ThreadDocument(
        thread_id=check_id("conversations.id", first.conversation),
        title=" ".join((first.name or "").split()),
        model=rows[-1].response_model or first.model or "",
        system=next((row.system for row in rows if row.system), None),
        messages=[message for row in rows for message in _messages(row)],
    )


def _messages(row: _Row) -> Iterator[BaseMessage]:
    if row.prompt:
        yield HumanMessage(row.prompt, id=f"{row.response_id}-prompt")
    if row.response:
        yield AIMessage(row.response, id=row.response_id)
