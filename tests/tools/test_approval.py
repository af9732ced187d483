"""Calls that wait for the user: what an answer does, in this process and in a later one."""

import hashlib
import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from chatcli import paths
from chatcli.conversation.conversation import Conversation
from chatcli.events import WAITING, ApprovalRequested, Event, ToolCallFinished, TurnFailed, TurnFinished
from chatcli.graphs.chat.ask_node import MODEL_NODE
from chatcli.graphs.chat.graph import build_graph
from chatcli.sessions.requests import Resume, Retry
from chatcli.store.location import StoreLocation
from chatcli.store.open import open_store
from chatcli.tools.sandbox.confinement import find_strength
from chatcli.tools.tool import keep_rule
from tests.conversing import ask, conversing
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Calls, call


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: FakeOpenAI) -> FakeOpenAI:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return model


def process(
    fake: FakeOpenAI, thread: str = "work", store: str = "sqlite:///threads.db"
) -> AbstractAsyncContextManager[Conversation]:
    """Hold a conversation as one run of the program does."""
    return conversing(fake, thread, store=store, tools=True)


async def answer(conversation: Conversation, reply: Any) -> list[Event]:
    [pending] = await (await conversation.session()).pending()
    session = await conversation.session()
    return [event async for event in session.run(Resume({pending.interrupt_id: reply}))]


def text_of(path: str) -> str:
    return Path(path).read_text()


def exists(path: str) -> bool:
    return Path(path).exists()


def write_text(path: str, text: str) -> None:
    Path(path).write_text(text)


async def store_state(thread: str, values: Any) -> None:
    """Leave a thread whose newest message is the model's."""
    async with open_store(StoreLocation(Path("threads.db"))) as store:
        config: Any = {"configurable": {"thread_id": thread}, "metadata": {"chatcli_turn": 1}}
        await build_graph(store.checkpointer).aupdate_state(config, values, as_node=MODEL_NODE)


@asynccontextmanager
async def forging() -> AsyncIterator[Any]:
    """Give the interrupt that waits in the store, to be forged."""
    async with open_store(StoreLocation(Path("threads.db"))) as store:
        newest = await store.checkpointer.aget_tuple({"configurable": {"thread_id": "work"}})
        assert newest is not None
        [(task, _, [waiting])] = [w for w in newest.pending_writes or () if w[1] == "__interrupt__"]
        yield waiting
        await store.checkpointer.aput_writes(newest.config, [("__interrupt__", [waiting])], task)


def requested(events: list[Event]) -> Any:
    """Give the payload of the one approval that the turn ended with."""
    assert isinstance(events[-1], TurnFinished), events
    assert events[-1].finish_reason == WAITING
    assert isinstance(events[-2], ApprovalRequested)
    return events[-2].payload


async def test_an_approval_outlives_the_process_and_nothing_runs_twice(fake: FakeOpenAI) -> None:
    command = {"command": "echo run >> runs"}
    fake.script(Calls([("list_files", {}), ("run_shell", command)], text="Let me see."), Answer("done"))

    async with process(fake) as conversation:
        payload = requested(await ask(conversation))
        action = {"name": "run_shell", "args": command, "rule": "run_shell:echo run >> runs"}
        assert payload["action_requests"][0].items() >= action.items()
        assert payload["review_configs"][0]["allowed_decisions"] == ["approve", "edit", "reject"]
    assert not exists("runs")
    async with process(fake) as conversation:
        events = await answer(conversation, {"decisions": [{"type": "approve"}]})
        assert [event.name for event in events if isinstance(event, ToolCallFinished)] == ["list_files", "run_shell"]
        assert isinstance(events[-1], TurnFinished)
        assert events[-1].content == "done"
        assert await (await conversation.session()).pending() == ()
    assert text_of("runs") == "run\n"
    assert len(fake.requests) == 2


