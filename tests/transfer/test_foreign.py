"""ChatGPT's export and llm's log, in the formats that their makers write."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chatcli.errors import UsageError
from chatcli.events import INTERRUPTED
from chatcli.transfer.document import ThreadDocument
from chatcli.transfer.read import read_documents

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage


def node(name: str, parent: str | None, message: dict[str, Any] | None) -> dict[str, Any]:
    return {"id": name, "message": message, "parent": parent, "children": []}


def said(role: str, *parts: Any, **changes: Any) -> dict[str, Any]:
    message = {
        "author": {"role": role, "name": None, "metadata": {}},
        "create_time": 1690000000.123,
        "update_time": None,
        "content": {"content_type": "text", "parts": list(parts)},
        "status": "finished_successfully",
        "end_turn": None,
        "weight": 1.0,
        "metadata": {"model_slug": "gpt-4o"} if role == "assistant" else {},
        "recipient": "all",
        "channel": None,
    }
    return {**message, **changes}


def conversation(name: str, *messages: dict[str, Any] | None, **changes: Any) -> dict[str, Any]:
    mapping, parent = {}, None
    for number, message in enumerate(messages):
        key = f"{name}-{number}"
        mapping[key] = node(key, parent, message and {"id": key, **message})
        parent = key
    whole = {
        "title": f"About {name}",
        "create_time": 1690000000.0,
        "update_time": 1690000100.0,
        "mapping": mapping,
        "moderation_results": [],
        "current_node": parent,
        "plugin_ids": None,
        "conversation_id": name,
        "id": name,
        "is_archived": False,
    }
    return {**whole, **changes}


def read(path: Path, data: object) -> list[ThreadDocument]:
    path.write_text(json.dumps(data), encoding="utf-8")
    return read_documents(path)


def texts(messages: Any) -> list[tuple[str, str]]:
    found: list[BaseMessage] = list(messages)
    return [(message.type, message.text) for message in found]


def test_chatgpt_what_the_user_saw_is_read(tmp_path: Path) -> None:
    code = {"content_type": "code", "language": "python", "text": "print(1)"}
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://file-1", "size_bytes": 5}
    data = conversation(
        "one",
        None,
        said("system", ""),
        said("user", "context", metadata={"is_visually_hidden_from_conversation": True}),
        said("user", "why?", content={"content_type": "multimodal_text", "parts": [picture, "why?"]}),
        said("assistant", "search()", recipient="browser"),
        said("tool", "", content={"content_type": "execution_output", "text": "found"}),
        said("assistant", content={"content_type": "thoughts", "thoughts": [], "source_analysis_msg_id": "x"}),
        said("assistant", "because", "of it"),
        said("assistant", content=code),
        said("user", "and?"),
        said("assistant", "well", status="finished_partial_completion"),
    )
    (document,) = read(tmp_path / "conversations.json", [data])
    assert (document.thread_id, document.title, document.model) == ("one", "About one", "openai:gpt-4o")
    assert texts(document.messages) == [
        ("human", "[image]\n\nwhy?"),
        ("ai", "because\n\nof it"),
        ("ai", "```python\nprint(1)\n```"),
        ("human", "and?"),
        ("ai", "well"),
    ]
    assert document.messages[-1].response_metadata == {"finish_reason": INTERRUPTED}


def test_chatgpt_the_current_branch_is_read(tmp_path: Path) -> None:
    data = conversation("one", None, said("user", "old"), said("assistant", "old answer"))
    data["mapping"]["new"] = node("new", "one-0", {"id": "new", **said("user", "new")})
    data["current_node"] = "new"
    (document,) = read(tmp_path / "file", [data])
    assert texts(document.messages) == [("human", "new")]


def test_chatgpt_conversations_come_in_the_order_of_their_use(tmp_path: Path) -> None:
    newer = conversation("newer", said("user", "hi"), update_time=9.0)
    older = conversation("older", said("user", "hi"), update_time=5)
    empty = conversation("empty", None)
    assert [d.thread_id for d in read(tmp_path / "file", [newer, empty, older])] == ["older", "newer"]


LOOP = conversation("one", said("user", "hi"))
LOOP["mapping"]["one-0"]["parent"] = "one-0"

BAD = {
    "a title that is none": (conversation("one", title=1), "[0].title: input should be a valid string"),
    "no tree": (conversation("one", mapping=[]), "[0].mapping"),
    "no role": (conversation("one", said("user", "hi", author={})), "[0].mapping.one-0.message.author.role"),
    "parts that are none": (
        conversation("one", said("user", "hi", content={"content_type": "text", "parts": "hi"})),
        "[0].mapping.one-0.message.content.parts",
    ),
    "an end that is nowhere": (conversation("one", said("user", "hi"), current_node="x"), "[0].mapping: there is no"),
    "no end": (conversation("one", said("user", "hi"), current_node=None), "[0].current_node: is missing"),
    "a circle": (LOOP, "'one-0' is its own ancestor"),
    "no ID": (
        conversation("one", said("user", "hi"), id=None, conversation_id=None),
        "[0].conversation_id: is missing",
    ),
    "a bad ID": (conversation("a\x1b[2Jb", said("user", "hi")), "[0].conversation_id: a thread ID has printable"),
    "an ID twice": (
        conversation("one", {**said("user", "a"), "id": "x"}, {**said("user", "b"), "id": "x"}),
        "[0].mapping: 'x' is there twice",
    ),
}


@pytest.mark.parametrize(("data", "told"), BAD.values(), ids=BAD)
def test_chatgpt_a_bad_file_is_refused_whole(tmp_path: Path, data: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as raised:
        read(tmp_path / "file", [data, conversation("good", said("user", "hi"))])
    assert told in raised.value.message


SCHEMA = """
CREATE TABLE [_llm_migrations] ([name] TEXT PRIMARY KEY, [applied_at] TEXT);
CREATE TABLE [conversations] ([id] TEXT PRIMARY KEY, [name] TEXT, [model] TEXT);
CREATE TABLE "responses" ([id] TEXT PRIMARY KEY, [model] TEXT, [prompt] TEXT, [system] TEXT, [prompt_json] TEXT,
    [options_json] TEXT, [response] TEXT, [response_json] TEXT,
    [conversation_id] TEXT REFERENCES [conversations]([id]), [duration_ms] INTEGER, [datetime_utc] TEXT,
    [input_tokens] INTEGER, [output_tokens] INTEGER, [token_details] TEXT, [schema_id] TEXT, [resolved_model] TEXT);
