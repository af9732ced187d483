"""ChatGPT's and Claude's exports and llm's log, in the formats that their makers write."""

import json
import sqlite3
import zipfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chatcli.errors import UsageError
from chatcli.events import INTERRUPTED
from chatcli.transfer import read_file
from chatcli.transfer.document import ThreadDocument, left_out_line
from chatcli.transfer.foreign import fenced
from chatcli.transfer.read_file import read_documents

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
        said("tool", "page", content={"content_type": "tether_quote", "text": "found elsewhere"}),
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
        ("ai", "Output:\n\n```\nfound\n```"),
        ("ai", "because\n\nof it"),
        ("ai", "```python\nprint(1)\n```"),
        ("human", "and?"),
        ("ai", "well"),
    ]
    assert document.messages[-1].response_metadata == {"finish_reason": INTERRUPTED}
    assert document.left_out == ("picture", "assistant message (text)", "tool message (tether_quote)")


def test_chatgpt_code_and_thoughts_are_read(tmp_path: Path) -> None:
    thoughts = [{"summary": "Counting", "content": "One,\ntwo.", "chunks": [], "finished": True}, {"content": "Three."}]
    code = {"content_type": "code", "language": "unknown", "response_format_name": None, "text": "print('```')"}
    error = {"content_type": "system_error", "name": "tool_error", "text": "Error: no"}
    data = conversation(
        "one",
        said("user", "count"),
        said("assistant", content={"content_type": "thoughts", "thoughts": thoughts}),
        said("assistant", content={"content_type": "reasoning_recap", "content": "Thought for 8s"}),
        said("assistant", content=code, recipient="python"),
        said("tool", content={"content_type": "execution_output", "text": "```\n"}),
        said("tool", content=error),
        said("assistant", "three"),
    )
    (document,) = read(tmp_path / "file", [data])
    assert [text for _, text in texts(document.messages)[1:]] == [
        "> **Thoughts**\n>\n> *Counting*\n>\n> One,\n> two.\n>\n> Three.",
        "> **Thoughts**\n>\n> Thought for 8s",
        "````\nprint('```')\n````",
        "Output:\n\n````\n```\n````",
        "Output:\n\n```\nError: no\n```",
        "three",
    ]
    assert document.left_out == ()


def test_chatgpt_the_canvas_is_read(tmp_path: Path) -> None:
    def canvas(tool: str, given: object) -> dict[str, Any]:
        text = given if isinstance(given, str) else json.dumps(given)
        return said("assistant", content={"content_type": "code", "text": text}, recipient=f"canmore.{tool}")

    update = {"updates": [{"pattern": "(a+)+$", "multiple": False, "replacement": "print(2)"}]}
    data = conversation(
        "one",
        said("user", "write"),
        said(
            "assistant",
            json.dumps({"name": "A tale", "type": "document", "content": "# Once"}),
            recipient="canmore.create_textdoc",
        ),
        canvas("create_textdoc", {"name": "run", "type": "code/python", "content": "print(1)"}),
        canvas("update_textdoc", update),
        canvas("comment_textdoc", {"comments": [{"pattern": "x", "comment": "Why?"}]}),
        canvas("update_textdoc", '{"updates": [{"replacement": "\\ud800"}]}'),
    )
    (document,) = read(tmp_path / "file", [data])
    assert [text for _, text in texts(document.messages)[1:]] == [
        "**A tale**\n\n# Once",
        "**run**\n\n```python\nprint(1)\n```",
        "**Canvas, changed**\n\n```python\nprint(2)\n```",
        "> **Comment**\n>\n> Why?",
        '```\n{"updates": [{"replacement": "\\ud800"}]}\n```',
    ]