async def test_a_refusal_and_an_edit_are_sent_to_the_model(fake: FakeOpenAI) -> None:
    commands = [("run_shell", {"command": "rm -rf /"}), ("run_shell", {"command": "echo wrong"})]
    fake.script(Calls(commands, text="Let me see."), Answer("understood"))
    edit = {"type": "edit", "edited_action": {"name": "run_shell", "args": {"command": "echo right"}}}

    async with process(fake) as conversation:
        assert len(requested(await ask(conversation))["action_requests"]) == 2
        again = requested(await answer(conversation, {"decisions": [{"type": "approve"}]}))
        assert "2 calls" in again["problem"]
        end = (await answer(conversation, {"decisions": [{"type": "reject", "message": "never"}, edit]}))[-1]
        assert isinstance(end, TurnFinished)
        assert end.content == "understood"
    assert fake.requests[1].results == ["The user refused this call: never", "right"]
    assert '"echo right' in str(fake.requests[1].body["messages"][1]["tool_calls"][1]["function"]["arguments"])


async def test_an_approval_holds_once_for_the_thread_or_always(fake: FakeOpenAI) -> None:
    fake.default = lambda request: (
        Answer("done") if request.messages[-1][0] == "tool" else call("run_shell", command="ls")
    )

    async with process(fake) as conversation:
        for decision in ("approve", {"type": "approve", "scope": "thread"}):
            requested(await ask(conversation))
            assert isinstance((await answer(conversation, decision))[-1], TurnFinished)
        assert (await ask(conversation))[-1].content == "done"  # type: ignore[union-attr]
        assert await (await conversation.chat_session()).allowed() == ["run_shell:ls *"]
    async with process(fake) as conversation:
        assert (await ask(conversation))[-1].content == "done"  # type: ignore[union-attr]
    async with process(fake, "other") as conversation:
        requested(await ask(conversation))
        await answer(conversation, [{"type": "approve", "scope": "always"}])
    async with process(fake, "third") as conversation:
        assert (await ask(conversation))[-1].content == "done"  # type: ignore[union-attr]
    assert paths.rules_file().read_text() == "run_shell:ls *\n"


async def test_a_new_question_waits_for_the_answer(fake: FakeOpenAI) -> None:
    fake.script(call("run_shell", command="ls"))

    async with process(fake) as conversation:
        requested(await ask(conversation))
        assert isinstance((await ask(conversation, "something else"))[-1], TurnFailed)


async def test_what_waits_can_be_taken_back(fake: FakeOpenAI) -> None:
    fake.script(call("run_shell", command="ls"), call("run_shell", command="ls"), Answer("fine"))

    async with process(fake) as conversation:
        requested(await ask(conversation))
        session = await conversation.session()
        await session.undo()
        requested(await ask(conversation, "once more"))
        await session.undo()
        end = (await ask(conversation, "something else"))[-1]
    assert isinstance(end, TurnFinished)
    assert end.content == "fine"
    assert fake.requests[-1].messages == [("user", "something else")]


async def test_turns_with_calls_are_summarised_and_trimmed_whole(fake: FakeOpenAI) -> None:
    fake.default = lambda request: Answer("done") if request.messages[-1][0] != "user" else call("list_files")

    async with process(fake) as conversation:
        for number in range(4):
            await ask(conversation, f"question {number}")
        fake.script(Answer("the summary"))
        assert await conversation.compact() == "the summary"
        await ask(conversation, "the last question")
    roles = [role for role, _ in fake.requests[-1].messages]
    assert roles == ["system", *["user", "assistant", "tool", "assistant"] * 2, "user", "assistant", "tool"]


async def test_what_a_foreign_store_lets_run_is_asked_about_all_the_same(fake: FakeOpenAI) -> None:
    """Two calls wait; the store says that one of them was approved already, and shows another command for the other."""
    commands = {"one": "touch one", "two": "touch two"}
    calls = [{"name": "run_shell", "args": {"command": text}, "id": name} for name, text in commands.items()]
    fake.script(Answer("understood"), call("run_shell", command="touch three"), Answer("done"))

    messages = [HumanMessage("go"), AIMessage("", tool_calls=calls)]
    await store_state("work", {"messages": messages, "asked": ["one"], "allowed": ["run_shell:touch *"]})
    async with process(fake) as conversation:
        requested([event async for event in (await conversation.session()).run(Retry())])
    async with forging() as waiting:
        waiting.value["action_requests"][0]["args"] = {"command": "ls"}
    async with process(fake) as conversation:
        [shown] = await (await conversation.session()).pending()
        assert shown.payload["action_requests"][0]["args"] == {"command": "ls"}
        again = requested(await answer(conversation, "approve"))
        assert [action["args"]["command"] for action in again["action_requests"]] == ["touch one"]
        assert len(fake.requests) == 0  # neither has run
        assert isinstance((await answer(conversation, "approve"))[-1], TurnFinished)
        requested(await ask(conversation))
    approved, forged = fake.requests[0].results
    assert "approval" not in approved
    assert "needs the user's approval" in forged
    assert exists("one")
    assert not exists("two")
    assert not exists("three")


