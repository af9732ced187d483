"""The parts of `chat mcp` in this process: what another program may name, and what it gets back."""

import json
from pathlib import Path
from typing import Any

import pytest

from chatcli.config.settings import Settings
from chatcli.conversation.compose import compose
from chatcli.documents.find import resolve_source
from chatcli.errors import ChatcliError, CostError, InterruptedTurnError, NetworkError, StoreError, UsageError
from chatcli.serve.mcp.server import address
from chatcli.serve.mcp.service import McpService, _below, _in_thread
from chatcli.serve.mcp.stdio import _message
from tests.fakes.openai_server import FakeOpenAI


def test_only_documents_that_the_user_has_named_are_open(own_folders: Path) -> None:
    for name in ("docs/a.md", "docs/sub/b.md", "docs/.hidden.md", "docs2/c.md", "notes/d.md", "notes/d.txt", "e.md"):
        path = own_folders / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (own_folders / "docs" / "link.md").symlink_to(own_folders / "e.md")
    sources = [resolve_source(text) for text in ("docs", "notes/*.md")]
    for allowed in ("docs", "docs/a.md", "docs/sub", "docs/sub/b.md", "notes/d.md", "./docs/../docs/a.md"):
        assert _below(allowed, sources) == str((own_folders / allowed).resolve())
    assert _below(sources[1], sources) == sources[1], "a glob is one that the user gave"
    refused = (".", "/", "e.md", "docs2", "docs2/c.md", "docs/.hidden.md", "notes", "notes/d.txt", "docs/../e.md")
    for text in (*refused, "docs/none.md", "/etc/passwd", "*.md", "docs2/*"):
        with pytest.raises(UsageError, match="is not among the documents that are open"):
            _below(text, sources)


async def test_a_call_that_is_stopped_before_it_begins_asks_nothing(model: FakeOpenAI) -> None:
    service = McpService(compose(Settings.load({"model": "openai:gpt-fake", "base_url": model.base_url})))

    async def report(done: float, text: str) -> None:
        """Take no progress."""

    call = service.turn({"question": "hi", "thread_id": "t"}, report)
    call.interrupt()
    with pytest.raises(InterruptedTurnError):
        await call.run()
    assert not model.requests
    value, text = await service.turn({"question": "hi", "thread_id": "t"}, report).run()
    assert (value["content"], value["approvals"], value["notices"], text) == ("You said: hi", [], [], "You said: hi")
    assert "elapsed_ms" in value
    await service.close()


@pytest.mark.parametrize("error", [NetworkError("a", remedy="Wait."), UsageError("a"), StoreError("a"), CostError("a")])
def test_a_question_that_is_kept_can_be_asked_again_in_its_thread(error: ChatcliError) -> None:
    kept = isinstance(error, NetworkError)
    assert _in_thread(error, "t").remedy == ("Wait. The question is kept in the thread t." if kept else "")


@pytest.mark.parametrize(
    ("line", "number", "code"),
    [
        (b"no JSON", None, -32700),
        (b"[" * 100_000, None, -32700),
        (b"[1]", None, -32600),
        (b'"text"', None, -32600),
        (b'{"id": 7}', 7, -32600),
        (b'{"id": "a", "method": 5}', "a", -32600),
        (b'{"id": [1], "method": 5}', None, -32600),
    ],
)
def test_a_line_that_is_no_message_is_answered_under_its_number(line: bytes, number: Any, code: int) -> None:
    answer = _message(line)
    assert isinstance(answer, str)
    sent = json.loads(answer)
    assert (sent["id"], sent["error"]["code"]) == (number, code)


def test_a_message_may_hold_what_is_no_utf_8() -> None:
    assert not isinstance(_message(b'{"jsonrpc": "2.0", "id": 1, "method": "a\xff"}'), str)


def test_any_thread_has_one_address() -> None:
    assert [address(name) for name in ("a", "a/b", "a b?#%", "ä")] == [
        f"thread:///{name}" for name in ("a", "a%2Fb", "a%20b%3F%23%25", "%C3%A4")
    ]
