"""The log of simonw/llm: `logs.db`, which https://llm.datasette.io/en/stable/logging.html describes."""

# Up to version 0.31 of llm, the log has conversations that consist of responses. Since 0.32 it has threads: each points
# to the last message of a chain, and threads share the messages before they fork. A conversation that began in an older
# version and was continued in a newer one is in both; its chain then begins with the messages of its responses.

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from typing import Any

from chatcli.runtime.sqlite import READ_STEPS, connect, plain_tables, unchecked
from chatcli.text import one_line
from chatcli.transfer.document import ThreadDocument, check_id, check_storable, check_unique, refuse
from chatcli.transfer.foreign import load_json, sort_documents
from chatcli.transfer.llm_messages import Builder, Row, Rows

BUSY_TIMEOUT = 5.0
"""Seconds to wait for a write of llm."""
MAGIC = b"SQLite format 3\0"
MAX_TEXT = 256 * 1024 * 1024
"""The most characters and bytes to read from one log."""
MAX_ROWS = 2_000_000
"""The most rows to read from one log, and the most messages to make of them."""

_TABLES_TO_0_31 = {
    "conversations": ("id", "name", "model"),
    "responses": ("id", "conversation_id", "model", "prompt", "system", "response", "datetime_utc"),
}
_TABLES_SINCE_0_32 = {
    "threads": ("id", "name", "tip_message_hash", "datetime_utc"),
    "turns": ("id", "thread_id", "tip_message_hash", "model", "datetime_utc"),
    "messages": ("hash", "parent_hash", "role"),
    "parts": ("message_hash", "position", "type", "text", "payload"),
}
_OPTIONAL = {
    "responses": ("reasoning", "options_json", "schema_id"),
    "turns": ("options_json", "schema_id"),
    "attachments": ("id", "type", "path", "url", "content"),
    "prompt_attachments": ("response_id", "attachment_id", "order"),
    "tool_results_attachments": ("tool_result_id", "attachment_id", "order"),
    "fragments": ("id", "content"),
    "prompt_fragments": ("response_id", "fragment_id", "order"),
    "system_fragments": ("response_id", "fragment_id", "order"),
    "tool_calls": ("id", "response_id", "name", "arguments", "tool_call_id"),
    "tool_results": ("id", "response_id", "name", "output", "tool_call_id", "exception"),
}
"""Tables and columns that not every version has; they are read if they exist."""
_KEYS = {"conversations": "id", "responses": "id", "threads": "id", "turns": "id", "messages": "hash"}
_NUMBERS = ("order", "position", "fragment_id", "tool_result_id")


class _Log:
    """The tables of the log in the database of `connection`."""

    # Each table is read once, as a whole, and the database never joins two: the file may come from anywhere, and
    # without an index a join takes time for every pair of rows.
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._size = self._rows = 0
        # llm has triggers and tables for search, too: only what is read has to be plain.
        self.tables = plain_tables(connection)

    def columns(self, table: str) -> set[str]:
        """Return the columns of `table`, without generated ones, whose expressions could take forever."""
        return {name for (name,) in self._connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}

    def require(self, tables: Mapping[str, Sequence[str]]) -> None:
        """Raise UsageError unless `tables` exist with these columns. A view is no substitute: it could take forever."""
        for table, wanted in tables.items():
            if table not in self.tables:
                raise refuse("the database", f"it has no table {table}, so it is not a log of llm")
            if missing := set(wanted) - self.columns(table):
                raise refuse(table, f"it has no column {min(missing)}")

    def read(self, table: str) -> list[Row]:
        """Return the rows of `table`, checked, with the columns that chatcli knows; none if there is no such table."""
        if table not in self.tables:
            return []
        known = dict.fromkeys(
            [*_TABLES_TO_0_31.get(table, ()), *_TABLES_SINCE_0_32.get(table, ()), *_OPTIONAL.get(table, ())]
        )
        existing = self.columns(table)
        names = [name for name in known if name in existing]
        quoted = ", ".join(f'"{name}"' for name in names)
        sizes = " + ".join(f'coalesce(length("{name}"), 0)' for name in names) or "0"
        query = f'SELECT count(*), coalesce(sum({sizes}), 0) FROM "{table}"'  # noqa: S608 - constant names
        rows, size = self._connection.execute(query).fetchone()
        self._rows, self._size = self._rows + rows, self._size + size
        if self._size > MAX_TEXT or self._rows > MAX_ROWS:
            raise refuse(table, f"the log holds more than {MAX_TEXT} characters or {MAX_ROWS} rows")
        if not names:
            return []
        query = f'SELECT {quoted} FROM "{table}"'  # noqa: S608 - as above
        found = [
            _row(table, dict(zip(names, values, strict=True)), known) for values in self._connection.execute(query)
        ]
        key, keys = _KEYS.get(table, ""), set[str]()
        for row in found if key else ():
            if row[key] is None:
                raise refuse(table, f"a row has no {key}")
            check_unique(f"{table}.{key}", row[key], keys)
        return found


