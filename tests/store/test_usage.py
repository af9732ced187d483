"""What threads used in tokens: read from every kind of store, each answer once."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from chatcli.models.prices import spent
from chatcli.store.open import Store
from chatcli.store.sqlite import threads as sqlite_threads
from chatcli.store.threads import ThreadSummary
from chatcli.store.usage import MAX_TOKENS, REQUEST, AnswerUsage, Tokens, note_request, read_tokens, without_copies
from chatcli.transfer.document import ThreadDocument
from chatcli.transfer.store_documents import import_documents, read_document
from tests.store.conftest import NewStore

GOOD = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (GOOD, Tokens(10, 5)),
        ({**GOOD, "input_token_details": {"cache_read": 4, "cache_creation": 1}}, Tokens(10, 5, 4, 1)),
        ({**GOOD, "input_token_details": {"cache_creation": 0, "ephemeral_5m_input_tokens": 3}}, Tokens(10, 5, 0, 3)),
        ({**GOOD, "input_token_details": {"cache_read": 11}}, Tokens(10, 5)),
        ({**GOOD, "input_token_details": {"cache_read": -1}}, Tokens(10, 5)),
        ({**GOOD, "input_token_details": "many"}, Tokens(10, 5)),
        ({**GOOD, "input_tokens": -1}, None),
        ({**GOOD, "output_tokens": MAX_TOKENS + 1}, None),
        ({**GOOD, "output_tokens": True}, None),
        ({**GOOD, "output_tokens": 2.5}, None),
        ({"input_tokens": 0, "output_tokens": 0}, None),
        ({}, None),
        (None, None),
    ],
)
def test_only_counts_that_can_be_true_are_read(usage: object, tokens: Tokens | None) -> None:
    assert read_tokens(usage) == tokens


def test_an_answer_notes_who_was_asked() -> None:
    noted = note_request("openai:gpt-5-mini", own_server=False, also=[Tokens(3, 1), Tokens(2, 1, 1)])[REQUEST]
    assert (noted["model"], noted["own_server"], noted["also"]) == ("openai:gpt-5-mini", False, [5, 2, 1, 0])
    assert "also" not in note_request("local:small", own_server=False, also=[])[REQUEST]


def _answer(number: int, **noted: Any) -> AIMessage:
    usage: Any = {**GOOD, "input_tokens": number}
    return AIMessage(
        "ok",
        id=f"lc_run--0198c0de-0000-7000-8000-{number:012}",
        usage_metadata=usage,
        response_metadata={REQUEST: {"model": "openai:gpt-5-mini", "own_server": False, **noted}} if noted else {},
    )


def _document(*answers: AIMessage, thread_id: str = "old") -> ThreadDocument:
    messages = [message for number, answer in enumerate(answers) for message in (_question(number), answer)]
    return ThreadDocument(thread_id=thread_id, title="", model="openai:gpt-4o-mini", system=None, messages=messages)


def _question(number: int) -> HumanMessage:
    return HumanMessage("and?", id=f"q{number}")


async def _usage(store: Store, thread_id: str | None = None) -> list[AnswerUsage]:
    return await asyncio.to_thread(store.threads.usage, thread_id)


async def test_a_turn_is_counted_with_its_branches_and_forks_once(new_store: NewStore) -> None:
    async with new_store as bench:
        await bench.ask("a", "one")
        await bench.ask("a", "two")
        assert len(await _usage(bench.store)) == 2  # what is kept now is read again below
        session = bench.session("a")
        await session.undo()
        await bench.ask("a", "three")
        await session.fork("b")
        await bench.ask("b", "four")
        of_a, of_b, all_ = await _usage(bench.store, "a"), await _usage(bench.store, "b"), await _usage(bench.store)
        assert [answer.turn for answer in of_a] == [1, 2, 3]
        assert (spent(of_a).turns, spent(of_b).turns) == (3, 3)
        assert len(all_) == 6
        assert len(list(without_copies(all_))) == 4
        assert {answer.model for answer in all_} == {"openai:gpt-fake"}
        assert all(answer.own_server and answer.at > 1.7e9 for answer in all_)
        await asyncio.to_thread(bench.store.threads.delete, ["a"])
        assert await _usage(bench.store, "a") == []
        assert len(await _usage(bench.store, "b")) == 3


async def test_imported_answers_are_counted_once_and_by_what_they_note(new_store: NewStore) -> None:
    async with new_store as bench:
        own = _answer(4, model="openai:gpt-mine", own_server=True, at=1_750_000_000)
        strange = _answer(5, model=7, own_server="yes", at=10**15, also=[1, 2])
        await import_documents(bench.store, [_document(_answer(1), _answer(2, at=5), own, strange)])
        found = await _usage(bench.store, "old")
        assert [answer.model for answer in found] == [
            "openai:gpt-4o-mini",  # an older version noted nothing: the thread's model
            "openai:gpt-5-mini",
            "openai:gpt-mine",
            "",
        ]
        assert [answer.own_server for answer in found] == [False, False, True, False]
        assert [answer.tokens for answer in found] == [Tokens(number, 5) for number in (1, 2, 4, 5)]
        assert found[2].at == 1_750_000_000
        assert found[3].at < 10**12
        summary = ThreadSummary("old", "", "openai:gpt-4o-mini", 4, "", "")
        again = replace(await read_document(bench.store, summary), thread_id="copy")
        await import_documents(bench.store, [again])
        assert len(await _usage(bench.store, "copy")) == 4
        assert len(list(without_copies(await _usage(bench.store)))) == 4


async def test_a_store_that_can_not_be_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from chatcli.store.location import StoreLocation
    from chatcli.store.open import open_store
    from chatcli.store.sqlite.threads import SqliteThreads

    async with open_store(StoreLocation(tmp_path / "threads.db")) as store:
        await import_documents(store, [_document(_answer(1))])
    monkeypatch.setattr(sqlite_threads, "BUSY_TIMEOUT", 0.1)
    with closing(sqlite3.connect(tmp_path / "threads.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        threads = SqliteThreads(tmp_path / "threads.db")
        assert len(threads.usage()) == len(threads.usage("old")) == 1