def test_chatgpt_citations_become_links_or_go(tmp_path: Path) -> None:
    references = [
        {"matched_text": "\ue200cite\ue202turn0search0\ue201", "alt": "([NASA](https://nasa.example))"},
        {
            "matched_text": "\ue200cite\ue202turn0search1\ue201",
            "items": [{"title": "A  page", "url": "https://a.example"}],
        },
        {"matched_text": '\ue200entity\ue202["company","Acme"]\ue201', "alt": "Acme", "type": "entity"},
        {"matched_text": "sky", "alt": "earth", "type": "attribution"},
    ]
    text = (
        "Blue\ue200cite\ue202turn0search0\ue201 sky\ue200cite\ue202turn0search1\ue201 of"
        ' \ue200entity\ue202["company","Acme"]\ue201\ue200cite\ue202turn9\ue201.【4:0†source】 \ue203So\ue204 【it】'
        " is \ue200cite\ue202turn"
    )
    metadata = {"content_references": references}
    data = conversation("one", said("user", "sky \ue200?"), said("assistant", text, metadata=metadata))
    (document,) = read(tmp_path / "file", [data])
    assert texts(document.messages) == [
        ("human", "sky \ue200?"),
        ("ai", "Blue([NASA](https://nasa.example)) sky([A page](https://a.example)) of Acme. So 【it】 is "),
    ]


def test_chatgpt_files_are_named_and_other_branches_counted(tmp_path: Path) -> None:
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "sediment://file_1"}
    files = {"attachments": [{"id": "file-1", "name": 'a "b".pdf', "mime_type": "application/pdf"}]}
    data = conversation(
        "one",
        said("user", "read it", metadata=files),
        said("tool", content={"content_type": "multimodal_text", "parts": [picture, "internal"]}),
        said("user", "go on"),
    )
    data["mapping"]["x"] = node("x", "one-1", {"id": "x", **said("assistant", "elsewhere")})
    (document,) = read(tmp_path / "file", [data])
    assert texts(document.messages) == [
        ("human", "read it\n\n<file name='a \"b\".pdf'/>"),
        ("ai", "[image]"),
        ("human", "go on"),
    ]
    assert left_out_line([document]) == "left out: file, picture, message on another branch"


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


def claude(name: str, *messages: dict[str, Any], **changes: Any) -> dict[str, Any]:
    times = {"created_at": "2026-01-01T00:00:00.000000Z", "updated_at": "2026-01-02T00:00:00.000000Z"}
    whole = {"uuid": name, "name": f"About  {name}", "summary": "", "account": {"uuid": "me"}, **times}
    return {**whole, "chat_messages": list(messages), **changes}


def entry(name: str, sender: str, *content: dict[str, Any], **changes: Any) -> dict[str, Any]:
    text = " ".join(block.get("text", "") for block in content)
    return {
        "uuid": name,
        "text": text,
        "content": list(content),
        "sender": sender,
        "attachments": [],
        "files": [],
        **changes,
    }


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text, "citations": [], "start_timestamp": None}


def test_claude_everything_is_read(tmp_path: Path) -> None:
    attachment = {"file_name": "a.txt", "file_size": 5, "file_type": "txt", "extracted_content": "inside"}
    artifact = {
        "id": "x",
        "type": "application/vnd.ant.code",
        "language": "python",
        "title": "run",
        "content": "print(1)",
    }
    result = {
        "type": "tool_result",
        "name": "search",
        "content": [words("found"), {"type": "image"}],
        "is_error": False,
    }
    data = claude(
        "one",
        entry(
            "1",
            "human",
            words("why?"),
            attachments=[attachment],
            files=[{"file_name": "b.png"}, {"file_name": "a.txt"}],
        ),
        entry(
            "2",
            "assistant",
            {"type": "thinking", "thinking": "Hm.", "summaries": []},
            words("I look."),
            {"type": "tool_use", "name": "search", "input": {"query": "sky"}},
            result,
            {"type": "tool_use", "name": "artifacts", "input": artifact},
            {"type": "voice_note", "title": "x"},
            words("Air."),
        ),
        entry("3", "human", text="only here"),
        entry("4", "assistant"),
    )
    empty = claude("two", entry("5", "human"))
    (document,) = read(tmp_path / "conversations.json", [data, empty])
    assert (document.thread_id, document.title, document.model) == ("one", "About one", "")
    assert texts(document.messages) == [
        ("human", 'why?\n\n<file name="a.txt">\ninside\n</file>\n\n<file name="b.png"/>'),
        (
            "ai",
            "> **Thoughts**\n>\n> Hm.\n\nI look.\n\nTool: `search`\n\n"
            '```json\n{\n  "query": "sky"\n}\n```\n\nOutput:\n\n```\nfound\n```\n\n'
            "**run**\n\n```python\nprint(1)\n```\n\nAir.",
        ),
        ("human", "only here"),
    ]
    assert document.left_out == ("file", "image of a tool's result", "voice_note block")