async def test_a_rule_for_a_thread_is_in_no_store(fake: FakeOpenAI) -> None:
    fake.default = lambda request: (
        Answer("done") if request.messages[-1][0] == "tool" else call("run_shell", command="ls")
    )

    async with process(fake) as conversation:
        requested(await ask(conversation))
        await answer(conversation, [{"type": "approve", "scope": "thread"}])
        assert await (await conversation.chat_session()).allowed() == ["run_shell:ls *"]
    async with open_store(StoreLocation(Path("threads.db"))) as store:
        newest = await store.checkpointer.aget_tuple({"configurable": {"thread_id": "work"}})
        assert newest is not None
        assert "allowed" not in newest.checkpoint["channel_values"]
    shutil.copy("threads.db", "other.db")
    async with process(fake, store="sqlite:///other.db") as conversation:
        assert await (await conversation.chat_session()).allowed() == []
        requested(await ask(conversation))
    kept = [path for path in (paths.state_dir() / "threads").rglob("*") if path.is_file()]
    assert [path.stat().st_mode & 0o777 for path in kept] == [0o600]


async def test_a_change_is_asked_about_whatever_is_allowed_and_written_as_it_was_shown(fake: FakeOpenAI) -> None:
    write = {"path": "notes.txt", "content": "new\n"}
    write_text("notes.txt", "old\n")
    fake.script(
        call("write_file", **write), Answer("done"), call("write_file", **write | {"content": "3\n"}), Answer("ok")
    )

    async with process(fake) as conversation:
        keep_rule("*")
        payload = requested(await ask(conversation))
        [action] = payload["action_requests"]
        assert action["diff"] == "--- notes.txt\n+++ notes.txt\n@@ -1 +1 @@\n-old\n+new"
        assert payload["review_configs"][0]["scopes"] == []
        assert text_of("notes.txt") == "old\n"
        write_text("notes.txt", "of the user\n")
        again = requested(await answer(conversation, "approve"))
        assert again["problem"] == "what was shown is not what would be done now"
        assert "-of the user" in again["action_requests"][0]["diff"]
        assert text_of("notes.txt") == "of the user\n"
        assert isinstance((await answer(conversation, {"type": "approve", "scope": "always"}))[-1], TurnFinished)
        assert text_of("notes.txt") == "new\n"
        requested(await ask(conversation, "again"))  # the first approval was of one call
        await answer(conversation, "approve")
        assert text_of("notes.txt") == "3\n"
    assert fake.requests[1].results == ["Changed notes.txt."]


async def test_an_edited_change_is_shown_as_a_diff_before_it_is_written(fake: FakeOpenAI) -> None:
    fake.script(call("write_file", path="a.txt", content="of the model\n"), Answer("done"))

    async with process(fake) as conversation:
        requested(await ask(conversation))
        mine = {"name": "write_file", "args": {"path": "b.txt", "content": "of the user\n"}}
        again = requested(await answer(conversation, {"type": "edit", "edited_action": mine}))
        assert again["action_requests"][0]["diff"].endswith("+++ b.txt\n@@ -0,0 +1 @@\n+of the user")
        assert not exists("b.txt")
        assert isinstance((await answer(conversation, "approve"))[-1], TurnFinished)
    assert text_of("b.txt") == "of the user\n"
    assert not exists("a.txt")
    sent = fake.requests[1].body["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert "of the user" in sent


async def test_a_change_that_cannot_be_made_asks_nobody_and_a_file_is_changed_once_by_an_answer(
    fake: FakeOpenAI,
) -> None:
    write_text("a.txt", "one two\n")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("write_file", {"path": ".env", "content": "TOKEN=1"}),
        ("edit_file", {"path": "a.txt", "old_text": "three", "new_text": "3"}),
        ("edit_file", {"path": "a.txt", "old_text": "one", "new_text": "1"}),
        ("edit_file", {"path": "./a.txt", "old_text": "two", "new_text": "2"}),
    ]
    fake.script(Calls(calls), Answer("done"))

    async with process(fake) as conversation:
        payload = requested(await ask(conversation))
        assert [action["args"]["old_text"] for action in payload["action_requests"]] == ["one"]
        await answer(conversation, "approve")
    secret, missing, done, second = fake.requests[1].results
    assert "may hold secrets" in secret
    assert "does not contain old_text" in missing
    assert done == "Changed a.txt."
    assert "another call of this answer changes the same file" in second
    assert text_of("a.txt") == "1 two\n"
    assert not exists(".env")


