"""Our own files: what goes out comes back equal, through the files and through every store."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from chatcli.errors import UsageError
from chatcli.events import INTERRUPTED
from chatcli.sanitize import reveal
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store
from chatcli.transfer import chatcli_json as own
from chatcli.transfer.document import MAX_DEPTH, ThreadDocument
from chatcli.transfer.read_file import MAX_BYTES, read_documents
from chatcli.transfer.store_documents import import_documents, read_document
from tests.examples import few_examples

Write = Callable[[ThreadDocument], Iterator[str]]

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
IDS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20).filter(
    lambda text: any(reveal(char) == char for char in text)  # not invisible as a whole, such as U+E0100
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
DATA = st.dictionaries(IDS, PLAIN, max_size=3)
BLOCKS = st.lists(
    TEXTS
    | st.builds(lambda text: {"type": "text", "text": text}, TEXTS)
    | st.builds(lambda url: {"type": "image_url", "image_url": {"url": url}}, TEXTS),
    min_size=1,
    max_size=3,
)
CALLS = st.lists(st.builds(lambda name, i, args: {"name": name, "id": i, "args": args}, IDS, IDS, DATA), max_size=2)

FLAGS = st.tuples(st.booleans(), st.booleans())
TEMPERATURES = st.none() | st.floats(0, 2)


def _answer(content: Any, calls: Any, metadata: dict[str, Any], interrupted: bool) -> AIMessage:
    marked = {**metadata, "finish_reason": INTERRUPTED} if interrupted else metadata
    return AIMessage(content, tool_calls=calls, response_metadata=marked)


MESSAGES: st.SearchStrategy[BaseMessage] = st.one_of(
    st.builds(HumanMessage, TEXTS | BLOCKS, additional_kwargs=DATA),
    st.builds(_answer, TEXTS | BLOCKS, CALLS, DATA, st.booleans()),
    st.builds(SystemMessage, TEXTS),
    st.builds(ToolMessage, TEXTS, tool_call_id=IDS, artifact=PLAIN, status=st.sampled_from(["success", "error"])),
)


@st.composite
def documents(draw: st.DrawFn) -> ThreadDocument:
    with_role, with_summary = draw(FLAGS)
    messages = draw(st.lists(MESSAGES, max_size=6))
    ids = draw(st.lists(IDS, min_size=len(messages), max_size=len(messages), unique=True))
    for message, name in zip(messages, ids, strict=True):
        message.id = name
    document = ThreadDocument(draw(IDS), draw(IDS), draw(IDS), draw(st.none() | TEXTS), messages)
    document = replace(document, remembered_model=draw(TEXTS))
    if with_role:
        document = replace(document, role=draw(IDS), template="Translate to {language}.")
        document = replace(document, variables={"language": draw(TEXTS)}, temperature=draw(TEMPERATURES))
    if messages and with_summary:
        document = replace(
            document, remembered_model=draw(TEXTS), summary=draw(TEXTS), summarised=draw(st.sampled_from(ids))
        )
        document = replace(document, refused=tuple(draw(st.lists(st.sampled_from(ids), max_size=2))))
    return document


@pytest.mark.parametrize("write", [own.as_json, own.as_jsonl])
@given(document=documents())
def test_what_is_written_is_read_again(
    write: Write, tmp_path_factory: pytest.TempPathFactory, document: ThreadDocument
) -> None:
    path = tmp_path_factory.mktemp("out") / "file"
    path.write_text("\n".join(write(document)), encoding="utf-8")
    assert read_documents(path) == [document]


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
@few_examples
@given(document=documents())
def test_what_is_imported_is_exported_again(
    kind: str, tmp_path_factory: pytest.TempPathFactory, document: ThreadDocument
) -> None:
    path = tmp_path_factory.mktemp("store") / "threads.db" if kind == "sqlite" else None

    async def round_trip() -> ThreadDocument:
        async with open_store(StoreLocation(path)) as store:
            assert await import_documents(store, [document]) == {document.thread_id: document.thread_id}
            (summary,) = store.threads.recent()
            return await read_document(store, summary)

    again = asyncio.run(round_trip())
    # Its times and the count of its turns are the store's own.
    assert replace(again, messages=list(again.messages), turns=0, created_at="", updated_at="") == document


HEAD: dict[str, Any] = {"format": "chatcli-thread", "version": 1, "thread_id": "abc"}
QUESTION = {"id": "1", "role": "user", "content": "hello"}


def _whole(**changes: Any) -> str:
    return json.dumps({**HEAD, "messages": [QUESTION], **changes})


BAD: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "not valid JSON"),
    "no UTF-8": (b'{"a":\n"\xff"}', "line 2: not UTF-8 at byte 7"),
    "no JSON": ("hello", "line 1: not valid JSON"),
    "a late error": ('{"format": "chatcli-thread",\n"version": }', "line 2: not valid JSON"),
    "another kind": ("[1, 2]", "its format is unknown; these can be imported: chatcli's JSON"),
    "an empty list": ("[]", "its format is unknown; these can be imported: chatcli's JSON"),
    "a NUL": ('{"format": "chatcli\0"}', "line 1: not valid JSON"),
    "deep": ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    "deep content": (_whole(messages=[{**QUESTION, "content": [{"a": json.loads("[" * 99 + "]" * 99)}]}]), "nested"),
    "a key twice": ('{"format": "chatcli-thread", "format": "chatcli-thread"}', "'format' appears twice"),
    "a huge number": ('{"a": ' + "9" * 5000 + "}", "digits"),
    "a big number": (_whole(messages=[{**QUESTION, "additional_kwargs": {"n": 2**64}}]), "64 bits"),
    "a newer version": (_whole(version=2), "version: 2 was written by a newer chatcli"),
    "no thread": (json.dumps({"format": "chatcli-thread", "version": 1, "messages": []}), "thread_id: field required"),
    "a number for an ID": (_whole(thread_id=1), "thread_id: input should be a valid string"),
    "a long ID": (_whole(thread_id="x" * 201), "thread_id: a thread ID has 1 to 200"),
    "escape sequences": (_whole(thread_id="\x1b[2J"), "thread_id: a thread ID has printable"),
    "a role of no template": (_whole(role="pirate"), "template: a role needs both a name and a template"),
    "a broken template": (_whole(role="a", template="{b"), "template: expected '}'"),
    "a template that looks inside": (_whole(role="a", template="{b.c}", variables={}), "is not a variable"),
    "a variable of no value": (_whole(role="a", template="{b}"), "variables: the template has these variables: b"),
    "a cold temperature": (_whole(temperature=-1.0), "temperature: input should be greater"),
    "no messages": (json.dumps(HEAD), "messages: there is no list"),
    "a text for messages": (_whole(messages="hello"), "messages: there is no list"),
    "a text for a message": (_whole(messages=[QUESTION, "hello"]), "messages[1]: input should be"),
    "a strange role": (_whole(messages=[{**QUESTION, "role": "root"}]), "messages[0].role: input should be 'user'"),
    "a strange field": (_whole(messages=[{**QUESTION, "evil": 1}]), "messages[0].evil: extra inputs"),
    "a wrong content": (_whole(messages=[{**QUESTION, "content": 1}]), "messages[0].content"),
    "a block of no type": (_whole(messages=[{**QUESTION, "content": [{"text": "x"}]}]), "messages[0].content"),
    "a wrong call": (
        _whole(messages=[{"role": "assistant", "content": "", "tool_calls": [{}]}]),
        "messages[0].tool_calls",
    ),
    "an ID twice": (_whole(messages=[QUESTION, QUESTION]), "messages[1].id: '1' appears twice"),
    "half a character": (_whole(messages=[{**QUESTION, "content": "\ud800"}]), "messages[0]: holds a lone surrogate"),
    "a thread twice": (f"[{_whole()}, {_whole()}]", "thread_id: 'abc' appears twice"),
    "a bad line": (json.dumps({"type": "thread", **HEAD}) + '\n{"role": "user"}', "line 2.content: field required"),
    "a cut line": (json.dumps({"type": "thread", **HEAD}) + '\n{"role": "us', "line 2: not valid JSON"),
}


@pytest.mark.parametrize(("text", "reason"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_with_the_place(tmp_path: Path, text: str | bytes, reason: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as raised:
        read_documents(path)
    assert reason in raised.value.message
    assert "\n" not in raised.value.message


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(4 * MAX_BYTES)
    with pytest.raises(UsageError, match="larger than 256 MiB"):
        read_documents(path)


def test_a_message_written_by_hand_needs_a_role_and_a_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(
        _whole(
            messages=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes", "interrupted": True}]
        )
    )
    (document,) = read_documents(path)
    assert [message.content for message in document.messages] == ["hi", "yes"]
    assert [message.response_metadata for message in document.messages] == [{}, {"finish_reason": INTERRUPTED}]
    assert len({message.id for message in document.messages} - {None}) == 2


def test_a_file_has_several_threads_with_the_same_messages_and_nothing_that_controls_a_terminal(tmp_path: Path) -> None:
    document = ThreadDocument("a", "t\u202e", "m", "\x1b[31m", [HumanMessage("\x9b31m \u2066x", id="1")])
    whole, *others = ("\n".join(write(document)) for write in (own.as_json, own.as_jsonl))
    lines = "\n".join((*others, *own.as_jsonl(replace(document, thread_id="b"))))
    assert all(text.replace("\n", "").isascii() and "\x1b" not in text for text in (whole, lines))
    (tmp_path / "file").write_text(lines, encoding="utf-8-sig")  # as editors of Windows save it
    assert [(each.thread_id, each.messages) for each in read_documents(tmp_path / "file")] == [
        ("a", document.messages),
        ("b", document.messages),
    ]


async def test_depth_that_is_let_in_can_be_stored_and_read(tmp_path: Path) -> None:
    deep: Any = "core"
    for _ in range(MAX_DEPTH - 4):
        deep = [deep]
    path = tmp_path / "file"
    path.write_text(_whole(messages=[{**QUESTION, "additional_kwargs": {"deep": deep}}]))
    (document,) = read_documents(path)

    async with open_store(StoreLocation(tmp_path / "threads.db")) as store:
        await import_documents(store, [document])
        again = await read_document(store, store.threads.recent()[0])
    assert again.messages[0] == document.messages[0]
