"""The threads of a real LangGraph server, those of other programs too, behind the interface of every store."""

import secrets

import pytest

from chatcli.errors import UsageError
from chatcli.graphs.server.client import ServerAddress
from chatcli.graphs.server.threads import ServerThreads
from chatcli.message import MessageShown
from chatcli.store.threads import ThreadSummary
from tests.langgraph_server import OtherProgram


@pytest.fixture
def threads(langgraph_server: str) -> ServerThreads:
    """Give the server's threads."""
    return ServerThreads(ServerAddress(langgraph_server))


def summary(threads: ServerThreads, thread_id: str) -> ThreadSummary | None:
    return next((thread for thread in threads.recent() if thread.thread_id == thread_id), None)


def questions(threads: ServerThreads, thread_id: str) -> list[str]:
    return [message.text for message in threads.newest_messages(thread_id, 1000) if message.role == "user"]


def test_threads_of_other_programs_are_listed_and_found(
    threads: ServerThreads, other: OtherProgram, alone_on_server: None
) -> None:
    word = secrets.token_hex(4)
    thread_id = other.thread(f"Where is {word}?", "And why?")
    found = summary(threads, thread_id)
    assert found is not None
    assert (found.title, found.turns, found.model) == (f"Where is {word}?", 2, "langgraph:echo")
    assert threads.recent(limit=1)[0].thread_id == thread_id
    assert [message.role for message in threads.newest_messages(thread_id, 1000)] == ["user", "assistant"] * 2
    matches = threads.search(f"where {word}")
    assert [(match.thread_id, match.role) for match in matches] == [(thread_id, "user"), (thread_id, "assistant")]
    assert f"\x02{word}\x03" in matches[0].snippet
    assert threads.search(f"{word} nowhere") == matches  # no exchange has both
    assert threads.search("nowhere") == []


def test_a_title_and_the_end_of_a_thread_are_the_servers(threads: ServerThreads, other: OtherProgram) -> None:
    thread_id = other.thread("One?")
    threads.rename(thread_id, "Numbers")
    found = summary(threads, thread_id)
    assert found is not None
    assert found.title == "Numbers"
    threads.delete([thread_id])
    assert summary(threads, thread_id) is None
    assert threads.newest_messages(thread_id, 10) == []
    assert threads.steps(thread_id) == []


def test_a_name_finds_the_same_thread_from_every_machine(threads: ServerThreads, langgraph_server: str) -> None:
    name = f"näme {secrets.token_hex(4)}"
    assert threads.prepare(name, "echo") is False
    assert summary(threads, name) is not None
    elsewhere = ServerThreads(ServerAddress(langgraph_server))
    assert elsewhere.find(name) == summary(threads, name)
    assert elsewhere.find(f"{name}-other") is None
    assert elsewhere.prepare(name, "echo") is False
    uuid, metadata = threads.identify(name)
    assert metadata["chatcli_thread"] == name
    assert elsewhere.identify(name)[0] == elsewhere.identify(uuid)[0] == uuid
    assert len([thread for thread in elsewhere.recent() if thread.thread_id == name]) == 1


def test_a_fork_has_the_name_and_the_history(threads: ServerThreads, other: OtherProgram) -> None:
    thread_id, name = other.thread("One?", "Two?"), f"fork-{secrets.token_hex(4)}"
    threads.fork(thread_id, name)
    assert questions(threads, name) == ["One?", "Two?"]
    found = summary(threads, name)
    assert found is not None
    assert found.turns == 2
    assert len(threads.steps(name)) == len(threads.steps(thread_id))
    with pytest.raises(UsageError, match="already"):
        threads.fork(thread_id, name)
    with pytest.raises(UsageError, match="no checkpoint"):
        threads.fork("nothing", f"{name}-2")


def test_a_fork_may_end_at_an_earlier_checkpoint(threads: ServerThreads, other: OtherProgram) -> None:
    thread_id, name = other.thread("One?", "Two?"), f"early-{secrets.token_hex(4)}"
    first_end = [step for step in threads.steps(thread_id) if step.source != "input"][1]
    threads.fork(thread_id, name, first_end.checkpoint_id)
    assert questions(threads, name) == ["One?"]
    with pytest.raises(UsageError, match="no checkpoint"):
        threads.fork(thread_id, f"{name}-2", "nowhere")


def test_steps_come_in_pages_with_their_questions(threads: ServerThreads, other: OtherProgram) -> None:
    thread_id = other.thread("First?")
    for number in range(120):
        message = {"type": "human", "content": f"Note {number}"}
        other.client.threads.update_state(thread_id, {"messages": [message]}, as_node="answer")
    steps = threads.steps(thread_id)
    assert len({step.checkpoint_id for step in steps}) == len(steps) == 123
    assert [step.title for step in steps if step.source == "input"] == ["First?"]
    assert [step.parent_id for step in steps[1:]] == [step.checkpoint_id for step in steps[:-1]]


def test_an_answer_that_was_cut_short_is_marked(threads: ServerThreads, other: OtherProgram) -> None:
    thread_id = other.thread("One?")
    partial = {"type": "ai", "content": "Par", "response_metadata": {"finish_reason": "interrupted"}}
    other.client.threads.update_state(thread_id, {"messages": [partial]}, as_node="answer")
    assert threads.newest_messages(thread_id, 1) == [MessageShown("assistant", "Par", interrupted=True)]
