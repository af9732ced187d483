"""The log of simonw/llm: `logs.db`, which https://llm.datasette.io/en/stable/logging.html describes.

Up to 0.31 it has conversations of responses (`llm_responses`). Since 0.32 it has threads: each is the tip of a chain of
messages, which threads share up to where they fork. A conversation that was begun before and continued since is
in both; its chain then begins with what the responses say.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from chatcli.text_lines import one_line
from chatcli.transfer.document import ThreadDocument, check_id, check_storable, check_unique, refuse
from chatcli.transfer.foreign import load_json
from chatcli.transfer.llm_messages import Attachments, Builder

MAGIC = b"SQLite format 3\0"
MAX_TEXT = 256 * 1024 * 1024
"""Characters and bytes to take at once."""
MAX_ROWS = 2_000_000
"""Rows to take at once, and messages to make of them."""

Row = Mapping[str, Any]

_OLD = {
    "conversations": ("id", "name", "model"),
    "responses": ("id", "conversation_id", "model", "prompt", "system", "response", "datetime_utc"),
}
_NEW = {
    "threads": ("id", "name", "tip_message_hash", "datetime_utc"),
    "turns": ("id", "thread_id", "tip_message_hash", "model", "datetime_utc"),
    "messages": ("hash", "parent_hash", "role"),
    "parts": ("message_hash", "position", "type", "text", "payload"),
}
_MORE = {
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
"""What is read where it is there: older versions have less of it."""
_KEYS = {"conversations": "id", "responses": "id", "threads": "id", "turns": "id", "messages": "hash"}
_NUMBERS = ("order", "position", "fragment_id", "tool_result_id")


class _Log:
    """The tables of the log behind `connection`, each read once, as a whole, and never joined by the database.

    The file may come from anywhere: without an index, a join of two tables takes the product of their rows.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._size = self._rows = 0
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        self.tables = {str(name) for (name,) in names}

    def columns(self, table: str) -> set[str]:
        """Return the columns of `table`; generated ones, whose expressions could be anything, are not among them."""
        return {name for (name,) in self._connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}

    def require(self, tables: Mapping[str, Sequence[str]]) -> None:
        """Raise UsageError unless `tables` are there with their columns; a view could take for ever to be read."""
        for table, wanted in tables.items():
            if table not in self.tables:
                raise refuse("the database", f"it has no table {table}, so it is no log of llm")
            if missing := set(wanted) - self.columns(table):
                raise refuse(table, f"it has no column {min(missing)}")

    def read(self, table: str) -> list[Row]:
        """Return the rows of `table` with the columns that are known here, all of them checked; none without it."""
        if table not in self.tables:
            return []
        known = dict.fromkeys([*_OLD.get(table, ()), *_NEW.get(table, ()), *_MORE.get(table, ())])
        here = self.columns(table)
        names = [name for name in known if name in here]
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
        if (key := _KEYS.get(table)) is not None:
            _check_keys(table, key, found)
        return found


