"""`chat acp`, driven by the SDK's own client over pipes."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from acp import RequestError, text_block

from chatcli.tools.sandbox.confinement import find_strength
from tests.attachments.samples import picture
from tests.conftest import KEY, Served
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Calls, Gated, Hang, Reply, Request, Stall, call
from tests.fakes.web import FakeWeb
from tests.serve.editor import FILES, FORMS, Editor, connected
from tests.waiting import WAIT_SECONDS

GRAPHS = Path(__file__).parents[1] / "sample_graphs"
MODEL = ("-m", "openai:gpt-fake")
TOOLS = (*MODEL, "--tools")
ASKING = """
import os, sys
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

PAYLOADS = {
    "text": "Which colour?",
    "list": ["red", "blue"],
    "numbers": [1, 2.5],
    "nested": [{"a": 1}, ["b"]],
    "dict": {"question": "Shall I?", "amounts": [1, 2]},
    "options": {"question": "Which?", "options": [{"label": "Red", "value": "r"}, {"label": "Blue", "value": "b"}]},
    "number": 7,
    "nothing": None,
    "long": {"text": "x" * 3000},
    "reply": {
        "action_requests": [{"name": "ask_bob", "args": {"what": "his name"}}],
        "review_configs": [{"action_name": "ask_bob", "allowed_decisions": ["respond"]}],
    },
    "odd": {"action_requests": "none"},
}

def ask(state):
    print("printed by a node")
    os.write(1, b"written by a node\\n")
    os.system("echo by a child process")
    kind = state["messages"][-1].text
    return {"messages": [AIMessage(f"got {interrupt(PAYLOADS[kind])!r}")]}