"""


def llm_log(path: Path, *rows: tuple[object, ...]) -> Path:
    """Write a log of the conversations "a" and "b"; a row is id, prompt, system, response, conversation, time."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(SCHEMA)
        connection.executemany(
            "INSERT INTO conversations VALUES (?, ?, ?)", [("a", "Sky  talk", "gpt-4o"), ("b", None, "orca")]
        )
        connection.executemany(
            "INSERT INTO responses (id, prompt, system, response, conversation_id, datetime_utc, model)"
            " VALUES (?, ?, ?, ?, ?, ?, 'gpt-4o-mini')",
            rows,
        )
    return path


def test_llm_conversations_are_read(tmp_path: Path) -> None:
    path = llm_log(
        tmp_path / "logs.db",
        ("r2", "and the sea?", None, "blue, too", "a", "2026-01-01T00:00:02"),
        ("r1", "why is the sky blue?", "Be brief.", "air", "a", "2026-01-01T00:00:01"),
        ("r0", "hi", None, None, "b", "2025-01-01T00:00:00"),
    )
    before = path.read_bytes()
    path.chmod(0o400)
    older, newer = read_documents(path)
    assert (newer.thread_id, newer.title, newer.model, newer.system) == ("a", "Sky talk", "gpt-4o-mini", "Be brief.")
    assert texts(newer.messages) == [
        ("human", "why is the sky blue?"),
        ("ai", "air"),
        ("human", "and the sea?"),
        ("ai", "blue, too"),
    ]
    assert (older.thread_id, texts(older.messages)) == ("b", [("human", "hi")])
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["logs.db"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (("r1", b"\xff", None, "air", "a", ""), "responses, id 'r1': prompt is no text"),
        ((None, "why?", None, "air", "a", ""), "response_id is no text"),
    ],
    ids=["bytes", "no ID"],
)
def test_llm_a_bad_row_is_refused(tmp_path: Path, row: tuple[object, ...], told: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_documents(llm_log(tmp_path / "logs.db", row))
    assert told in raised.value.message


def test_llm_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = llm_log(tmp_path / "logs.db", ("r1", "why?", None, "air", "a", ""))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE responses SET response = CAST(x'ff' AS TEXT)")
    with pytest.raises(UsageError, match="the database: "):
        read_documents(path)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ("CREATE TABLE notes (a)", "it has no table conversations"),
        (
            "CREATE TABLE conversations (id, name, model); CREATE VIEW responses AS SELECT 1",
            "it has no table responses",
        ),
        ("CREATE TABLE conversations (id, name)", "conversations: it has no column model"),
    ],
)
def test_another_database_is_refused(tmp_path: Path, schema: str, told: str) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(schema)
    with pytest.raises(UsageError) as raised:
        read_documents(path)
    assert told in raised.value.message


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    path = llm_log(tmp_path / "logs.db", ("r1", "why?" * 2000, None, "air" * 2000, "a", ""))
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(len(data) - 4096))
    with pytest.raises(UsageError, match="the database: "):
        read_documents(path)