def read_llm_log(path: Path) -> list[ThreadDocument]:
    """Return the conversations of the log at `path`, the one used last at the end. The log is not changed."""
    try:
        with closing(connect(path, unchecked, timeout=BUSY_TIMEOUT, mode="ro", steps=READ_STEPS)) as connection:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_TEXT)
            log = _Log(connection)
            is_new = "threads" in log.tables
            if is_new:
                log.require(_TABLES_SINCE_0_32)
            if not is_new or "responses" in log.tables:
                log.require(_TABLES_TO_0_31)
            return _documents(log)
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:  # SQLite's messages may quote invalid UTF-8
        raise refuse("the database", str(error)) from None


def _row(table: str, row: dict[str, Any], known: Iterable[str]) -> Row:
    where = f"{table}, {next(iter(row))} {str(next(iter(row.values())))[:80]!r}"
    for name, value in row.items():
        kind, what = _column_type(table, name)
        if value is not None and not isinstance(value, kind):
            raise refuse(where, f"{name} is not {what}")
        check_storable(where, value)
    return {**dict.fromkeys(known), **row}


def _column_type(table: str, name: str) -> tuple[type, str]:
    if name in _NUMBERS or (name == "id" and table in ("fragments", "tool_calls", "tool_results")):
        return int, "a number"
    if name == "content" and table == "attachments":
        return bytes, "binary data"
    return str, "text"


def _documents(log: _Log) -> list[ThreadDocument]:
    fragments = {row["id"]: row["content"] or "" for row in log.read("fragments")}
    attachments = {row["id"]: row for row in log.read("attachments")}
    turns = sorted(log.read("turns"), key=lambda row: (row["datetime_utc"] or "", row["id"]))
    conversations = _Conversations(log, fragments, attachments, {row["id"] for row in turns})
    chains = _Chains(log, fragments, attachments)
    found: list[tuple[str, ThreadDocument]] = []
    used_ids: set[str] = set()
    suffixes: dict[str, Iterator[int]] = {}

    def add(used_at: str, wanted_id: str, name: str | None, model: str | None, builder: Builder) -> None:
        if not builder.messages:
            return
        thread_id = check_id("threads.id", wanted_id)
        while thread_id in used_ids:
            thread_id = check_id("threads.id", f"{wanted_id}-{next(suffixes.setdefault(wanted_id, count(2)))}")
        used_ids.add(thread_id)
        found.append((used_at, builder.document(thread_id, one_line(name or ""), model or "")))

    turns_of: dict[str, list[Row]] = {}
    for turn in turns:
        turns_of.setdefault(turn["thread_id"] or turn["id"], []).append(turn)
    threads = log.read("threads")
    for thread in threads:
        own = turns_of.get(thread["id"], [])
        name, model = conversations.names.get(thread["id"], (thread["name"], None))
        used_at = max([thread["datetime_utc"] or "", *(turn["datetime_utc"] or "" for turn in own)])
        builder = chains.build(thread["tip_message_hash"])
        builder.note_settings(own)
        conversations.remove_imported(thread["id"], builder)
        add(used_at, thread["id"], name or thread["name"], own[-1]["model"] if own else model, builder)
    names = {row["id"]: row["name"] for row in threads}
    for turn in chains.unreferenced(turns):
        thread_id = turn["thread_id"] or turn["id"]
        name, _ = conversations.names.get(thread_id, (names.get(thread_id), None))
        add(turn["datetime_utc"] or "", thread_id, name, turn["model"], chains.build(turn["tip_message_hash"]))
    for conversation, used_at, model, builder in conversations.remaining():
        name, first_model = conversations.names.get(conversation, (None, None))
        add(used_at, conversation, name, model or first_model, builder)
    return sort_documents(found)