graph = StateGraph(MessagesState).add_node(ask).add_edge(START, "ask")
"""


async def test_a_session_is_a_thread(chat: Chat, fake: FakeOpenAI) -> None:
    async with connected(chat, *MODEL) as at:
        session = await at.new()
        done = await at.agent.prompt(session_id=session, prompt=[text_block("hello")])
        assert done.stop_reason == "end_turn"
        assert (done.usage.input_tokens, done.usage.output_tokens, done.usage.total_tokens) == (11, 7, 18)
        assert at.editor.text(session) == "You said: hello"
        kinds = at.editor.kinds(session)
        assert kinds[0] == "available_commands_update"
        assert kinds[-1] == "session_info_update"
        assert "usage_update" not in kinds  # the window of this model is not known
        listed = (await at.agent.list_sessions()).sessions
        assert [(one.session_id, one.title, one.cwd) for one in listed] == [(session, "hello", at.cwd)]
    assert [one["content"] for one in chat.messages(session)] == ["hello", "You said: hello"]
    assert chat("-t", session, "again").stdout == "You said: again\n"

    async with connected(chat, *MODEL) as at:
        await at.load(session)
        assert at.editor.text(session, "user_message_chunk") == "helloagain"
        assert at.editor.text(session) == "You said: helloYou said: again"
        await at.ask(session, "third")
        assert [text for _, text in fake.requests[-1].messages][-3:] == ["again", "You said: again", "third"]


async def test_more_folders_of_a_session_are_used_like_its_own(chat: Chat, fake: FakeOpenAI) -> None:
    shared, other = chat.home.root / "shared", chat.home.root / "other"
    for folder in (shared, other):
        folder.mkdir()
        (folder / "notes.txt").write_text(f"{folder.name}\n")
    link = chat.home.work / "link"
    link.symlink_to(shared)
    fake.script(
        Calls(
            [
                ("read_file", {"path": str(shared / "notes.txt")}),
                ("read_file", {"path": "../shared/notes.txt"}),
                ("read_file", {"path": "link/notes.txt"}),
                ("read_file", {"path": str(other / "notes.txt")}),
                ("list_files", {"path": str(shared)}),
                ("search_files", {"pattern": "sha", "path": str(shared)}),
                ("read_file", {"path": str(shared / ".env")}),
            ]
        ),
        Calls(
            [
                ("edit_file", {"path": str(shared / "edited.txt"), "old_text": "old", "new_text": "better"}),
                ("write_file", {"path": str(other / "notes.txt"), "content": "x"}),
            ]
        ),
        Answer("done"),
    )
    (shared / ".env").write_text("KEY=secret")
    (shared / "edited.txt").write_text("old\n")
    editor = Editor(choose=lambda asked, options: "reject" if ".env" in asked["title"] else "once")

    async with connected(chat, *TOOLS, editor=editor) as at:
        able = (await at.agent.initialize(protocol_version=1)).agent_capabilities.session_capabilities
        assert able.additional_directories is not None
        for wrong in (["shared"], [str(chat.home.root / "none")], [5], "text"):
            with pytest.raises(RequestError, match="additionalDirectories"):
                await at.call("session/new", cwd=at.cwd, mcpServers=[], additionalDirectories=wrong)
        session = await at.new(additional_directories=[str(shared)])
        await at.ask(session, "go")
        assert f"by absolute paths: {shared}" in json.dumps(fake.requests[0].body["tools"])
        *read, refused, listed, searched, secret, edited, unwritten = fake.requests[2].results
        assert read == ["shared\n"] * 3
        assert "outside of the current folder" in refused
        assert listed == "../shared/.env\n../shared/edited.txt\n../shared/notes.txt"
        assert searched == "../shared/notes.txt:1: shared\n"
        assert "refused" in secret
        assert edited == f"Changed {shared / 'edited.txt'}."
        assert "outside of the current folder" in unwritten
        [asked] = [asked for asked, _ in editor.asked if asked["kind"] == "edit"]
        assert asked["content"][0]["path"] == str(shared / "edited.txt")
    assert (shared / "edited.txt").read_text() == "better\n"


@pytest.mark.skipif(find_strength() == "none", reason="nothing confines commands here")
async def test_commands_write_in_the_folders_of_a_session_alone(chat: Chat, fake: FakeOpenAI) -> None:
    shared, other = chat.home.root / "shared", chat.home.root / "other"
    shared.mkdir()
    other.mkdir()
    fake.script(call("run_shell", command=f"touch {shared}/made; touch {other}/made"), Answer("done"))
    editor = Editor(choose=lambda asked, options: "once")

    async with connected(chat, *TOOLS, editor=editor) as at:
        await at.ask(await at.new(additional_directories=[str(shared)]), "go")
    assert (shared / "made").exists()
    assert not (other / "made").exists()


async def test_usage_is_shown_after_a_prompt_and_when_a_session_is_loaded(chat: Chat, fake: FakeOpenAI) -> None:
    options = (*MODEL, "--context-tokens", "5000")

    async with connected(chat, *options) as at:
        session = await at.new()
        await at.ask(session, "hello")
        [usage] = at.editor.of(session, "usage_update")
        assert (usage["size"], usage["used"] > 0) == (5000, True)
        assert "cost" not in usage  # the price of this model is not known

    async with connected(chat, *options) as at:
        await at.load(session)
        await at.editor.until(lambda: bool(at.editor.of(session, "usage_update")))
        assert at.editor.of(session, "usage_update")[0]["size"] == 5000


async def test_prompts_that_arrive_while_one_runs_wait_their_turn(chat: Chat, fake: FakeOpenAI) -> None:
    gate = Event()

    def first(request: Request) -> Answer:
        gate.wait(WAIT_SECONDS)
        return Answer("one")

    fake.script(first, Answer("two"), Answer("three"))

    async with connected(chat, *MODEL) as at:
        session = await at.new()
        running = asyncio.create_task(at.ask(session, "first"))
        await asyncio.to_thread(fake.wait_for_requests, 1)
        waiting = [asyncio.create_task(at.ask(session, text)) for text in ("second", "third")]
        await at.agent.list_sessions()  # answered after the prompts have arrived
        assert len(fake.requests) == 1
        gate.set()
        assert await asyncio.gather(running, *waiting) == ["end_turn"] * 3
        said = ["first", "one", "second", "two", "third"]
        assert [text for _, text in fake.requests[-1].messages] == said


async def test_what_is_said_of_the_agent_is_what_it_can_do(chat: Chat) -> None:
    async with connected(chat, "-m", "openai:gpt-fake") as at:
        said = await at.agent.initialize(protocol_version=1)
        able = said.agent_capabilities
        assert (said.protocol_version, said.agent_info.name) == (1, "chatcli")
        assert able.load_session
        assert (able.prompt_capabilities.image, able.prompt_capabilities.audio) == (True, False)
        assert (able.mcp_capabilities.http, able.mcp_capabilities.sse) == (True, False)
        assert able.session_capabilities.list is not None
        [method] = said.auth_methods
        assert "OPENAI_API_KEY" in method.name
        assert [one.name for one in method.vars] == ["OPENAI_API_KEY"]
        with_terminal = await at.agent.initialize(1, {"auth": {"terminal": True}})
        [_, in_terminal] = with_terminal.auth_methods
        assert (in_terminal.type, in_terminal.args) == ("terminal", ["keys", "set", "openai"])
        with pytest.raises(RequestError, match="OPENAI_API_KEY is not set") as refused:
            await at.new()
        assert refused.value.code == -32000
        assert (refused.value.data or {})["variable"] == "OPENAI_API_KEY"
        with pytest.raises(RequestError) as refused:
            await at.agent.authenticate(method_id=method.id)
        assert refused.value.code == -32000
        chat.home.env["OPENAI_API_KEY"] = "x"
        kept = chat("keys", "set", "openai", input="sk-kept-key-1234\n")
        assert kept.returncode == 0, kept
        await at.agent.authenticate(method_id=method.id)
        assert await at.new()


async def test_in_memory_nothing_is_promised_that_outlives_the_process(chat: Chat, fake: FakeOpenAI) -> None:
    async with connected(chat, *MODEL, "--no-save") as at:
        able = (await at.agent.initialize(protocol_version=1)).agent_capabilities
        assert not able.load_session
        assert able.session_capabilities.list is None
        session = await at.new()
        assert await at.ask(session, "hello") == "end_turn"
        await at.ask(session, "again")
        assert [text for _, text in fake.requests[-1].messages] == ["hello", "You said: hello", "again"]
    assert chat("threads", "list", "--json").json() == []


ANSWERS = {
    "text": ("blue", "'blue'"),
    "list": ("blue", "'blue'"),
    "numbers": ("2.5", "2.5"),
    "nested": ("whatever", "'whatever'"),
    "dict": ("yes", "'yes'"),
    "options": ("Blue", "'b'"),
    "number": ("8", "'8'"),
    "nothing": ("so be it", "'so be it'"),
    "long": ("fine", "'fine'"),
}
CHOICES = {"list": "choice-1", "numbers": "choice-1", "options": "choice-1"}


@pytest.mark.parametrize("way", ["form", "choice", "words"])
async def test_every_interrupt_is_asked_and_answered(chat: Chat, way: str) -> None:
    (chat.home.work / "asking.py").write_text(ASKING)

    def fill(message: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"answer": ANSWERS[kind][0]}

    def choose(call: Mapping[str, Any], options: list[dict[str, Any]]) -> str:
        return "in words" if way == "words" else CHOICES[kind]

    editor = Editor(FORMS if way == "form" else {}, fill=fill, choose=choose)
    kind = ""

    async with connected(chat, "--graph", "asking.py:graph", editor=editor) as at:
        for kind, (answer, got) in ANSWERS.items():
            session = await at.new()
            assert await at.ask(session, kind) == "end_turn"
            if way == "words" or (way == "choice" and kind not in CHOICES):
                assert "Answer with your next message" in editor.text(session)
                assert await at.ask(session, answer) == "end_turn"
            assert editor.text(session).endswith(f"got {got}"), (kind, editor.updates[session])
        assert len(editor.forms) == (len(ANSWERS) if way == "form" else 0)


@pytest.mark.parametrize("able", [FORMS, {}])
async def test_a_request_that_takes_a_reply_alone_gets_one(chat: Chat, able: Mapping[str, Any]) -> None:
    (chat.home.work / "asking.py").write_text(ASKING)
    editor = Editor(able, fill=lambda message, schema: None)

    async with connected(chat, "--graph", "asking.py:graph", editor=editor) as at:
        session = await at.new()
        await at.ask(session, "reply")
        assert "respond TEXT" in editor.text(session)
        await at.ask(session, "Bob, of course")
        assert "is no decision here" in editor.text(session)
        await at.ask(session, "respond Bob")
        assert editor.text(session).endswith("got {'decisions': [{'type': 'respond', 'message': 'Bob'}]}")
        other = await at.new()
        await at.ask(other, "odd")
        await at.ask(other, "fine")
        assert editor.text(other).endswith("got 'fine'")


async def test_a_waiting_thread_is_shown_when_it_is_opened_and_the_next_prompt_answers(chat: Chat) -> None:
    (chat.home.work / "asking.py").write_text(ASKING)
    assert "Which colour?" in chat("--graph", "asking.py:graph", "-t", "t", "text").stderr

    async with connected(chat) as at:
        await at.agent.resume_session(cwd=at.cwd, session_id="t", mcp_servers=[])
        await at.editor.until(lambda: "Which colour?" in at.editor.text("t"))
        assert await at.ask("t", "green") == "end_turn"
        assert at.editor.text("t").endswith("got 'green'")


async def test_a_form_that_is_declined_is_answered_in_words(chat: Chat) -> None:
    (chat.home.work / "asking.py").write_text(ASKING)
    editor = Editor(FORMS)

    async with connected(chat, "--graph", "asking.py:graph", editor=editor) as at:
        session = await at.new()
        await at.ask(session, "list")
        assert (len(editor.forms), editor.asked) == (1, [])
        await at.ask(session, "Blue")
        assert editor.text(session).endswith("got 'blue'")


async def test_two_questions_at_once_are_answered_one_after_the_other(chat: Chat) -> None:
    async with connected(chat, "--graph", f"{GRAPHS / 'small.py'}:two_questions") as at:
        session = await at.new()
        for text in ("go", "one", "two"):
            assert await at.ask(session, text) == "end_turn"
        said = at.editor.text(session)
        assert "first: one" in said
        assert "second: two" in said


async def test_a_graphs_own_review_is_a_permission_request(chat: Chat) -> None:
    editor = Editor(choose=lambda call, options: options[-1]["optionId"])

    async with connected(chat, "--graph", f"{GRAPHS / 'small.py'}:reviewing", editor=editor) as at:
        session = await at.new()
        await at.ask(session, "go")
        [(asked, options)] = editor.asked
        assert asked["rawInput"] == {"what": "a cat"}
        assert [option["kind"] for option in options] == ["allow_once", "reject_once"]
        assert "Weighing is costly." in json.dumps(asked["content"])
        assert editor.text(session).endswith("Decided: {'decisions': [{'type': 'reject'}]}")


async def test_calls_are_allowed_once_or_in_the_thread_or_rejected(chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = lambda request: call("run_shell", command="touch a b") if request.last == "go" else Answer("done")
    choices = iter(["reject", "once", "thread", "reject"])
    editor = Editor(choose=lambda asked, options: next(choices))
    made = chat.home.work / "a"

    async with connected(chat, *TOOLS, editor=editor) as at:
        session = await at.new()
        assert await at.ask(session, "go") == "end_turn"
        assert not made.exists()
        [update] = editor.of(session, "tool_call_update")
        assert update["status"] == "failed"
        assert "refused" in json.dumps(update)
        for asked_in_all in (2, 3, 3):
            await at.ask(session, "go")
            assert made.exists()
            made.unlink()
            assert len(editor.asked) == asked_in_all
        statuses = [update["status"] for update in editor.of(session, "tool_call_update")]
        assert statuses == ["failed", *["in_progress", "completed"] * 3]
        await at.ask(await at.new(), "go")
        assert len(editor.asked) == 4  # the rule is the thread's
    start, *_ = editor.of(session, "tool_call")
    assert {begun["status"] for begun in editor.of(session, "tool_call")} == {"pending"}
    assert (start["title"], start["kind"]) == ("touch a b", "execute")
    asked, options = editor.asked[0]
    assert asked["toolCallId"] == start["toolCallId"]
    # Editors bind keys to kinds: each has one.
    kinds = [option["kind"] for option in options if option["optionId"] != "ask outside"]
    assert kinds == ["allow_once", "allow_always", "reject_once"]
    assert options[1]["name"] == "Allow in this thread: run_shell:touch a b"
    assert not (Path(chat.home.env["XDG_CONFIG_HOME"]) / "chatcli" / "allowed.txt").exists()


@pytest.mark.skipif(find_strength() == "none", reason="nothing confines commands here")
@pytest.mark.parametrize("leaves", [True, False])
async def test_a_command_runs_once_outside_of_the_sandbox_after_a_second_question(
    chat: Chat, fake: FakeOpenAI, leaves: bool
) -> None:
    made = chat.home.root / "made"
    fake.script(call("run_shell", command=f"touch {made}"), Answer("done"))
    answers = iter(["ask outside", "outside" if leaves else "reject"])
    editor = Editor(choose=lambda asked, options: next(answers))

    async with connected(chat, *TOOLS, editor=editor) as at:
        session = await at.new()
        assert await at.ask(session, "go") == "end_turn"
        (first, offered), (second, options) = editor.asked
        assert len({option["kind"] for option in offered}) == len(offered) == 4
        assert [option["kind"] for option in options] == ["allow_once", "reject_once"]
        assert second["toolCallId"] == first["toolCallId"]
        assert "all that you can" in json.dumps(second["content"])
        assert made.exists() is leaves


async def test_in_the_mode_yes_calls_run_unasked(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(call("run_shell", command="touch a"), Answer("done"))

    async with connected(chat, *TOOLS) as at:
        opened = await at.agent.new_session(cwd=at.cwd, mcp_servers=[])
        assert opened.modes.current_mode_id == "ask"
        await at.agent.set_session_mode(session_id=opened.session_id, mode_id="yes")
        await at.ask(opened.session_id, "go")
        assert (chat.home.work / "a").exists()
        assert not at.editor.asked
        assert at.editor.of(opened.session_id, "config_option_update")[0]["configOptions"][0]["currentValue"] == "yes"
        await at.agent.set_config_option(session_id=opened.session_id, config_id="mode", value="ask")
        assert at.editor.of(opened.session_id, "current_mode_update")[0]["currentModeId"] == "ask"
        with pytest.raises(RequestError, match="there is no mode"):
            await at.agent.set_session_mode(session_id=opened.session_id, mode_id="none")


CHANGES = {
    "write": call("write_file", path="made", content="x"),
    "guide": call("write_file", path="AGENTS.md", content="x"),
    "command": call("run_shell", command="touch made"),
    "network": call("run_shell", command="touch made", access="network"),
}


@pytest.mark.parametrize(
    ("mode", "made", "asks"),
    [
        ("edit", "write", False),
        ("edit", "guide", True),
        ("edit", "command", True),
        ("auto", "write", False),
        ("auto", "guide", True),
        pytest.param(
            *("auto", "command", False), marks=pytest.mark.skipif(find_strength() != "full", reason="not confined")
        ),
        ("auto", "network", True),
        ("ask", "write", True),
    ],
)
async def test_modes_say_which_calls_ask(chat: Chat, fake: FakeOpenAI, mode: str, made: str, *, asks: bool) -> None:
    fake.script(CHANGES[made], Answer("done"))
    editor = Editor(choose=lambda asked, options: "reject")

    async with connected(chat, *TOOLS, editor=editor) as at:
        session = await at.new()
        await at.agent.set_session_mode(session_id=session, mode_id=mode)
        assert await at.ask(session, "go") == "end_turn"
        assert bool(editor.asked) is asks
        assert (chat.home.work / "made").exists() is not asks


async def test_in_the_mode_plan_only_tools_that_read_are_there(chat: Chat, fake: FakeOpenAI) -> None:
    editor = Editor(choose=lambda asked, options: "once")

    def plans(request: Request) -> Calls:
        gate.wait(WAIT_SECONDS)
        return call("write_file", path="made", content="x")

    gate = Event()
    fake.script(Answer("read"), plans, Answer("done"))

    async with connected(chat, *TOOLS, "--yes", editor=editor) as at:
        opened = await at.agent.new_session(cwd=at.cwd, mcp_servers=[])
        session = opened.session_id
        assert opened.modes.current_mode_id == "yes"
        await at.agent.set_session_mode(session_id=session, mode_id="plan")
        await at.ask(session, "go")
        assert set(fake.requests[-1].tools) == {"read_file", "list_files", "search_files", "fetch_url"}
        # A call that the model could make before the mode was chosen is refused, too.
        await at.agent.set_session_mode(session_id=session, mode_id="yes")
        running = asyncio.create_task(at.ask(session, "go on"))
        await asyncio.to_thread(fake.wait_for_requests, 2)
        assert "write_file" in fake.requests[-1].tools
        await at.agent.set_session_mode(session_id=session, mode_id="plan")
        gate.set()
        assert await running == "end_turn"
        assert "only tools that read" in fake.requests[-1].results[0]
        assert not editor.asked
        assert not (chat.home.work / "made").exists()


async def test_the_option_auto_is_the_first_mode(chat: Chat, fake: FakeOpenAI) -> None:
    async with connected(chat, *TOOLS, "--auto") as at:
        opened = await at.agent.new_session(cwd=at.cwd, mcp_servers=[])
        assert opened.modes.current_mode_id == "auto"
        assert [mode.id for mode in opened.modes.available_modes] == ["plan", "ask", "edit", "auto", "yes"]


async def test_the_mode_ask_holds_in_the_prompt_that_runs(chat: Chat, fake: FakeOpenAI) -> None:
    editor = Editor(choose=lambda asked, options: "reject")
    gate = Event()

    def calls_later(request: Request) -> Calls:
        gate.wait(WAIT_SECONDS)
        return call("run_shell", command="touch made")

    fake.script(calls_later, Answer("not done"))

    async with connected(chat, *TOOLS, editor=editor) as at:
        session = await at.new()
        await at.agent.set_session_mode(session_id=session, mode_id="yes")
        running = asyncio.create_task(at.ask(session, "go"))
        await asyncio.to_thread(fake.wait_for_requests, 1)
        await at.agent.set_session_mode(session_id=session, mode_id="ask")
        gate.set()
        assert await running == "end_turn"
        assert len(editor.asked) == 1
        assert not (chat.home.work / "made").exists()


async def test_a_file_is_changed_as_it_stands_in_the_editor(chat: Chat, fake: FakeOpenAI) -> None:
    file = chat.home.work / "notes.txt"
    file.write_text("saved\n")
    fake.script(
        call("read_file", path="notes.txt"),
        call("edit_file", path="notes.txt", old_text="unsaved", new_text="better"),
        Answer("done"),
    )
    editor = Editor(FILES, choose=lambda asked, options: "once", buffers={str(file): "unsaved\n"})

    async with connected(chat, *TOOLS, editor=editor) as at:
        session = await at.new()
        assert await at.ask(session, "go") == "end_turn"
        assert fake.requests[1].results == ["unsaved\n"]
        [(asked, options)] = editor.asked
        change = {"type": "diff", "path": str(file), "oldText": "unsaved\n", "newText": "better\n"}
        assert asked["content"] == [change]
        assert asked["locations"] == [{"path": str(file)}]
        assert [option["optionId"] for option in options] == ["once", "reject"]
        read, edit = editor.of(session, "tool_call")
        assert (read["kind"], edit["kind"]) == ("read", "edit")
        assert edit["content"] == [change]
        assert editor.buffers[str(file)] == "better\n"
        assert file.read_text() == "saved\n"  # the editor saves


@pytest.mark.parametrize(("options", "reads"), [((), 2), (("--yes",), 1)])
async def test_the_editor_is_asked_for_a_file_once_to_show_its_change_and_once_after_the_answer(
    chat: Chat, fake: FakeOpenAI, options: tuple[str, ...], reads: int
) -> None:
    file = chat.home.work / "notes.txt"
    fake.script(call("write_file", path="notes.txt", content="mine\n"), Answer("done"))
    editor = Editor(FILES, choose=lambda asked, options: "once", buffers={str(file): "old\n"})

    async with connected(chat, *TOOLS, *options, editor=editor) as at:
        session = await at.new()
        await at.ask(session, "go")
        assert editor.buffers[str(file)] == "mine\n"
        assert editor.reads == [str(file)] * reads
        assert fake.requests[1].results == ["Changed notes.txt."]


async def test_a_file_that_an_editor_calls_empty_but_does_not_exist_is_new(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(call("write_file", path="new.txt", content="mine\n"), Answer("done"))
    editor = Editor(FILES, choose=lambda asked, options: "once", missing="")

    async with connected(chat, *TOOLS, editor=editor) as at:
        await at.ask(await at.new(), "go")
        assert fake.requests[1].results == ["Wrote new.txt."]
        [(asked, _)] = editor.asked
        assert "oldText" not in asked["content"][0]


async def test_a_change_of_a_buffer_that_has_changed_is_shown_again(chat: Chat, fake: FakeOpenAI) -> None:
    file = chat.home.work / "notes.txt"
    fake.script(call("write_file", path="notes.txt", content="mine\n"), Answer("done"))
    editor = Editor(FILES, buffers={str(file): "old\n"})

    def choose(asked: Mapping[str, Any], options: list[dict[str, Any]]) -> str:
        editor.buffers[str(file)] = "typed meanwhile\n"
        return "once"

    editor.choose = choose
    file.write_text("old\n")

    async with connected(chat, *TOOLS, editor=editor) as at:
        await at.ask(await at.new(), "go")
        assert [asked["content"][0]["oldText"] for asked, _ in editor.asked] == ["old\n", "typed meanwhile\n"]
        assert editor.buffers[str(file)] == "mine\n"


async def test_commands_run_in_the_editors_terminals(chat: Chat, fake: FakeOpenAI) -> None:
    chat.home.env["SOME_TOKEN"] = "hidden"
    fake.script(call("run_shell", command="make all"), Answer("done"), call("run_shell", command="forever"))
    editor = Editor({"terminal": True}, choose=lambda asked, options: "once")

    async with connected(chat, *TOOLS, editor=editor) as at:
        session = await at.new()
        await at.ask(session, "go")
        [given] = editor.terminals
        assert given["args"][-2:] == ["-c", "make all"]  # what is before it confines it
        assert given["cwd"] == at.cwd
        assert {"name": "SOME_TOKEN", "value": ""} in [one.model_dump(exclude_none=True) for one in given["env"]]
        assert fake.requests[1].results == ["shown in the editor"]
        contents = [one["content"] for one in editor.of(session, "tool_call_update") if "content" in one]
        assert contents == [[{"type": "terminal", "terminalId": "terminal-1"}]]
        assert editor.ended == [("release", "terminal-1")]
        editor.changed.clear()
        asking = asyncio.create_task(at.ask(session, "again"))
        await editor.until(lambda: len(editor.terminals) == 2)
        await editor.changed.wait()
        await at.agent.cancel(session_id=session)
        assert await asking == "cancelled"
        assert editor.ended[1:] == [("kill", "terminal-2"), ("release", "terminal-2")]


async def test_cancelling_keeps_what_had_arrived(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(Stall("The beginning"))

    async with connected(chat, *MODEL) as at:
        session = await at.new()
        asking = asyncio.create_task(at.ask(session, "go"))
        await at.editor.until(lambda: "The beginning" in at.editor.text(session))
        await at.agent.cancel(session_id=session)
        assert await asking == "cancelled"
        assert await at.ask(session, "more") == "end_turn"
    kept = [(one["content"], one["interrupted"]) for one in chat.messages(session)]
    assert kept[:2] == [("go", False), ("The beginning", True)]


def statuses(editor: Editor, session: str) -> list[str]:
    """The last status of each tool call that the editor shows."""
    found: dict[str, str] = {}
    for update in editor.updates[session]:
        if "toolCallId" in update and "status" in update:
            found[update["toolCallId"]] = update["status"]
    return list(found.values())


REFUSED = "The user refused this call."
TWO_CALLS = Calls([("run_shell", {"command": "touch a"}), ("run_shell", {"command": "touch b"})])


@pytest.mark.parametrize("how", ["turn", "dialog", "both"])
@pytest.mark.parametrize("calls", [call("run_shell", command="touch a"), TWO_CALLS], ids=["one", "two"])
async def test_a_cancelled_permission_is_a_no_and_the_next_message_is_sent(
    chat: Chat, fake: FakeOpenAI, how: str, calls: Calls
) -> None:
    fake.script(calls, Answer("hello"))
    editor = Editor(choose=lambda asked, options: None if how == "dialog" else "never")

    async with connected(chat, *TOOLS, editor=editor) as at:
        session = await at.new()
        asking = asyncio.create_task(at.ask(session, "go"))
        await editor.until(lambda: len(editor.asked) == 1)
        if how != "dialog":
            await at.agent.cancel(session_id=session)
        assert await asking == "cancelled"
        told = [one["content"] for one in chat.messages(session) if one["role"] == "tool"]
        assert len(told) == len(statuses(editor, session))
        assert all(REFUSED in text for text in told)
        assert await at.ask(session, "approve or not, say hello") == "end_turn"
    assert len(editor.asked) == 1
    assert not (chat.home.work / "a").exists()
    assert editor.text(session) == "hello"
    assert set(statuses(editor, session)) == {"failed"}
    assert fake.requests[1].last == "approve or not, say hello"
    assert set(fake.requests[1].results) == {REFUSED}


async def test_a_call_that_is_decided_on_and_cancelled_at_once_is_not_asked_about_again(
    chat: Chat, fake: FakeOpenAI
) -> None:
    """As agent-shell in Emacs does it with each call that the user rejects."""

    def play(request: Request) -> Reply:
        if request.last == "say hello":
            return Answer("hello")
        return call("run_shell", command="touch a") if request.last == "call" else Hang()

    editor, fake.default = Editor(), play
    cancelling: list[asyncio.Task[None]] = []
    async with connected(chat, *TOOLS, editor=editor) as at:
        session = await at.new()

        def choose(asked: object, options: object) -> str:
            cancelling.append(asyncio.create_task(at.agent.cancel(session_id=session)))
            return "reject"

        editor.choose = choose
        for count in range(1, 6):
            assert await at.ask(session, "call") == "cancelled"
            assert await at.ask(session, "say hello") == "end_turn"
            assert len(editor.asked) == count
            assert REFUSED in fake.requests[-1].results


@pytest.mark.parametrize("stopped", [False, True])
async def test_a_message_outlives_the_old_call_that_is_cancelled_before_it(
    chat: Chat, fake: FakeOpenAI, *, stopped: bool
) -> None:
    """The call was left open by a session that ended."""
    fake.script(call("run_shell", command="touch a"), Answer("done"))
    editor = Editor(choose=lambda asked, options: "never")

    async with connected(chat, *TOOLS, editor=editor) as at:
        session = await at.new()
        asking = asyncio.create_task(at.ask(session, "go"))
        await editor.until(lambda: len(editor.asked) == 1)
        await at.call("session/close", sessionId=session)
        assert await asking == "cancelled"
    again = Editor(choose=lambda asked, options: "never" if stopped else None)

    async with connected(chat, *TOOLS, editor=again) as at:
        await at.load(session)
        asking = asyncio.create_task(at.ask(session, "a new message"))
        await again.until(lambda: len(again.asked) == 1)
        if stopped:
            await at.agent.cancel(session_id=session)
        assert await asking == ("cancelled" if stopped else "end_turn")
    said = [(one["role"], one["content"]) for one in chat.messages(session)]
    assert ("user", "a new message") in said
    assert sum(REFUSED in text for role, text in said if role == "tool") == 1
    assert (said[-1] == ("assistant", "done")) is not stopped
    assert not (chat.home.work / "a").exists()


@pytest.mark.parametrize("call_id", ["", "call_0"])
async def test_the_terminal_of_a_repeated_command_belongs_to_the_call_that_is_shown(
    chat: Chat, fake: FakeOpenAI, call_id: str
) -> None:
    """A model may repeat a command, also side by side, and a server may give all its calls one ID."""
    one = Calls([("run_shell", {"command": "make all"})], call_id=call_id)
    first = one if call_id else Calls([*one.calls, *one.calls])
    fake.script(first, one, Answer("done"), one, Answer("again"))
    editor = Editor({"terminal": True}, choose=lambda asked, options: "once")

    async with connected(chat, *TOOLS, editor=editor) as at:
        session = await at.new()
        await at.ask(session, "go")
        await at.ask(session, "once more")
    count = 3 if call_id else 4
    starts = [one["toolCallId"] for one in editor.of(session, "tool_call")]
    assert len(set(starts)) == len(starts) == count
    contents = [one for one in editor.of(session, "tool_call_update") if "content" in one]
    assert sorted(one["toolCallId"] for one in contents) == sorted(starts)
    assert {one["content"][0]["terminalId"] for one in contents} == {f"terminal-{n}" for n in range(1, count + 1)}
    assert [asked["toolCallId"] for asked, _ in editor.asked] == starts
    assert set(statuses(editor, session)) == {"completed"}


async def test_a_call_that_is_asked_about_again_has_its_terminal_where_it_is_shown(
    chat: Chat, fake: FakeOpenAI
) -> None:
    fake.script(call("run_shell", command="make all"), Answer("done"))
    editor = Editor({"terminal": True}, choose=lambda asked, options: "never" if len(editor.asked) == 1 else "once")

    async with connected(chat, *TOOLS, editor=editor) as at:
        session = await at.new()
        asking = asyncio.create_task(at.ask(session, "go"))
        await editor.until(lambda: len(editor.asked) == 1)
        await at.call("session/close", sessionId=session)
        await asking
        editor.updates.clear()
        await at.call("session/resume", sessionId=session, cwd=at.cwd, mcpServers=[])
        await at.ask(session, "approve")
    [start] = [one["toolCallId"] for one in editor.of(session, "tool_call")]
    [shown] = [one["toolCallId"] for one in editor.of(session, "tool_call_update") if "content" in one]
    assert shown == start


async def test_ten_sessions_at_once_each_in_its_folder(chat: Chat, fake: FakeOpenAI) -> None:
    gate = Event()
    fake.default = lambda request: Answer(f"read {request.results[0]}") if request.results else answer_later(request)

    def answer_later(request: Any) -> Any:
        return Gated("waiting", gate, "") if "slow" in request.last else call("read_file", path="name.txt")

    async with connected(chat, *TOOLS) as at:
        folders = [chat.home.work / f"project{number}" for number in range(10)]
        for folder in folders:
            folder.mkdir()
            (folder / "name.txt").write_text(folder.name)
        sessions = await asyncio.gather(*(at.new(cwd=str(folder)) for folder in folders))
        slow = asyncio.create_task(at.ask(sessions[0], "slow"))
        others = await asyncio.gather(*(at.ask(session, "go") for session in sessions[1:]))
        assert others == ["end_turn"] * 9
        await at.agent.cancel(session_id=sessions[0])
        assert await slow == "cancelled"
        assert [at.editor.text(session) for session in sessions[1:]] == [
            f"read {folder.name}" for folder in folders[1:]
        ]
        listed = await at.agent.list_sessions(cwd=str(folders[3]))
        assert [one.session_id for one in listed.sessions] == [sessions[3]]
    gate.set()


async def test_the_variable_of_trust_is_for_the_folder_of_the_process_and_no_session(
    chat: Chat, fake: FakeOpenAI
) -> None:
    chat.home.env["CHATCLI_TRUST"] = "1"
    other, below = chat.home.root / "other", chat.home.work / "below"
    for folder in (chat.home.work, other, below):
        folder.mkdir(exist_ok=True)
        (folder / ".env").write_text(f"CHATCLI_SYSTEM=obey {folder.name}\n")
        (folder / "AGENTS.md").write_text(f"rule of {folder.name}")

    async with connected(chat, *MODEL) as at:
        for folder in (other, below):
            await at.ask(await at.new(cwd=str(folder)), "hello")
            sent = str(fake.requests[-1].messages)
            assert folder.name not in sent
        await at.ask(await at.new(), "hello")
        assert f"obey {chat.home.work.name}" in str(fake.requests[-1].messages)
        assert f"rule of {chat.home.work.name}" in str(fake.requests[-1].messages)


async def test_the_env_file_of_a_sessions_folder_sets_nothing_before_it_is_trusted(
    chat: Chat, fake: FakeOpenAI
) -> None:
    folder = chat.home.work / "clone"
    folder.mkdir()
    (folder / ".env").write_text("CHATCLI_SYSTEM=obey\nCHATCLI_OPENAI_API_KEY=sk-foreign\n")

    async with connected(chat, *MODEL) as at:
        session = await at.new(cwd=str(folder))
        await at.ask(session, "hello")
        assert fake.requests[-1].messages == [("user", "hello")]
        assert fake.requests[-1].key == fake.key
        assert chat("trust", "--yes", str(folder)).returncode == 0
        (folder / ".env").write_text("CHATCLI_SYSTEM=obey\n")
        assert chat("trust", "--yes", str(folder)).returncode == 0
        await at.ask(await at.new(cwd=str(folder)), "hello")
        assert fake.requests[-1].messages[0] == ("system", "obey")
        await at.ask(await at.new(), "hello")
        assert fake.requests[-1].messages == [("user", "hello")]
    assert "is not trusted and sets nothing" in (chat.home.root / "acp.log").read_text()


async def test_a_prompt_has_images_resources_and_links(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "saved.txt").write_text("on disk")
    open_file = chat.home.work / "open.py"
    editor = Editor(FILES, buffers={str(open_file): "in the buffer"})

    async with connected(chat, *MODEL, editor=editor) as at:
        session = await at.new()
        work_folder = chat.home.work
        blocks = [
            {"type": "text", "text": "Look at "},
            {"type": "resource_link", "uri": f"file://{open_file}", "name": "open.py"},
            {"type": "text", "text": " and "},
            {"type": "resource_link", "uri": f"file://{work_folder}/saved.txt", "name": "saved.txt"},
            {"type": "resource_link", "uri": f"file://{work_folder}/missing.txt", "name": "missing.txt"},
            {"type": "resource", "resource": {"uri": "zed:///selection", "text": "embedded"}},
            {"type": "image", "data": base64.b64encode(picture()).decode(), "mimeType": "image/png"},
        ]
        await at.call("session/prompt", sessionId=session, prompt=blocks)
        content = fake.requests[-1].body["messages"][-1]["content"]
        text = content[0]["text"]
        assert text.startswith("Look at open.py and saved.txtmissing.txtzed:///selection")
        for part in ('name="open.py">\nin the buffer', "on disk", "embedded"):
            assert part in text
        assert content[1]["image_url"]["url"].startswith("data:image/png;base64,")
        assert "missing.txt" in editor.text(session, "agent_thought_chunk")
        with pytest.raises(RequestError, match="audio"):
            await at.call("session/prompt", sessionId=session, prompt=[{"type": "audio", "data": "", "mimeType": ""}])


async def test_a_cancelled_prompt_waits_for_no_page(chat: Chat, fake: FakeOpenAI) -> None:
    with FakeWeb() as web:
        async with connected(chat, *MODEL) as at:
            session = await at.new()
            blocks = [{"type": "resource_link", "uri": f"{web.url}/slow", "name": "slow"}]
            asking = asyncio.create_task(at.call("session/prompt", sessionId=session, prompt=blocks))
            assert await asyncio.to_thread(web.dripping.wait, WAIT_SECONDS)
            await at.agent.cancel(session_id=session)
            assert (await asking)["stopReason"] == "cancelled"
        assert web.dripped == []
    assert fake.requests == []


async def test_each_text_of_a_prompt_is_a_paragraph(chat: Chat, fake: FakeOpenAI) -> None:
    async with connected(chat, *MODEL) as at:
        blocks = [text_block("Tell me a story."), text_block("And now?")]
        await at.agent.prompt(session_id=await at.new(), prompt=blocks)
        assert fake.requests[-1].last == "Tell me a story.\n\nAnd now?"


async def test_the_editors_mcp_servers_are_connected(chat: Chat, fake: FakeOpenAI) -> None:
    server = str(Path(__file__).parents[1] / "fakes" / "mcp_server.py")
    notes = chat.home.root / "notes"
    notes.mkdir()
    fake.script(call("add", a=2, b=3), Answer("5"))

    async with connected(chat, *MODEL) as at:
        env = [{"name": "MCP_NOTES", "value": str(notes)}]
        given = {"name": "sums", "command": sys.executable, "args": [server], "env": env}
        opened = await at.call("session/new", cwd=at.cwd, mcpServers=[given])
        assert opened["modes"]["currentModeId"] == "ask"
        await at.ask(opened["sessionId"], "go")
        assert fake.requests[1].results == ["5"]
        pid = int((notes / "pid").read_text().split()[0])
        os.kill(pid, 0)
        await at.call("session/close", sessionId=opened["sessionId"])
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_the_editors_mcp_servers_are_reached_over_http(chat: Chat, fake: FakeOpenAI, served: Served) -> None:
    url, process, notes = served()
    editor = Editor(choose=lambda asked, options: "once")
    two = Calls([("add", {"a": 2, "b": 3}), ("sums_remember", {"text": "tea"})])
    fake.script(two, Answer("5"), call("add", a=1, b=1), Answer("it is gone"))

    async with connected(chat, *MODEL, editor=editor) as at:
        header = {"name": "Authorization", "value": "Bearer ${HOME}"}
        given = {"type": "http", "name": "sums", "url": url, "headers": [header]}
        gone = {**given, "name": "gone", "url": "http://127.0.0.1:9/mcp"}
        opened = await at.call("session/new", cwd=at.cwd, mcpServers=[given, gone])
        session = opened["sessionId"]
        await at.ask(session, "go")
        assert fake.requests[1].results == ["5", "remembered: tea"]
        assert [asked["title"] for asked, _ in editor.asked] == ['sums_remember(text="tea")']
        assert "the MCP server gone is left out" in editor.text(session, "agent_thought_chunk")
        assert "b'Bearer ${HOME}'" in (notes / "headers").read_text(), "an editor's values are literal"

        process.kill()
        assert await at.ask(session, "again") == "end_turn"
        assert "the connection to the server failed" in fake.requests[3].results[-1]
        with pytest.raises(RequestError, match="transport"):
            await at.call("session/new", cwd=at.cwd, mcpServers=[{**given, "type": "carrier pigeon"}])


async def test_sessions_are_forked_deleted_and_closed(chat: Chat, fake: FakeOpenAI) -> None:
    async with connected(chat, *MODEL) as at:
        session = await at.new()
        await at.ask(session, "one")
        copy = (await at.agent.fork_session(session_id=session, cwd=at.cwd)).session_id
        assert copy != session
        await at.ask(copy, "two")
        assert len(fake.requests[-1].messages) == 3
        empty = (await at.agent.fork_session(session_id=await at.new(), cwd=at.cwd)).session_id
        assert await at.ask(empty, "alone") == "end_turn"
        for _ in range(2):  # deleting again is no error
            assert await at.call("session/delete", sessionId=session) == {}
        assert session not in [one.session_id for one in (await at.agent.list_sessions()).sessions]
        for gone in (session, "never"):
            for method in ("session/prompt", "session/close", "session/fork", "session/load"):
                with pytest.raises(RequestError) as refused:
                    await at.call(method, sessionId=gone, cwd=at.cwd, mcpServers=[], prompt=[])
                assert refused.value.code == -32002


async def test_sessions_are_listed_in_pages(chat: Chat, fake: FakeOpenAI) -> None:
    names = [f"t{number}" for number in range(52)]
    assert chat(*MODEL, "-t", "t0", "-q", "hi").returncode == 0
    exported = chat("threads", "export", "t0", "--format", "jsonl").stdout
    copies = "".join(exported.replace('"t0"', f'"{name}"') for name in names[1:])
    (chat.home.work / "copies.jsonl").write_text(copies)
    imported = chat("threads", "import", "copies.jsonl")
    assert imported.returncode == 0, imported

    async with connected(chat, *MODEL) as at:
        first = await at.agent.list_sessions()
        assert (len(first.sessions), first.next_cursor) == (50, "50")
        second = await at.agent.list_sessions(cursor=first.next_cursor, cwd=at.cwd)
        assert second.next_cursor is None
        assert {one.session_id for one in [*first.sessions, *second.sessions]} == set(names)
        assert {one.cwd for one in second.sessions} == {at.cwd}
        for bad in ("x", "-1", "²", "9" * 30):
            with pytest.raises(RequestError, match="cursor"):
                await at.agent.list_sessions(cursor=bad)


async def test_slash_commands_and_the_model(chat: Chat, fake: FakeOpenAI) -> None:
    async with connected(chat, *MODEL) as at:
        opened = await at.agent.new_session(cwd=at.cwd, mcp_servers=[])
        session = opened.session_id
        [option] = opened.config_options
        assert (option.id, option.category, option.current_value) == ("model", "model", "openai:gpt-fake")
        await at.ask(session, "one")
        offered = at.editor.of(session, "available_commands_update")[0]["availableCommands"]
        names = {command["name"] for command in offered}
        assert {"undo", "retry", "model", "role", "compact"} <= names
        assert not {"exit", "clear", "thread", "delete", "editor"} & names
        await at.ask(session, "/undo")
        await at.ask(session, "/etc/hosts, what is that?")
        assert fake.requests[-1].messages == [("user", "/etc/hosts, what is that?")]
        await at.ask(session, "/model gpt-fake-mini")
        assert at.editor.of(session, "config_option_update")[-1]["configOptions"][0]["currentValue"] == (
            "openai:gpt-fake-mini"
        )
        changed = await at.agent.set_config_option(session_id=session, config_id="model", value="openai:gpt-fake")
        assert changed.config_options[0].current_value == "openai:gpt-fake"
        await at.ask(session, "two")
        assert fake.requests[-1].body["model"] == "gpt-fake"

        folder = chat.home.work / "project"
        folder.mkdir()
        (folder / "notes.md").write_text("# Notes\n\nThe harbour opens at nine.\n")
        other = await at.new(cwd=str(folder))
        await at.ask(other, "/docs add notes.md")
        await at.ask(other, "When does the harbour open?")
        assert "The harbour opens at nine." in fake.requests[-1].last
        [search] = at.editor.of(other, "tool_call")
        assert search["locations"] == [{"path": str(folder / "notes.md"), "line": 1}]


@pytest.mark.parametrize("chosen", ["yes", "no", "in words", None])
async def test_undo_asks_whether_to_change_the_files_back(chat: Chat, fake: FakeOpenAI, chosen: str | None) -> None:
    file = chat.home.work / "notes.txt"
    file.write_text("old\n")
    fake.script(call("write_file", path="notes.txt", content="mine\n"), Answer("done"))
    question = "Change these files back, too?"
    editor = Editor(choose=lambda asked, options: chosen if asked["title"] == question else "once")
    async with connected(chat, *TOOLS, editor=editor) as at:
        session = await at.new()
        await at.ask(session, "go")
        assert file.read_text() == "mine\n"
        assert await at.ask(session, "/undo") == ("cancelled" if chosen is None else "end_turn")
        assert "```diff\n" in editor.text(session)
        undone = chosen in ("yes", "no")
        assert ("The thread is now at another turn" in editor.text(session)) == undone
        if chosen == "in words":
            assert f"{question} Send `/undo 1 files` for yes." in editor.text(session)
            assert await at.ask(session, "/undo 1 files") == "end_turn"
        assert file.read_text() == ("old\n" if chosen in ("yes", "in words") else "mine\n")


async def test_a_command_that_is_cancelled_says_so(chat: Chat, fake: FakeOpenAI) -> None:
    gate = Event()
    fake.script(Answer("One."), Answer("Two."), Gated("They", gate, " talked."))
    async with connected(chat, *MODEL) as at:
        session = await at.new()
        await at.ask(session, "one")
        await at.ask(session, "two")
        asking = asyncio.create_task(at.ask(session, "/compact"))
        await asyncio.to_thread(fake.wait_for_requests, 3)
        await at.agent.cancel(session_id=session)
        await at.new()  # an answer that comes after the cancelling
        gate.set()
        assert await asking == "cancelled"


async def test_commands_that_pick_in_a_terminal_say_what_there_is(chat: Chat, fake: FakeOpenAI) -> None:
    folder = chat.home.work / "project"
    (folder / ".git").mkdir(parents=True)

    async with connected(chat, *MODEL) as at:
        old, session = await at.new(), await at.new(cwd=str(folder))
        await at.ask(old, "The harbour opens at nine.")
        await at.ask(session, "one")

        async def said(line: str, kind: str = "agent_message_chunk") -> str:
            at.editor.updates.clear()
            await at.ask(session, line)
            return at.editor.text(session, kind)

        assert "| openai:gpt-fake (in use) |" in await said("/model")
        assert "`/role NAME`" in await said("/role")
        assert "| one  <- here |" in await said("/tree")
        assert "another turn" in await said("/undo")
        assert "user.md" in await said("/memory edit")

        # What is recalled goes along with the next question, once.
        assert "sent with the next question" in await said("/recall harbour", "agent_thought_chunk")
        await at.ask(session, "When?")
        assert "opens at nine" in fake.requests[-1].last
        await said("/recall harbour")
        assert "is not sent" in await said("/recall off", "agent_thought_chunk")
        await at.ask(session, "And now?")
        assert "opens at nine" not in fake.requests[-1].last

        # A project's facts are those of the session's folder, not of the process's.
        await said("/memory add --project The tests run with make.")
        assert f"| {folder} | The tests run with make. |" in await said("/memory list")


async def test_a_graph_that_stops_at_a_breakpoint_goes_on_when_the_user_says_so(chat: Chat) -> None:
    editor = Editor(choose=lambda asked, options: "yes")

    async with connected(chat, "--graph", f"{GRAPHS / 'states.py'}:before", editor=editor) as at:
        session = await at.new()
        await at.ask(session, "hi")
        assert "two" in editor.text(session)
        assert "stopped at a breakpoint" in editor.asked[0][0]["title"]
        editor.choose = lambda asked, options: "no"
        other = await at.new()
        for text in ("hi", "a question that has to wait"):
            assert await at.ask(other, text) == "end_turn"
        assert "two" not in editor.text(other)
        editor.choose = lambda asked, options: "yes"
        assert await at.ask(other, "and now") == "end_turn"
        assert editor.text(other).count("two") == 2


KEEPING = """
from dataclasses import dataclass
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