def test_claude_the_branch_used_last_is_read(tmp_path: Path) -> None:
    root = "00000000-0000-4000-8000-000000000000"
    data = claude(
        "one",
        entry("1", "human", words("a"), parent_message_uuid=root),
        entry("2", "assistant", words("b"), parent_message_uuid="1"),
        entry("3", "human", words("c"), parent_message_uuid=root),
        entry("4", "assistant", words("d"), parent_message_uuid="3"),
    )
    older = claude("old", entry("9", "human", words("hi")), updated_at="2025-01-01T00:00:00Z")
    first, second = read(tmp_path / "file", [data, older])
    assert (first.thread_id, texts(second.messages)) == ("old", [("human", "c"), ("ai", "d")])
    assert second.left_out == ("message on another branch",) * 2


BAD_CLAUDE = {
    "no ID": (claude("one", uuid=1), "[0].uuid: input should be a valid string"),
    "no messages": (claude("one", chat_messages=None), "[0].chat_messages: input should be a valid list"),
    "a message twice": (
        claude("one", entry("1", "human"), entry("1", "human")),
        "[0].chat_messages[1].uuid: '1' appears twice",
    ),
    "a circle": (
        claude(
            "one",
            entry("1", "human", parent_message_uuid="2"),
            entry("2", "assistant", parent_message_uuid="1"),
        ),
        "'2' is its own ancestor",
    ),
    "a bad ID": (claude("\x1b[2J", entry("1", "human", words("hi"))), "[0].uuid: a thread ID has printable"),
}


