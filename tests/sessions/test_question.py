"""The question of a turn: how its files go along, and how one is stored that was never asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

from chatcli.attachments.attachment import Attachment, read_attachment
from chatcli.errors import RefusedError
from chatcli.events import INTERRUPTED
from chatcli.models.model import Limits, Model
from chatcli.models.names import ModelName
from chatcli.sessions import question
from chatcli.sessions.question import build_question, store_unsent_question
from chatcli.sessions.thread import GraphThread
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store
from chatcli.store.sqlite.threads import SqliteLocks
from chatcli.store.threads import Partial
from tests.attachments.samples import pdf, picture
from tests.waiting import WAIT_SECONDS


def a_file(folder: Path, name: str, data: bytes) -> Attachment:
    path = folder / name
    path.write_bytes(data)
    return read_attachment(str(path))


def sent(model: Model | None, attachment: Attachment) -> str:
    """Return how `attachment` goes along with a question to `model`."""
    try:
        content = build_question("q", [attachment], model).content
    except RefusedError:
        return "refused"
    return (
        "text"
        if isinstance(content, str)
        else ", ".join(str(block["type"]) for block in content if isinstance(block, dict))
    )


@pytest.mark.parametrize(
    ("takes", "image", "document"),
    [(True, "text, image", "text, file"), (False, "refused", "text"), (None, "text, image", "text")],
    ids=["takes them", "takes none", "not known"],
)
def test_a_file_is_sent_in_a_form_that_the_model_takes(
    tmp_path: Path, takes: bool | None, image: str, document: str
) -> None:
    profile: Any = {} if takes is None else {"image_inputs": takes, "pdf_inputs": takes}
    model = Model(ModelName("openai", "m"), FakeListChatModel(responses=[], profile=profile), Limits())
    assert sent(model, a_file(tmp_path, "a.png", picture())) == image
    assert sent(model, a_file(tmp_path, "a.pdf", pdf("Hello"))) == document


class Noted(MessagesState):
    """A state with more than messages."""

    topic: str


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[GraphThread]:
    async with open_store(StoreLocation(path / "threads.db")) as store:
        builder = StateGraph(Noted).add_node("say", lambda state: {"messages": [AIMessage("Hi")]})
        graph = builder.add_edge(START, "say").compile(checkpointer=store.checkpointer)
        yield GraphThread(graph, store.threads, "t")


NAME = ModelName("graph", "test")


async def test_a_question_that_was_never_asked_is_a_turn_of_its_own(tmp_path: Path) -> None:
    async with opened(tmp_path) as thread:
        await store_unsent_question(thread, NAME, "first", [], {"topic": "cats"})
        [asked] = await thread.messages()
        thread.threads.journal.save("t", Partial(str(asked.id), "Hel"))  # its turn was killed
        await store_unsent_question(thread, NAME, "second", [], {"topic": "dogs"})
        found = [(each.text, each.response_metadata.get("finish_reason")) for each in await thread.messages()]
        assert found == [("first", None), ("Hel", INTERRUPTED), ("second", None)]
        snapshot = await thread.snapshot()
        assert (snapshot.values["topic"], snapshot.next) == ("dogs", ("say",))
        summary = thread.threads.find("t")
        assert summary is not None
        assert (summary.title, summary.turns, summary.model) == ("first", 2, str(NAME))
        assert thread.threads.journal.read("t") is None


async def test_a_question_waits_for_a_turn_of_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tried = SqliteLocks.try_lock, list[str]()

    def try_lock(locks: SqliteLocks, thread_id: str) -> bool:
        tried.append(thread_id)
        return real(locks, thread_id)

    monkeypatch.setattr(question, "TIMEOUT", WAIT_SECONDS)
    async with opened(tmp_path) as thread, opened(tmp_path) as other:
        assert other.threads.locks.try_lock("t")
        monkeypatch.setattr(SqliteLocks, "try_lock", try_lock)
        storing = asyncio.create_task(store_unsent_question(thread, NAME, "q", [], {}))
        while len(tried) < 3 and not storing.done():  # noqa: ASYNC110 - a lock sets no event
            await asyncio.sleep(0.001)
        assert await thread.messages() == []
        other.threads.locks.unlock("t")
        await storing
        assert [message.text for message in await thread.messages()] == ["q"]


async def test_a_question_gives_up_where_the_turn_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question, "TIMEOUT", 0.01)
    async with opened(tmp_path) as thread, opened(tmp_path) as other:
        assert other.threads.locks.try_lock("t")
        with pytest.raises(TimeoutError):
            await store_unsent_question(thread, NAME, "q", [], {})
        assert await thread.messages() == []