@dataclass
class Note:
    count: int

class State(MessagesState):
    note: Note

def keep(state):
    note = Note(state["note"].count + 1 if isinstance(state.get("note"), Note) else 1)
    return {"note": note, "messages": [AIMessage(f"VERSION {note.count}")]}

graph = StateGraph(State).add_node(keep).add_edge(START, "keep")
"""


async def test_sessions_share_the_classes_of_their_graph_until_its_file_changes(chat: Chat) -> None:
    file = chat.home.work / "keeping.py"
    file.write_text(KEEPING.replace("VERSION", "first"))

    async with connected(chat, "--graph", "keeping.py:graph") as at:
        sessions = await asyncio.gather(*(at.new() for _ in range(3)))
        await asyncio.gather(*(at.ask(session, "go") for session in sessions))
        for session in sessions:
            await at.load(session)
            await at.ask(session, "go")
            assert at.editor.text(session).endswith("first 2")
        file.write_text(KEEPING.replace("VERSION", "the second"))
        await at.load(sessions[0])
        await at.ask(sessions[0], "go")
        assert at.editor.text(sessions[0]).endswith("the second 3")


TODOS = """
from typing import Any
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph

class State(MessagesState):
    todos: list[dict[str, Any]]

def plan(state):
    return {"todos": [{"content": "look", "status": "in_progress"}, {"content": "act", "status": "pending"}]}