class _Conversations:
    """The conversations of llm up to 0.31, by ID."""

    def __init__(self, log: _Log, fragments: Mapping[int, str], attachments: Rows, turn_ids: set[str]) -> None:
        self._attachments = attachments
        self._turn_ids = turn_ids
        self.names = {row["id"]: (row["name"], row["model"]) for row in log.read("conversations")}
        self._responses: dict[str, list[Row]] = {}
        for row in sorted(log.read("responses"), key=lambda row: (row["datetime_utc"] or "", row["id"])):
            self._responses.setdefault(row["conversation_id"] or row["id"], []).append(row)
        self._prompt_fragments = _texts(log.read("prompt_fragments"), fragments)
        self._system_fragments = _texts(log.read("system_fragments"), fragments)
        self._files = _grouped(log.read("prompt_attachments"), "response_id", "order")
        self._result_files = _grouped(log.read("tool_results_attachments"), "tool_result_id", "order")
        self._calls = _grouped(log.read("tool_calls"), "response_id", "id")
        self._results = _grouped(log.read("tool_results"), "response_id", "id")

    def remove_imported(self, conversation: str, thread: Builder) -> None:
        """Remove the conversation if `thread` begins with its messages; if not, remove its responses that are turns."""
        rows = self._responses.get(conversation)
        if rows is None:
            return
        texts = self._build(rows).texts
        if thread.texts[: len(texts)] == texts:
            thread.note_settings(self._responses.pop(conversation))
        else:
            self._responses[conversation] = [row for row in rows if row["id"] not in self._turn_ids]

    def remaining(self) -> Iterator[tuple[str, str, str | None, Builder]]:
        """Yield each conversation that was not removed: its ID, when it was last used, its last model, its messages."""
        for conversation, rows in self._responses.items():
            if rows:
                yield conversation, rows[-1]["datetime_utc"] or "", rows[-1]["model"], self._build(rows)

    def _build(self, rows: Sequence[Row]) -> Builder:
        builder = Builder(self._attachments)
        for row in rows:
            key = row["id"]
            system = [*self._system_fragments.get(key, ()), (row["system"] or "").strip()]
            builder.add_system("\n\n".join(text for text in system if text))
            for number, result in enumerate(self._results.get(key, ())):
                files = [file["attachment_id"] for file in self._result_files.get(result["id"], ())]
                builder.add_result(f"{key}-result-{number}", result, files)
            prompt = [*self._prompt_fragments.get(key, ()), row["prompt"] or ""]
            files = [file["attachment_id"] for file in self._files.get(key, ())]
            builder.add_question(f"{key}-prompt", "\n".join(text for text in prompt if text), files)
            calls = [{**call, "arguments": _arguments(call["arguments"])} for call in self._calls.get(key, ())]
            builder.add_answer(key, row["response"] or "", row["reasoning"] or "", calls)
        builder.note_settings(rows)
        return builder


class _Chains:
    """The messages of llm since 0.32, each with a link to the one before it."""

    def __init__(self, log: _Log, fragments: Mapping[int, str], attachments: Rows) -> None:
        self._fragments = fragments
        self._attachments = attachments
        self._messages = {row["hash"]: row for row in log.read("messages")}
        self._parts = _grouped(log.read("parts"), "message_hash", "position")
        self._built: set[str] = set()
        self._number = 0

    def build(self, tip: str | None) -> Builder:
        builder = Builder(self._attachments)
        for message in self._chain(tip):
            self._built.add(message["hash"])
            parts = [self._part(part) for part in self._parts.get(message["hash"], ())]
            builder.add_message(message["hash"], message["role"] or "", parts)
        return builder

    def unreferenced(self, turns: Sequence[Row]) -> list[Row]:
        """Return the last turn of each branch that no thread points to."""
        tips = {turn["tip_message_hash"]: turn for turn in turns if turn["tip_message_hash"] not in self._built}
        inner: set[str | None] = set()
        for tip in tips:
            parent = self._message(tip)["parent_hash"] if tip is not None else None
            while parent is not None and parent not in inner and parent not in self._built:
                inner.add(parent)
                parent = self._message(parent)["parent_hash"]
        return [turn for tip, turn in tips.items() if tip is not None and tip not in inner]

    def _chain(self, tip: str | None) -> list[Row]:
        chain: list[Row] = []
        while tip is not None:
            chain.append(self._message(tip))
            self._number += 1
            if len(chain) > len(self._messages):
                raise refuse("messages", f"{tip[:80]!r} is its own ancestor")
            if self._number > MAX_ROWS:
                raise refuse("messages", f"the threads have more than {MAX_ROWS} messages together")
            tip = chain[-1]["parent_hash"]
        return chain[::-1]

    def _message(self, name: str) -> Row:
        if name not in self._messages:
            raise refuse("messages", f"there is no message {name[:80]!r}")
        return self._messages[name]

    def _part(self, row: Row) -> dict[str, Any]:
        where = f"parts of {row['message_hash'][:80]!r}"
        part: Any = {}
        if row["payload"] is not None:
            try:
                part = load_json(row["payload"])
            except ValueError as error:
                raise refuse(where, f"payload: {error}") from None
            if not isinstance(part, dict):
                raise refuse(where, "payload is not an object")
        if isinstance(pieces := part.get("text_ref"), list):
            part["text"] = "".join(self._piece(where, piece) for piece in pieces)
        if row["text"] is not None:
            part["text"] = row["text"]
        return {**part, "type": row["type"]}

    def _piece(self, where: str, piece: object) -> str:
        if isinstance(piece, dict):
            if isinstance(text := piece.get("literal"), str):
                return text
            if isinstance(number := piece.get("fragment"), int) and number in self._fragments:
                return self._fragments[number]
        raise refuse(where, "text_ref names a fragment that does not exist")


def _grouped(rows: Iterable[Row], key: str, order: str) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row[order] or 0):
        groups.setdefault(row[key], []).append(row)
    return groups


def _texts(rows: Iterable[Row], fragments: Mapping[int, str]) -> dict[str, list[str]]:
    groups = _grouped(rows, "response_id", "order")
    return {key: [fragments.get(row["fragment_id"], "") for row in group] for key, group in groups.items()}


def _arguments(text: str | None) -> Any:
    with suppress(ValueError):
        return load_json(text or "{}")
    return text
