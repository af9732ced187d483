"""Mutated files of every kind that can be imported: each is read, or refused in one line. Nothing else happens."""

import copy
import io
import json
import random
import shutil
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatcli.errors import UsageError
from chatcli.transfer.read_file import read_documents
from tests.transfer.test_foreign import claude, conversation, entry, said, words

OWN = {
    "format": "chatcli-thread",
    "version": 1,
    "thread_id": "abc",
    "title": "Mine",
    "role": "translator",
    "template": "To {language}",
    "variables": {"language": "French"},
    "temperature": 0.5,
    "messages": [
        {"id": "1", "role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"id": "2", "role": "assistant", "content": "", "tool_calls": [{"name": "a", "args": {"b": 1}, "id": "c"}]},
        {"id": "3", "role": "tool", "content": "done", "tool_call_id": "c", "artifact": [1.5, None]},
    ],
}
CANVAS = json.dumps({"name": "a", "type": "code/python", "content": "x", "updates": [{"replacement": "y"}]})
CHATGPT = [
    conversation(
        "one",
        None,
        said("user", "why?", metadata={"attachments": [{"name": "a.pdf"}]}),
        said("assistant", content={"content_type": "thoughts", "thoughts": [{"summary": "a", "content": "b"}]}),
        said("assistant", CANVAS, recipient="canmore.create_textdoc"),
        said("tool", content={"content_type": "execution_output", "text": "1"}),
        said(
            "assistant",
            "Air\ue200cite\ue202a\ue201",
            metadata={"content_references": [{"matched_text": "\ue200cite\ue202a\ue201", "items": [{"url": "u"}]}]},
        ),
    )
]
CLAUDE = [
    claude(
        "one",
        entry("1", "human", words("why?"), attachments=[{"file_name": "a", "extracted_content": "b"}]),
        entry(
            "2",
            "assistant",
            {"type": "tool_use", "name": "artifacts", "input": {"content": "x", "type": "text/markdown"}},
            {"type": "tool_result", "content": [words("x")]},
            parent_message_uuid="1",
        ),
    )
]
FILES: dict[str, Any] = {"own": OWN, "ChatGPT": CHATGPT, "Claude": CLAUDE}

DEEP: Any = json.loads("[" * 200 + "]" * 200)
WRONG = st.sampled_from(
    [None, True, -1, 2**64, 10**400, 1e308, "", "\ud800", "a\0b", "\x1b[2J", "x" * 300, [], {}, [[]], {"": None}, DEEP]
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each list and object in `value` with each of its keys."""
    keys: Any = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


def look_at(path: Path) -> None:
    """Read the file; what is wrong with it is a UsageError, and nothing else."""
    problem = ""
    try:
        assert read_documents(path)
    except UsageError as error:
        problem = error.message
    assert "\n" not in problem


@pytest.mark.parametrize("kind", FILES)
@given(data=st.data())
def test_a_wrong_value_anywhere_is_refused_or_read(kind: str, tmp_path: Path, data: st.DataObject) -> None:
    changed = json.loads(json.dumps(FILES[kind]))
    for _ in range(data.draw(st.integers(1, 3))):
        found = list(places(changed))
        holder, key = found[data.draw(st.integers(0, len(found) - 1))]
        if data.draw(st.booleans()):
            holder[key] = copy.deepcopy(data.draw(WRONG))
        else:
            del holder[key]
        if not changed:
            break
    path = tmp_path / "file"
    path.write_text(json.dumps(changed))
    look_at(path)


def archived(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversations.json", data)
    return out.getvalue()


BYTES: dict[str, bytes] = {name: json.dumps(data).encode() for name, data in FILES.items()}
BYTES["archive"] = archived(BYTES["ChatGPT"])


@pytest.mark.parametrize("kind", BYTES)
def test_changed_bytes_are_refused_or_read(kind: str, tmp_path: Path) -> None:
    for seed in range(250):
        look_at(_changed(BYTES[kind], seed, tmp_path / "file"))


def _changed(data: bytes, seed: int, path: Path) -> Path:
    """Write `data` with some bytes flipped, and cut in one case of four."""
    rng = random.Random(seed)
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 4, 20))):
        changed[rng.randrange(len(changed))] ^= rng.randrange(1, 256)
    path.write_bytes(changed[: rng.randrange(len(changed))] if seed % 4 == 0 else changed)
    return path


LOG = """
CREATE TABLE conversations (id TEXT, name TEXT, model TEXT);
CREATE TABLE responses (id TEXT, model TEXT, prompt TEXT, system TEXT, response TEXT, reasoning TEXT,
    conversation_id TEXT, datetime_utc TEXT, options_json TEXT, schema_id TEXT);
CREATE TABLE threads (id TEXT, name TEXT, tip_message_hash TEXT, datetime_utc TEXT);
CREATE TABLE turns (id TEXT, thread_id TEXT, tip_message_hash TEXT, model TEXT, datetime_utc TEXT, options_json TEXT,
    schema_id TEXT);
CREATE TABLE messages (hash TEXT, parent_hash TEXT, role TEXT);
CREATE TABLE parts (message_hash TEXT, position INTEGER, type TEXT, text TEXT, payload TEXT);
CREATE TABLE attachments (id TEXT, type TEXT, path TEXT, url TEXT, content BLOB);
CREATE TABLE fragments (id INTEGER, content TEXT);
CREATE TABLE tool_calls (id INTEGER, response_id TEXT, name TEXT, arguments TEXT, tool_call_id TEXT);
CREATE TABLE tool_results (id INTEGER, response_id TEXT, name TEXT, output TEXT, tool_call_id TEXT, exception TEXT);
CREATE TABLE prompt_attachments (response_id TEXT, attachment_id TEXT, "order" INTEGER);
INSERT INTO conversations VALUES ('a', 'A', 'gpt');
INSERT INTO responses VALUES ('r1', 'gpt', 'why?', 'Be kind.', 'Air.', 'Hm.', 'a', '1', '{}', NULL);
INSERT INTO responses VALUES ('r2', 'gpt', '', NULL, 'Done.', NULL, 'a', '2', '{"a": 1}', 's');
INSERT INTO tool_calls VALUES (1, 'r1', 'up', '{"s": 1}', NULL);
INSERT INTO tool_results VALUES (1, 'r2', 'up', 'S', NULL, NULL);
INSERT INTO prompt_attachments VALUES ('r1', 'x', 0);
INSERT INTO attachments VALUES ('x', 'image/png', NULL, NULL, x'89504E470D0A1A0A');
INSERT INTO fragments VALUES (1, 'part');
INSERT INTO threads VALUES ('b', 'B', 'm2', '3');
INSERT INTO turns VALUES ('t1', 'b', 'm2', 'gpt', '3', NULL, NULL), ('t2', 'b', 'm3', 'gpt', '4', NULL, NULL);
INSERT INTO messages VALUES ('m1', NULL, 'user'), ('m2', 'm1', 'assistant'), ('m3', 'm1', 'tool');
INSERT INTO parts VALUES ('m1', 0, 'text', NULL, '{"text_ref": [{"fragment": 1}, {"literal": "?"}]}'),
    ('m1', 1, 'attachment', NULL, '{"attachment": {"id": "x"}}'), ('m2', 0, 'reasoning', 'Hm.', NULL),
    ('m2', 1, 'tool_call', NULL, '{"name": "up", "arguments": {}, "tool_call_id": "c"}'),
    ('m3', 0, 'tool_result', NULL, '{"name": "up", "output": "S", "attachments": [{"id": "x"}]}');
"""
TABLES = [line.split()[2] for line in LOG.splitlines() if line.startswith("CREATE")]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "logs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(LOG)
    return path


def test_the_log_itself_is_read(log: Path) -> None:
    assert [document.thread_id for document in read_documents(log)] == ["a", "b", "b-2"]


def test_a_log_of_changed_bytes_is_refused_or_read(log: Path, tmp_path: Path) -> None:
    data = log.read_bytes()
    for seed in range(250):
        look_at(_changed(data, seed, tmp_path / "file"))


SQL_VALUES: list[object] = [None, -1, 2**62, 1.5, "", "b", "m1", "m2", "a\0b", b"\xff", "[" * 3000, '{"text_ref": 1}']
SQL_VALUES += ['{"name": 1, "arguments": [1], "attachments": {}}', '{"attachment": 1, "text": {}}', "x" * 300]


def test_a_log_with_wrong_values_is_refused_or_read(log: Path, tmp_path: Path) -> None:
    path = tmp_path / "file"
    for seed in range(250):
        rng = random.Random(seed)
        shutil.copyfile(log, path)
        with closing(sqlite3.connect(path)) as connection, connection:
            for _ in range(rng.choice((1, 2, 5))):
                table = rng.choice(TABLES)
                columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
                value = rng.choice(SQL_VALUES)
                where = rng.choice(("1", "rowid = 1", "rowid = 2"))
                connection.execute(f'UPDATE {table} SET "{rng.choice(columns)}" = ? WHERE {where}', (value,))
        look_at(path)


def test_a_log_that_a_join_would_multiply_is_read(log: Path) -> None:
    """Rows that a join of the database would multiply: 20,000 by 20,000."""
    fill: Callable[[int], tuple[str, str]] = lambda number: (f"x{number}", "a")  # noqa: E731
    with closing(sqlite3.connect(log)) as connection, connection:
        connection.executemany(
            "INSERT INTO responses (id, conversation_id, prompt) VALUES (?, ?, 'q')", map(fill, range(20_000))
        )
        connection.executemany(
            "INSERT INTO tool_calls (id, response_id, name) VALUES (?, 'r1', 'n')", [(n,) for n in range(20_000)]
        )
        connection.executemany(
            "INSERT INTO tool_results (id, response_id, name) VALUES (?, 'r2', 'n')", [(n,) for n in range(20_000)]
        )
    assert len(read_documents(log)[0].messages) > 20_000