def act(state):
    return {"todos": [{"content": "look", "status": "completed"}], "messages": [AIMessage("done")]}

graph = StateGraph(State).add_node(plan).add_node(act).add_edge(START, "plan").add_edge("plan", "act")
"""


async def test_a_graphs_todos_are_a_plan(chat: Chat) -> None:
    (chat.home.work / "todos.py").write_text(TODOS)

    async with connected(chat, "--graph", "todos.py:graph") as at:
        session = await at.new()
        await at.ask(session, "go")
        plans = [one["entries"] for one in at.editor.of(session, "plan")]
        assert plans == [
            [
                {"content": "look", "priority": "medium", "status": "in_progress"},
                {"content": "act", "priority": "medium", "status": "pending"},
            ],
            [{"content": "look", "priority": "medium", "status": "completed"}],
        ]

    async with connected(chat) as at:
        await at.load(session)
        assert [one["entries"][0]["content"] for one in at.editor.of(session, "plan")] == ["look"]


async def test_calls_are_shown_again_when_a_session_is_loaded(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "a.txt").write_text("text of a")
    fake.script(Calls([("read_file", {"path": "a.txt"})], text="Let me see."), Answer("That is it."))
    assert chat(*TOOLS, "-t", "t", "read it").returncode == 0

    async with connected(chat, *MODEL) as at:
        await at.load("t")
        shown = [kind for kind in at.editor.kinds("t") if kind != "available_commands_update"]
        assert shown == [
            "user_message_chunk",
            "agent_message_chunk",
            "tool_call",
            "tool_call_update",
            "agent_message_chunk",
        ]
        [begun] = at.editor.of("t", "tool_call")
        [done] = at.editor.of("t", "tool_call_update")
        assert begun["locations"] == [{"path": f"{at.cwd}/a.txt"}]
        assert (done["status"], done["content"][0]["content"]["text"]) == ("completed", "text of a")


async def test_a_graph_without_an_end_is_stopped_for_its_steps(chat: Chat) -> None:
    (chat.home.work / "loop.py").write_text(
        "from langgraph.graph import START, MessagesState, StateGraph\n"
        "graph = StateGraph(MessagesState).add_node('again', lambda state: {})\n"
        "graph = graph.add_edge(START, 'again').add_edge('again', 'again').compile().with_config(recursion_limit=5)\n"
    )

    async with connected(chat, "--graph", "loop.py:graph") as at:
        session = await at.new()
        assert await at.ask(session, "go") == "max_turn_requests"
        assert "too many steps" in at.editor.text(session)


async def test_failures_are_errors_with_one_line(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "fail.py").write_text(
        "from langgraph.graph import START, MessagesState, StateGraph\n"
        "import os\n"
        "def fail(state): return {}['x' + os.environ['OPENAI_API_KEY']]\n"
        "graph = StateGraph(MessagesState).add_node(fail).add_edge(START, 'fail')\n"
    )
    async with connected(chat, "--graph", "fail.py:graph") as at:
        with pytest.raises(RequestError, match="absolute path of a folder"):
            await at.new(cwd="relative")
        with pytest.raises(RequestError) as refused:
            await at.call("session/unknown")
        assert refused.value.code == -32601
        session = await at.new()
        for prompt in (None, "text", [1], [{"type": "text"}], []):
            with pytest.raises(RequestError) as refused:
                await at.call("session/prompt", sessionId=session, prompt=prompt)
            assert refused.value.code == -32602, prompt
        with pytest.raises(RequestError, match=r"fail\.py") as refused:
            await at.ask(session, "go")
        assert KEY not in json.dumps([str(refused.value), refused.value.data])
    assert "Traceback" not in (chat.home.root / "acp.log").read_text()