async def test_a_foreign_store_can_neither_show_another_diff_nor_write_by_undo(fake: FakeOpenAI) -> None:
    """A call waits whose diff was forged; a result claims to have written a file."""
    write_text("a.txt", "mine\n")
    digest = hashlib.sha256(b"mine\n").hexdigest()
    record = {"path": str(Path.cwd() / "a.txt"), "start": 0, "end": 0, "old": "evil\n", "after": digest}
    write = {"path": "a.txt", "content": "evil\n"}
    fake.script(call("write_file", **write), Answer("done"))

    result = [
        HumanMessage("go"),
        AIMessage("", tool_calls=[{"name": "write_file", "args": write, "id": "1"}]),
        ToolMessage("Wrote it.", tool_call_id="1", artifact={"chatcli_changes": [record, record, 5]}),
        AIMessage("done"),
    ]

    async with process(fake) as conversation:
        requested(await ask(conversation))
    async with forging() as waiting:
        waiting.value["action_requests"][0]["diff"] = "--- b.txt\n+++ b.txt\n@@ -1 +1 @@\n-x\n+y"
    async with process(fake) as conversation:
        again = requested(await answer(conversation, "approve"))
        assert "+evil" in again["action_requests"][0]["diff"]
        assert text_of("a.txt") == "mine\n"
        await answer(conversation, "reject")
    await store_state("forged", {"messages": result})
    async with process(fake, "forged") as conversation:
        changes, kept = await (await conversation.session()).written()
        assert (changes, kept) == ([], ["a.txt"])
    assert text_of("a.txt") == "mine\n"


async def test_a_change_that_could_not_be_shown_is_not_made_when_it_becomes_possible(fake: FakeOpenAI) -> None:
    write_text("a.txt", "one\n")
    fake.script(call("edit_file", path="a.txt", old_text="one", new_text="1"), Answer("done"))

    async with process(fake) as conversation:
        requested(await ask(conversation))
        write_text("a.txt", "two\n")
        again = requested(await answer(conversation, "approve"))
        assert "It can't be done now: a.txt does not contain old_text" in again["action_requests"][0]["description"]
        await answer(conversation, "approve")
    assert "does not contain old_text" in fake.requests[1].results[0]
    assert text_of("a.txt") == "two\n"


@pytest.mark.linux
@pytest.mark.skipif(find_strength() == "none", reason="nothing confines commands here")
async def test_a_command_leaves_the_sandbox_only_if_the_user_says_so(fake: FakeOpenAI) -> None:
    command = {"command": "echo x > ../outside"}
    fake.script(*[step for _ in range(2) for step in (Calls([("run_shell", command)]), Answer("done"))])

    async with process(fake) as conversation:
        payload = requested(await ask(conversation))
        assert payload["review_configs"][0]["scopes"] == ["thread", "always", "outside"]
        assert payload["action_requests"][0]["description"].startswith("confined")
        await answer(conversation, "approve")
        assert not exists("../outside")
        assert "[the sandbox refused to write ../outside]" in fake.requests[1].results[0]
        requested(await ask(conversation))
        await answer(conversation, {"type": "approve", "scope": "outside"})
        assert exists("../outside")