def read_llm_log(path: Path) -> list[ThreadDocument]:
    """Return the conversations of the log at `path`, the one used last at the end; the log is only read.

    Raises:
        UsageError: It is no such log, or something is wrong with it.

    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_TEXT)
            log = _Log(connection)
            is_new = "threads" in log.tables
            if is_new:
                log.require(_NEW)
            if not is_new or "responses" in log.tables:
                log.require(_OLD)
            return _documents(log)
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:  # SQLite's messages quote what is no text
        raise refuse("the database", str(error)) from None


def _check_keys(table: str, key: str, rows: Iterable[Row]) -> None:
    known: set[str] = set()
    for row in rows:
        if row[key] is None:
            raise refuse(table, f"a row has no {key}")
        check_unique(f"{table}.{key}", row[key], known)


def _row(table: str, row: dict[str, Any], known: Iterable[str]) -> Row:
    where = f"{table}, {next(iter(row))} {str(next(iter(row.values())))[:80]!r}"
    for name, value in row.items():
        number = name in _NUMBERS or (name == "id" and table in ("fragments", "tool_calls", "tool_results"))
        kind, what = (
            (int, "number")
            if number
            else (bytes, "data")
            if name == "content" and table == "attachments"
            else (str, "text")
        )
        if value is not None and not isinstance(value, kind):
            raise refuse(where, f"{name} is no {what}")
        check_storable(where, value)
    return {**dict.fromkeys(known), **row}


def _documents(log: _Log) -> list[ThreadDocument]:
    fragments = {row["id"]: row["content"] or "" for row in log.read("fragments")}
    attachments = Attachments({row["id"]: row for row in log.read("attachments")})
    turns = sorted(log.read("turns"), key=lambda row: (row["datetime_utc"] or "", row["id"]))
    old = _Conversations(log, fragments, attachments, {row["id"] for row in turns})
    chains = _Chains(log, fragments, attachments)
    found: list[tuple[str, ThreadDocument]] = []
    taken: set[str] = set()
    numbers: dict[str, Iterator[int]] = {}

    def add(used: str, wanted: str, name: str | None, model: str | None, built: Builder) -> None:
        if not built.messages:
            return
        thread_id = check_id("threads.id", wanted)
        while thread_id in taken:
            thread_id = check_id("threads.id", f"{wanted}-{next(numbers.setdefault(wanted, count(2)))}")
        taken.add(thread_id)
        title = one_line(name or "")
        found.append((used, built.document(thread_id, title, model or "")))

    turns_of: dict[str, list[Row]] = {}
    for turn in turns:
        turns_of.setdefault(turn["thread_id"] or turn["id"], []).append(turn)
    threads = log.read("threads")
    for thread in threads:
        own = turns_of.get(thread["id"], [])
        name, model = old.names.get(thread["id"], (thread["name"], None))
        used = max([thread["datetime_utc"] or "", *(turn["datetime_utc"] or "" for turn in own)])
        built = chains.built(thread["tip_message_hash"])
        built.note_settings(own)
        old.forget_if_in(thread["id"], built)
        add(used, thread["id"], name or thread["name"], own[-1]["model"] if own else model, built)
    names = {row["id"]: row["name"] for row in threads}
    for turn in chains.forgotten(turns):
        thread_id = turn["thread_id"] or turn["id"]
        name, _ = old.names.get(thread_id, (names.get(thread_id), None))
        add(turn["datetime_utc"] or "", thread_id, name, turn["model"], chains.built(turn["tip_message_hash"]))
    for conversation, used, model, built in old.left():
        name, first_model = old.names.get(conversation, (None, None))
        add(used, conversation, name, model or first_model, built)
    return [document for _, document in sorted(found, key=lambda pair: pair[0])]


class _Conversations:
    """The conversations of llm up to 0.31, by ID."""

    def __init__(self, log: _Log, fragments: Mapping[int, str], attachments: Attachments, turns: set[str]) -> None:
        self._attachments = attachments
        self._turns = turns
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

    def forget_if_in(self, conversation: str, built: Builder) -> None:
        """Drop the conversation when what `built` says begins with it, or else what was logged as turns, too."""
        rows = self._responses.get(conversation)
        if rows is None:
            return
        said = self._built(rows).said
        if built.said[: len(said)] == said:
            built.note_settings(self._responses.pop(conversation))
        else:
            self._responses[conversation] = [row for row in rows if row["id"] not in self._turns]

    def left(self) -> Iterator[tuple[str, str, str | None, Builder]]:
        """Yield each conversation that is left: its ID, when it was used last, its last model, its messages."""
        for conversation, rows in self._responses.items():
            if rows:
                yield conversation, rows[-1]["datetime_utc"] or "", rows[-1]["model"], self._built(rows)

    def _built(self, rows: Sequence[Row]) -> Builder:
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
    """The messages of llm since 0.32, each linked to the one before it."""

    def __init__(self, log: _Log, fragments: Mapping[int, str], attachments: Attachments) -> None:
        self._fragments = fragments
        self._attachments = attachments
        self._messages = {row["hash"]: row for row in log.read("messages")}
        self._parts = _grouped(log.read("parts"), "message_hash", "position")
        self._seen: set[str] = set()
        self._made = 0

    def built(self, tip: str | None) -> Builder:
        """Return the messages of the chain that ends at `tip`."""
        builder = Builder(self._attachments)
        for message in self._chain(tip):
            self._seen.add(message["hash"])
            parts = [self._part(part) for part in self._parts.get(message["hash"], ())]
            builder.add_message(message["hash"], message["role"] or "", parts)
        return builder

    def forgotten(self, turns: Sequence[Row]) -> list[Row]:
        """Return the newest turns of the branches that no thread points to any more."""
        tips = {turn["tip_message_hash"]: turn for turn in turns if turn["tip_message_hash"] not in self._seen}
        passed: set[str | None] = set()
        for tip in tips:
            above = self._message(tip)["parent_hash"] if tip is not None else None
            while above is not None and above not in passed and above not in self._seen:
                passed.add(above)
                above = self._message(above)["parent_hash"]
        return [turn for tip, turn in tips.items() if tip is not None and tip not in passed]

    def _chain(self, tip: str | None) -> list[Row]:
        chain: list[Row] = []
        while tip is not None:
            chain.append(self._message(tip))
            self._made += 1
            if len(chain) > len(self._messages):
                raise refuse("messages", f"{tip[:80]!r} is its own ancestor")
            if self._made > MAX_ROWS:
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
                raise refuse(where, "payload is no object")
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
        raise refuse(where, "text_ref names a fragment that is not there")


def _grouped(rows: Iterable[Row], key: str, order: str) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row[order] or 0):
        groups.setdefault(row[key], []).append(row)
    return groups


def _texts(rows: Iterable[Row], fragments: Mapping[int, str]) -> dict[str, list[str]]:
    groups = _grouped(rows, "response_id", "order")
    return {key: [fragments.get(row["fragment_id"], "") for row in group] for key, group in groups.items()}


def _arguments(text: str | None) -> Any:
    try:
        return load_json(text or "{}")
    except ValueError:
        return text
