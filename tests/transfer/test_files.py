"""The files of exports and imports: what they hold, and which are refused."""

import io
import json
import sys
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from chatcli.errors import UsageError
from chatcli.transfer.document import ThreadDocument
from chatcli.transfer.export import ExportFormat, format_of, thread_lines, write_file
from chatcli.transfer.llm_log import MAGIC
from chatcli.transfer.read_file import read_documents

SAID = [HumanMessage("Hello?", id="q"), AIMessage("Hi.", id="a")]
DOCUMENT = ThreadDocument("thread", "Title", "openai:gpt", None, SAID)


def test_each_format_is_what_its_name_says() -> None:
    text = {chosen: "\n".join(thread_lines(DOCUMENT, chosen)) for chosen in ExportFormat}
    assert len(json.loads(text[ExportFormat.JSON])["messages"]) == 2
    assert [json.loads(line)["type"] for line in text[ExportFormat.JSONL].split("\n")] == [
        "thread",
        "message",
        "message",
    ]
    assert text[ExportFormat.HTML].lower().startswith("<!doctype html>")
    assert "Hello?" in text[ExportFormat.MD]
    assert [format_of(Path(f"thread.{chosen}")) for chosen in ExportFormat] == list(ExportFormat)
    assert format_of(Path("thread.txt")) is None


@pytest.mark.parametrize(
    ("place", "reason"), [(".", "is a folder"), ("no/file", "No such"), ("file/below", "Not a dir")]
)
def test_a_place_that_no_file_can_have_is_refused(tmp_path: Path, place: str, reason: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=reason):
        write_file(tmp_path / place, ["text"])
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_line_of_json_may_have_any_character(tmp_path: Path) -> None:
    path = tmp_path / "thread.jsonl"
    message = {"type": "message", "role": "user", "content": "one\u2028two\x85three", "id": "q"}
    head = {"type": "thread", "format": "chatcli-thread", "version": 1, "thread_id": "t"}
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in (head, message)), encoding="utf-8")
    [document] = read_documents(path)
    assert [each.text for each in document.messages] == ["one\u2028two\x85three"]


def test_a_file_without_a_conversation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps([{"conversation_id": "c", "mapping": {}}]))
    with pytest.raises(UsageError, match="it has no conversations"):
        read_documents(path)


def test_a_database_is_not_read_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(MAGIC + b"rest")))
    with pytest.raises(UsageError, match="a database must be a file"):
        read_documents(Path("-"))
