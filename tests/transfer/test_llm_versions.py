"""Logs that the real `llm` writes, of the versions before and after its message store."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from chatcli.transfer.document import ThreadDocument
from chatcli.transfer.read_file import read_documents
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Calls, echo
from tests.llm_programs import AFTER, BEFORE, Llm, installed_llm

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
MODEL = ("-m", "gpt-4o-mini")

pytestmark = pytest.mark.e2e


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as running:
        yield running


def program(version: str, folder: Path, server: FakeOpenAI) -> Llm:
    return Llm(installed_llm(version), folder, server)


def said(document: ThreadDocument) -> list[tuple[str, str]]:
    messages: list[BaseMessage] = list(document.messages)
    return [(message.type, message.text) for message in messages]


def by_question(folder: Path) -> dict[str, ThreadDocument]:
    return {document.messages[0].text.split("\n")[0]: document for document in read_documents(folder / "logs.db")}


def converse(llm: Llm, server: FakeOpenAI) -> None:
    """Log a conversation of two turns, one with an attachment, one with fragments, one with a tool and a schema."""
    (llm.folder / "a.png").write_bytes(PNG)
    (llm.folder / "part.txt").write_text("the part")
    part = str(llm.folder / "part.txt")
    server.script(echo, echo, echo, echo, Calls([("up", {"s": "abc"})], text="I call."), Answer('{"name": "ABC"}'))
    tool = "def up(s: str) -> str:\n    return s.upper()"
    llm(
        [*MODEL, "-s", "Be brief.", "first"],
        ["-c", "second"],
        [*MODEL, "-a", str(llm.folder / "a.png"), "what is it"],
        [*MODEL, "-f", part, "--sf", part, "-o", "temperature", "0.5", "and this"],
        [*MODEL, "--functions", tool, "--schema", "name str", "call it"],
    )


def check(folder: Path) -> None:
    threads = by_question(folder)
    first = threads["first"]
    assert (first.title, first.model, first.system) == ("first", "gpt-4o-mini", "Be brief.")
    assert said(first) == [
        ("human", "first"),
        ("ai", "You said: first"),
        ("human", "second"),
        ("ai", "You said: second"),
    ]
    assert first.left_out == ()
    picture = threads["what is it"]
    assert said(picture)[0] == ("human", f'what is it\n\n<file name="{folder}/a.png" type="image/png"/>')
    assert picture.left_out == ("attachment",)
    parts = threads["the part"]
    assert (parts.system, said(parts)[0]) == ("the part", ("human", "the part\nand this"))
    assert parts.left_out == ("options of a request",)
    question, call, result, answer = threads["call it"].messages
    assert (question.text, answer.text) == ("call it", '{"name": "ABC"}')
    assert isinstance(call, AIMessage)
    assert isinstance(result, ToolMessage)
    assert (call.text, call.tool_calls[0]["args"], result.text) == ("I call.", {"s": "abc"}, "ABC")
    assert result.tool_call_id == call.tool_calls[0]["id"]
    assert set(threads["call it"].left_out) == {"schema"}


@pytest.mark.parametrize("version", [pytest.param(BEFORE, marks=pytest.mark.weekly), AFTER])
def test_everything_that_is_logged_is_read(tmp_path: Path, server: FakeOpenAI, version: str) -> None:
    converse(program(version, tmp_path, server), server)
    before = (tmp_path / "logs.db").read_bytes()
    check(tmp_path)
    assert (tmp_path / "logs.db").read_bytes() == before


def test_a_log_that_a_newer_version_continued_is_read_whole(tmp_path: Path, server: FakeOpenAI) -> None:
    older, newer = program(BEFORE, tmp_path, server), program(AFTER, tmp_path, server)
    converse(older, server)
    older([*MODEL, "kept"])
    newer(["-c", "continued"], [*MODEL, "new"])
    check(tmp_path)
    threads = by_question(tmp_path)
    assert len(threads) == 6
    assert [text for _, text in said(threads["kept"])] == ["kept", "You said: kept", "continued", "You said: continued"]
    # The older one knows nothing of what the newer one logged; its next turn is a branch of its own.
    older(["--cid", threads["kept"].thread_id, "beside"])
    both = [d for d in read_documents(tmp_path / "logs.db") if d.messages[0].text == "kept"]
    assert sorted(document.thread_id for document in both) == [
        threads["kept"].thread_id,
        f"{threads['kept'].thread_id}-2",
    ]
    assert {text for document in both for _, text in said(document)} >= {"continued", "beside"}


FORKS = """
import llm, sqlite_utils
from llm.logs import LogStore
from llm.parts import Message, ReasoningPart, TextPart, AttachmentPart, ToolCallPart, ToolResultPart
store = LogStore(sqlite_utils.Database({path!r}))
model = llm.get_model("gpt-4o-mini")
image = llm.Attachment(type="image/png", content={png!r})
link = llm.Attachment(type="image/png", url="https://pictures.example/a.png")
question = Message("user", [TextPart("why?"), AttachmentPart(image), AttachmentPart(link)])
thought = Message("assistant", [ReasoningPart("Hm."), ReasoningPart("", redacted=True), TextPart("Air.")])
one = store.create_thread(name="One")
tip = store.append(one, [llm.parts.system("Be kind."), question, thought])
two = store.fork(tip, name="Two", forked_from=one)
store.append(one, [llm.parts.user("left?"), llm.parts.assistant("Left.")])
search = ToolCallPart("web", {{"q": "sky"}}, server_executed=True)
found = ToolResultPart("web", "blue", server_executed=True)
store.append(two, [llm.parts.user("right?"), Message("assistant", [search, found, TextPart("Right.")])])
conversation = model.conversation()
first = conversation.prompt("begin")
first.text()
store.log(first)
conversation.responses.clear()
again = conversation.prompt("begin again")
again.text()
store.log(again)
store.create_thread(name="Empty")
"""


def test_forks_reasoning_and_images_are_read(tmp_path: Path, server: FakeOpenAI) -> None:
    program(AFTER, tmp_path, server).script(FORKS.format(path=str(tmp_path / "logs.db"), png=PNG))
    threads: dict[str, Any] = {}
    for document in read_documents(tmp_path / "logs.db"):
        threads.setdefault(document.title, []).append(document)
    (one,), (two,) = threads.pop("One"), threads.pop("Two")
    assert one.system == two.system == "Be kind."
    assert [text for _, text in said(one)][1:] == ["> **Thoughts**\n>\n> Hm.\n\nAir.", "left?", "Left."]
    assert [text for _, text in said(two)][-1].endswith("Output:\n\n```\nblue\n```\n\nRight.")
    label, image, rest = one.messages[0].content
    assert label["text"].startswith("why?\n\n<file name=")
    assert (image["type"], base64.b64decode(image["base64"])) == ("image", PNG)
    assert rest["text"] == '<file name="https://pictures.example/a.png" type="image/png"/>'
    assert one.left_out == ("attachment",)
    # The conversation whose thread points elsewhere by now: both of its branches are there.
    (branches,) = threads.values()
    assert {said(branch)[0] for branch in branches} == {("human", "begin"), ("human", "begin again")}
