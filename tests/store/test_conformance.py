"""What every kind of store does: the same tests on each, with what real turns leave there."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver

from chatcli.errors import UsageError
from chatcli.events import TurnFinished, TurnInterrupted
from chatcli.graphs.chat.ask_node import MODEL_NODE
from chatcli.graphs.chat.graph import read_values, setup_of, setup_values
from chatcli.message import MessageShown
from chatcli.roles import Setup
from chatcli.sessions.requests import Ask, Retry
from chatcli.store.threads import MATCH_END, MATCH_START, Partial, find_thread
from chatcli.transfer.document import ThreadDocument
from chatcli.transfer.store_documents import import_documents, read_document
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Fail, Stall
from tests.store.conftest import NewStore

ODD_IDS = ["🐍", "../../x", "'; DROP TABLE threads; --", "%", "a b", "x" * 200, "-t"]


async def test_an_empty_store_has_nothing(new_store: NewStore) -> None:
    async with new_store as bench:
        threads = bench.store.threads
        assert (threads.recent(), threads.search("hello"), threads.steps("abc")) == ([], [], [])
        assert threads.newest_messages("abc", 5) == []
        assert threads.journal.read("abc") is None
        with pytest.raises(UsageError, match="there is no thread 'abc'"):
            find_thread(threads, "abc")


async def test_a_turn_is_whole(new_store: NewStore) -> None:
    async with new_store as bench:
        events = await bench.ask("abc", "why is\nthe sky blue?", system="Be brief.")
        (summary,) = bench.store.threads.recent()
        document = await read_document(bench.store, summary)
        assert isinstance(events[-1], TurnFinished)
        assert events[-1].checkpoint_id == bench.store.threads.steps("abc")[-1].checkpoint_id
        assert (summary.thread_id, summary.title) == ("abc", "why is the sky blue?")
        assert (summary.model, summary.turns, document.system) == ("openai:gpt-fake", 1, "Be brief.")
        assert [(m.type, m.text) for m in document.messages] == [
            ("human", "why is\nthe sky blue?"),
            ("ai", "You said: why is\nthe sky blue?"),
        ]
        assert bench.store.threads.newest_messages("abc", 1) == [
            MessageShown("assistant", "You said: why is\nthe sky blue?")
        ]
        assert summary.created_at <= summary.updated_at


async def test_a_thread_stores_no_empty_setting_but_one_that_is_empty_again(new_store: NewStore) -> None:
    async with new_store as bench:
        session = bench.session("abc", stored=Setup())

        async def ask(setup: Setup) -> tuple[Setup | None, str]:
            session.setup = setup
            assert isinstance([event async for event in session.run(Ask("hello"))][-1], TurnFinished)
            sent = next((text for role, text in bench.server.requests[-1].messages if role == "system"), "")
            return setup_of(await read_values(bench.graph, "abc")), sent

        role = Setup(role="r", template="Talk {how}.", variables={"how": "loud"}, temperature=0.5)
        plain, brief = session.current_setup, replace(session.current_setup, system="Be brief.")
        assert await ask(Setup()) == (plain, "")
        values = await read_values(bench.graph, "abc") or {}
        assert values.keys() & setup_values(plain).keys() == {"system", "model", "base_url"}
        assert (await session.state())["temperature"] is None
        assert await ask(brief) == (brief, "Be brief.")
        assert await ask(role) == (replace(role, model=plain.model, base_url=plain.base_url), "Talk loud.")
        await session.undo()
        assert await ask(role) == (replace(role, model=plain.model, base_url=plain.base_url), "Talk loud.")
        assert await ask(Setup()) == (plain, "")
        await session.undo(2)
        assert await ask(Setup()) == (plain, "")


async def test_only_a_subgraphs_checkpoint_names_parents(new_store: NewStore) -> None:
    async with new_store as bench:
        saver = bench.store.checkpointer
        for namespace, parents in {"": {}, "inner:1": {"": "x"}}.items():
            where = RunnableConfig(configurable={"thread_id": "abc", "checkpoint_ns": namespace})
            given: CheckpointMetadata = {"source": "loop", "step": 0, "parents": parents}
            stored = await saver.aget_tuple(await saver.aput(where, empty_checkpoint(), given, {}))
            assert stored is not None
            assert stored.metadata.get("parents", {}) == parents
            assert bool(parents) == ("parents" in stored.metadata) or isinstance(saver, InMemorySaver)
            assert given["parents"] == parents


async def test_the_newest_threads_come_first(new_store: NewStore) -> None:
    async with new_store as bench:
        for thread_id in ("one", "two", "one", "three"):
            await bench.ask(thread_id, "hello")
            await asyncio.sleep(0.01)  # threads are sorted by a time in milliseconds
        threads = bench.store.threads
        assert [(t.thread_id, t.turns) for t in threads.recent()] == [("three", 1), ("one", 2), ("two", 1)]
        assert [t.thread_id for t in threads.recent(1)] == ["three"]
        assert find_thread(threads, "on").thread_id == "one"
        with pytest.raises(UsageError, match="several threads begin with 't'"):
            find_thread(threads, "t")


async def test_one_thread_is_found_by_its_id_or_a_prefix_of_it(new_store: NewStore) -> None:
    async with new_store as bench:
        ids = ["ab", "abc", "abd", "aB", "a%", "a_b", "🐍x", "🐍y"]
        for thread_id in ids:
            await bench.ask(thread_id, f"hello {thread_id}")
        threads = bench.store.threads
        known = {thread.thread_id: thread for thread in threads.recent()}
        assert [threads.find(thread_id) for thread_id in ids] == [known[thread_id] for thread_id in ids]
        assert [threads.find(other) for other in ("a", "AB", "", "%", "abcd")] == [None] * 5
        for prefix in ("", "a", "ab", "abc", "a%", "a_", "🐍", "x", "abcd"):
            expected = [thread_id for thread_id in known if thread_id.startswith(prefix)]
            assert [thread.thread_id for thread in threads.starting_with(prefix, 99)] == expected, prefix
        assert len(threads.starting_with("a", limit=2)) == 2
        assert find_thread(threads, "ab").thread_id == "ab"
        with pytest.raises(UsageError, match="there is no thread"):
            find_thread(threads, "\udcff")  # a byte of a command line that is no text


async def test_search_finds_the_messages_that_hold_every_word(new_store: NewStore) -> None:
    async with new_store as bench:
        await bench.ask("sky", "why is the sky blue?")
        await bench.ask("sea", "why is the sea so deep?")
        await bench.ask("code", "what does snake_case mean?")
        search = bench.store.threads.search
        assert {(match.thread_id, match.role) for match in search("Sky why")} == {("sky", "user"), ("sky", "assistant")}
        assert {match.thread_id for match in search("why")} == {"sky", "sea"}
        assert f"{MATCH_START}deep" in search("deep")[0].snippet
        assert MATCH_END in search("deep")[0].snippet
        assert {match.thread_id for match in search("snake_case")} == {"code"}
        assert search("deep")[0].title == "why is the sea so deep?"
        assert len(search("why", limit=1)) == 1
        assert {match.thread_id for match in search("seas") + search("meaning, snakes?")} == {"sea", "code"}
        assert {match.thread_id for match in search("sky deep")} == {"sky", "sea"}  # no exchange has both
        assert {match.thread_id for match in search("deep seas of sky blue")} == {"sky", "sea"}
        for nothing in ("", " ", '"', "AND NOT", "' OR 1=1", "text:*", "zebra"):
            assert search(nothing) == [], nothing


async def test_the_words_of_a_search_may_be_anywhere_in_one_exchange(new_store: NewStore, server: FakeOpenAI) -> None:
    async with new_store as bench:
        server.script(Answer("Nightly, by rsync."), Answer("On Mondays."), Answer("By rsync, too."), Answer("No."))
        for thread_id, text in (("a", "how do the backups run?"), ("a", "when?"), ("b", "how do I copy photos?")):
            await bench.ask(thread_id, text)
        await bench.ask("c", "is the backup large?")
        search = bench.store.threads.search
        found = [(match.thread_id, match.role, match.snippet) for match in search("rsync backup")]
        assert found == [
            ("a", "user", f"how do the {MATCH_START}backups{MATCH_END} run?"),
            ("a", "assistant", f"Nightly, by {MATCH_START}rsync{MATCH_END}."),
        ]
        most = [match.thread_id for match in search("what copies photographs and photos by rsync?")]
        assert most[0] == "b"
        assert set(most) == {"a", "b"}


async def test_exchanges_are_questions_with_their_answers(new_store: NewStore, server: FakeOpenAI) -> None:
    async with new_store as bench:
        server.script(Answer("Because of Rayleigh."), Answer("Very."), Answer("Of sand."), Answer("Again Rayleigh."))
        for thread_id, text in (("sky", "why is it blue?"), ("sky", "how high?"), ("sea", "what is the beach?")):
            await bench.ask(thread_id, text)
        await bench.ask("here", "is the beach blue?")

        def found(text: str, limit: int = 9, without: str = "here") -> list[tuple[str, str, str]]:
            exchanges = bench.store.threads.exchanges(text, limit, without)
            return [(each.thread_id, each.question, each.answer) for each in exchanges]

        sky, sea = ("sky", "why is it blue?", "Because of Rayleigh."), ("sea", "what is the beach?", "Of sand.")
        assert found("Rayleigh") == [sky]  # by its answer
        assert found("blue") == found("BLUE it") == [sky]  # by its question
        assert found("blue", without="sky") == [("here", "is the beach blue?", "Again Rayleigh.")]
        assert sorted(found("Rayleigh sand")) == sorted(found("beach blue")) == [sea, sky]  # no exchange has both
        assert len(found("Rayleigh sand", limit=1)) == 1
        assert not any(each.weak for each in bench.store.threads.exchanges("blue sand", 9, "here"))
        assert all(each.weak for each in bench.store.threads.exchanges("sand zebras lions tigers", 9, "here"))
        assert found("nothing") == found("") == found("' | \" & !") == []
        server.script(Answer("Hm."), Fail(400, {"error": {"message": "no"}}))
        await bench.ask("lost", "the zebra?")
        await bench.ask("lost", "a second zebra?")
        assert sorted(found("zebra")) == [("lost", "a second zebra?", ""), ("lost", "the zebra?", "Hm.")]
        [summary] = [each for each in bench.store.threads.recent() if each.thread_id == "sea"]
        [exchange] = bench.store.threads.exchanges("sand", 9, "here")
        assert (exchange.title, exchange.updated_at) == (summary.title, summary.updated_at)


async def test_a_new_title_stays(new_store: NewStore) -> None:
    async with new_store as bench:
        await bench.ask("abc", "hello")
        bench.store.threads.rename("abc", "A 'better' one 🐍")
        await bench.ask("abc", "again")
        assert bench.store.threads.recent()[0].title == "A 'better' one 🐍"


async def test_what_is_deleted_is_gone(new_store: NewStore) -> None:
    async with new_store as bench:
        for thread_id in ("one", "two", "three"):
            await bench.ask(thread_id, f"hello {thread_id}")
        threads = bench.store.threads
        threads.journal.save("one", Partial("q", "half"))
        threads.delete(["one", "three"])
        assert [thread.thread_id for thread in threads.recent()] == ["two"]
        assert {match.thread_id for match in threads.search("hello")} == {"two"}
        assert (threads.steps("one"), threads.journal.read("one")) == ([], None)
        await bench.ask("one", "again")
        assert [m.text for m in (await read_document(bench.store, threads.recent()[0])).messages] == [
            "again",
            "You said: again",
        ]


async def test_a_fork_goes_its_own_way(new_store: NewStore) -> None:
    async with new_store as bench:
        first = (await bench.ask("abc", "one"))[-1]
        await bench.ask("abc", "two")
        assert isinstance(first, TurnFinished)
        threads = bench.store.threads
        threads.fork("abc", "whole")
        threads.fork("abc", "half", first.checkpoint_id)
        await bench.ask("half", "three")
        texts = {}
        for summary in threads.recent():
            document = await read_document(bench.store, summary)
            texts[summary.thread_id] = [m.text for m in document.messages if isinstance(m, HumanMessage)]
            assert summary.turns == 2
        assert texts == {"abc": ["one", "two"], "whole": ["one", "two"], "half": ["one", "three"]}
        threads.delete(["abc"])
        assert [message.text for message in threads.newest_messages("half", 9)][::2] == ["one", "three"]


async def test_a_fork_of_nothing_or_onto_something_is_refused(new_store: NewStore) -> None:
    async with new_store as bench:
        await bench.ask("abc", "one")
        await bench.ask("other", "two")
        with pytest.raises(UsageError, match="there is a thread 'other' already"):
            bench.store.threads.fork("abc", "other")
        with pytest.raises(UsageError, match="has no checkpoint"):
            bench.store.threads.fork("abc", "new", "nowhere")
        assert {thread.thread_id for thread in bench.store.threads.recent()} == {"abc", "other"}


async def test_steps_are_the_tree(new_store: NewStore) -> None:
    async with new_store as bench:
        await bench.ask("abc", "one")
        await bench.ask("abc", "two")
        session = bench.session("abc")
        await session.undo()
        await bench.ask("abc", "three")
        turns = await session.turns()
        assert [(turn.title, turn.parent, turn.current) for turn in turns] == [
            ("one", None, True),
            ("two", 1, False),
            ("three", 1, True),
        ]
        steps = bench.store.threads.steps("abc")
        assert {step.parent_id for step in steps[1:]} <= {step.checkpoint_id for step in steps}
        assert steps[0].parent_id is None


async def test_a_stopped_answer_is_kept_as_far_as_it_came(new_store: NewStore, server: FakeOpenAI) -> None:
    server.script(Stall("Half an ans"))

    async with new_store as bench:
        session = bench.session("abc")
        events = []
        async for event in session.run(Ask("hello")):
            events.append(event)
            if getattr(event, "text", "") and "ans" in event.text:  # type: ignore[union-attr]  # only events with a text get here
                session.interrupt()
        assert isinstance(events[-1], TurnInterrupted)
        assert await session.history() == [
            MessageShown("user", "hello"),
            MessageShown("assistant", "Half an ans", True),
        ]


async def test_a_failed_question_stays(new_store: NewStore, server: FakeOpenAI) -> None:
    server.script(Fail(400, {"error": {"message": "no"}}))

    async with new_store as bench:
        await bench.ask("abc", "hello")
        assert await bench.session("abc").history() == [MessageShown("user", "hello")]
        events = [event async for event in bench.session("abc").run(Retry())]
        assert isinstance(events[-1], TurnFinished)
        assert [message.role for message in await bench.session("abc").history()] == ["user", "assistant"]


async def test_locks_are_given_back(new_store: NewStore) -> None:
    async with new_store as bench:
        threads = bench.store.threads
        assert threads.locks.try_lock("abc")
        threads.locks.unlock("abc")
        assert threads.locks.try_lock("abc")
        threads.locks.unlock("abc")
        await bench.ask("abc", "hello")
        assert threads.locks.try_lock("abc")


@pytest.mark.parametrize("thread_id", ODD_IDS)
async def test_an_odd_id_is_stored_as_it_is(new_store: NewStore, thread_id: str) -> None:
    async with new_store as bench:
        await bench.ask("other", "something else")
        await bench.ask(thread_id, "hello")
        await bench.ask(thread_id, "again")
        threads = bench.store.threads
        assert find_thread(threads, thread_id).turns == 2
        threads.rename(thread_id, thread_id)
        threads.fork(thread_id, "copy")
        threads.delete([thread_id])
        assert {(t.thread_id, t.turns) for t in threads.recent()} == {("other", 1), ("copy", 2)}


async def test_a_message_of_megabytes_is_whole(new_store: NewStore, server: FakeOpenAI, weekly: bool) -> None:
    text = "wörd 🐍 " * ((10_000_000 if weekly else 2_000_000) // 11)
    server.script(Answer(text, chunks=3))

    async with new_store as bench:
        await bench.ask("abc", text)
        document = await read_document(bench.store, bench.store.threads.recent()[0])
        assert [message.text == text for message in document.messages] == [True, True]


async def test_messages_of_one_step_stay_in_order(new_store: NewStore) -> None:
    async with new_store as bench:
        await bench.ask("abc", "one")
        several: list[BaseMessage] = [AIMessage(text, id=text) for text in ("first", "second", "third")]
        await bench.graph.aupdate_state(
            {"configurable": {"thread_id": "abc"}, "metadata": {"chatcli_turn": 1}},
            {"messages": several},
            as_node=MODEL_NODE,
        )
        await bench.ask("abc", "two")
        threads = bench.store.threads
        texts = ["one", "You said: one", "first", "second", "third", "two", "You said: two"]
        for limit in range(1, len(texts) + 1):
            assert [shown.text for shown in threads.newest_messages("abc", limit)] == texts[-limit:]
        threads.fork("abc", "copy")
        assert [shown.text for shown in threads.newest_messages("copy", 9)] == texts


async def test_an_import_is_like_the_turns_that_were(new_store: NewStore) -> None:
    messages = [
        AIMessage("Welcome", id="0"),
        HumanMessage("one", id="1"),
        AIMessage("first", id="2"),
        HumanMessage([{"type": "text", "text": "two"}], id="3"),
        HumanMessage("three", id="4"),
    ]

    async with new_store as bench:
        await import_documents(bench.store, [ThreadDocument("abc", "Title", "openai:gpt", "Be brief.", messages)])
        threads, session = bench.store.threads, bench.session("abc")
        (summary,) = threads.recent()
        assert (summary.title, summary.model, summary.turns) == ("Title", "openai:gpt", 3)
        assert [(turn.title, turn.current) for turn in await session.turns()] == [
            ("one", True),
            ("two", True),
            ("three", True),
        ]
        assert [shown.text for shown in threads.newest_messages("abc", 9)] == [m.text for m in messages]
        assert [match.role for match in threads.search("first")] == ["assistant"]
        assert (await read_document(bench.store, summary)).system == "Be brief."
        await session.undo(2)
        assert [shown.text for shown in await session.history()] == ["Welcome", "one", "first"]
        await bench.ask("abc", "four")
        assert threads.recent()[0].turns == 2


async def test_an_import_overwrites_nothing(new_store: NewStore) -> None:
    async with new_store as bench:
        await bench.ask("abc", "mine")
        documents = [ThreadDocument(name, "", "", None, [HumanMessage("theirs", id="1")]) for name in ("abc", "abc-2")]
        assert await import_documents(bench.store, documents) == {"abc": "abc-3", "abc-2": "abc-2"}
        said = {
            t.thread_id: bench.store.threads.newest_messages(t.thread_id, 9)[0].text
            for t in bench.store.threads.recent()
        }
        assert said == {"abc": "mine", "abc-2": "theirs", "abc-3": "theirs"}


async def test_an_import_that_fails_leaves_nothing(new_store: NewStore) -> None:
    good = ThreadDocument("good", "", "", None, [HumanMessage("hi", id="1")])
    bad = ThreadDocument("bad", "", "", None, [HumanMessage("hi", id="1"), cast("Any", "no message")])

    async with new_store as bench:
        with pytest.raises(AttributeError):
            await import_documents(bench.store, [good, bad])
        assert bench.store.threads.recent() == []
        assert bench.store.threads.search("hi") == []