@pytest.mark.parametrize(("data", "problem"), BAD_CLAUDE.values(), ids=BAD_CLAUDE)
def test_claude_a_bad_file_is_refused_whole(tmp_path: Path, data: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as raised:
        read(tmp_path / "file", [data, claude("good", entry("1", "human", words("hi")))])
    assert problem in raised.value.message


def archive(path: Path, files: Mapping[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return path


def test_an_archive_is_read_as_it_is_downloaded(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "export/conversations-001.json": json.dumps([conversation("b", said("user", "hi"))]),
        "export/conversations-000.json": json.dumps([conversation("a", said("user", "hi"))]),
        "__MACOSX/export/._conversations-000.json": b"\0",
        "export/chat.html": "<p>",
        "../../file-1.png": "x",
    }
    documents = read_documents(archive(tmp_path / "export.zip", files))
    assert [document.thread_id for document in documents] == ["a", "b"]
    assert left_out_line(documents) == "left out: chat.html, file-1.png"
    assert [path.name for path in tmp_path.iterdir()] == ["export.zip"]
    data = json.dumps([claude("c", entry("1", "human", words("hi")))])
    (document,) = read_documents(archive(tmp_path / "claude.zip", {"conversations.json": data}, zipfile.ZIP_LZMA))
    assert document.thread_id == "c"


def _encrypted(path: Path) -> Path:
    data = bytearray(archive(path, {"conversations.json": "[]"}).read_bytes())
    for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(magic) + offset] |= 1
    path.write_bytes(data)
    return path


def test_a_bad_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_file, "MAX_BYTES", 2**20)
    cut = archive(tmp_path / "cut.zip", {"conversations.json": json.dumps([conversation("a", said("user", "hi"))])})
    whole = cut.read_bytes()
    wrong = tmp_path / "wrong.zip"
    wrong.write_bytes(whole.replace(whole[60:70], bytes(10)))
    cut.write_bytes(whole[:-30])
    bad = json.dumps([conversation("a", title=1)])
    bomb = {f"conversations-{number}.json": bytes(2**19 + 1) for number in range(2)}
    expected = {
        cut: "the archive: it is damaged",
        wrong: "the archive: it is damaged",
        archive(tmp_path / "none.zip", {"chat.html": "x"}): "the archive: it has no conversations.json",
        archive(tmp_path / "bad.zip", {"conversations.json": bad}): "conversations.json: [0].title: input should be",
        archive(tmp_path / "bomb.zip", bomb): "conversations-1.json: it is too large",
        _encrypted(tmp_path / "encrypted.zip"): "conversations.json: it is encrypted",
    }
    for path, problem in expected.items():
        with pytest.raises(UsageError) as raised:
            read_documents(path)
        assert problem in raised.value.message


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
    "an end that is nowhere": (
        conversation("one", said("user", "hi"), current_node="x"),
        "[0].mapping: there is no",
    ),
    "no end": (conversation("one", said("user", "hi"), current_node=None), "[0].current_node: is missing"),
    "a circle": (LOOP, "'one-0' is its own ancestor"),
    "no ID": (
        conversation("one", said("user", "hi"), id=None, conversation_id=None),
        "[0].conversation_id: is missing",
    ),
    "a bad ID": (
        conversation("a\x1b[2Jb", said("user", "hi")),
        "[0].conversation_id: a thread ID has printable",
    ),
    "an ID twice": (
        conversation("one", {**said("user", "a"), "id": "x"}, {**said("user", "b"), "id": "x"}),
        "[0].mapping: 'x' appears twice",
    ),
}


@pytest.mark.parametrize(("data", "reason"), BAD.values(), ids=BAD)
def test_chatgpt_a_bad_file_is_refused_whole(tmp_path: Path, data: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError) as raised:
        read(tmp_path / "file", [data, conversation("good", said("user", "hi"))])
    assert reason in raised.value.message


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
    ("row", "reason"),
    [
        (("r1", b"\xff", None, "air", "a", ""), "responses, id 'r1': prompt is not text"),
        ((None, "why?", None, "air", "a", ""), "responses: a row has no id"),
    ],
    ids=["bytes", "no ID"],
)
def test_llm_a_bad_row_is_refused(tmp_path: Path, row: tuple[object, ...], reason: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_documents(llm_log(tmp_path / "logs.db", row))
    assert reason in raised.value.message


def test_llm_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = llm_log(tmp_path / "logs.db", ("r1", "why?", None, "air", "a", ""))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE responses SET response = CAST(x'ff' AS TEXT)")
    with pytest.raises(UsageError, match="the database: "):
        read_documents(path)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ("CREATE TABLE notes (a)", "it has no table conversations"),
        (
            "CREATE TABLE conversations (id, name, model); CREATE VIEW responses AS SELECT 1",
            "it has no table responses",
        ),
        ("CREATE TABLE conversations (id, name)", "conversations: it has no column model"),
    ],
)
def test_another_database_is_refused(tmp_path: Path, schema: str, reason: str) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(schema)
    with pytest.raises(UsageError) as raised:
        read_documents(path)
    assert reason in raised.value.message


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    path = llm_log(tmp_path / "logs.db", ("r1", "why?" * 2000, None, "air" * 2000, "a", ""))
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(len(data) - 4096))
    with pytest.raises(UsageError, match="the database: "):
        read_documents(path)


def test_no_text_ends_the_fence_around_it_and_no_name_of_a_language_begins_another() -> None:
    assert fenced("a") == "```\na\n```"
    assert fenced("x\n````\ny\n", "c++\n```<b>") == "`````c++b\nx\n````\ny\n`````"
    assert fenced("a", "x" * 100).partition("\n")[0] == f"```{'x' * 40}"
