"""What an editor is asked and shown, and what it does for the tools, with one that is scripted."""

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from acp.exceptions import RequestError
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from chatcli import events
from chatcli.config.settings import Settings
from chatcli.events import ApprovalRequested
from chatcli.message import Citation, Cited
from chatcli.serve.acp.asking import Asker, InWordsError, UnableError
from chatcli.serve.acp.client import DismissedError, Files, StoppedError, Terminal
from chatcli.serve.acp.prompts import path_of, read_prompt
from chatcli.serve.acp.updates import Updates, history, listing_text, locations_of, plan_of, title_of
from chatcli.tools.changes import change_tools
from chatcli.tools.toolbox import Toolbox
from chatcli.tools.workspace import Finished, Workspace
from tests.attachments.samples import picture
from tests.serve.wire import Wire, client_of

HIDDEN = "\u202e"
"""A character that turns the text around and is not seen."""


def chosen(option: str | None) -> Mapping[str, Any]:
    """Return an editor's answer to a request for a permission."""
    return {"outcome": {"outcome": "cancelled"} if option is None else {"outcome": "selected", "optionId": option}}


def asker_of(wire: Wire, root: Path = Path("/project"), **capabilities: Any) -> Asker:
    return Asker(client_of(wire, **capabilities), "s", Updates(root))


def review(action: Mapping[str, Any], **config: Any) -> ApprovalRequested:
    """Return the request for a decision on one call."""
    named = {"action_name": action["name"], **config}
    return ApprovalRequested("1", {"action_requests": [action], "review_configs": [named]})


def shown(wire: Wire) -> str:
    return "".join(str(update) for update in wire.updates)


async def test_a_change_is_shown_as_it_was_decided_on_even_if_the_file_is_another_now(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old\n")
    toolbox = Toolbox(builtin=change_tools(tmp_path), workspace=Workspace(tmp_path))
    await toolbox.open(lambda line: None)
    arguments = {"path": "a.txt", "content": "new\n"}
    change = toolbox.plan(toolbox.tools["write_file"], arguments)
    digest = hashlib.sha256(b"old\n").hexdigest()
    action = {"name": "write_file", "args": arguments, "diff": change.diff(), "file_sha256": digest}
    wire = Wire(request_permission=chosen("once"))

    async def content(**other: Any) -> Any:
        toolbox.begin_answer()
        await asker_of(wire, tmp_path).ask(review({**action, **other}), toolbox)
        return wire.requests[-1][1]["toolCall"]["content"]

    assert await content() == [{"type": "diff", "path": str(file), "oldText": "old\n", "newText": "new\n"}]
    for other in ({"file_sha256": "0" * 64}, {"diff": change.diff().replace("+new", "+other")}):
        [text] = await content(**other)
        assert text["type"] == "content"
        assert str(other.get("diff", "+new")).splitlines()[-1] in text["content"]["text"]
    file.write_text("typed meanwhile\n")
    [text] = await content()
    assert "-old" in text["content"]["text"]
    await toolbox.close()


async def test_nothing_is_hidden_in_what_is_approved() -> None:
    wire = Wire(request_permission=chosen("reject"))
    action = {
        "name": "run_shell",
        "args": {"command": f"ls {HIDDEN}"},
        "description": f"lists{HIDDEN}",
        "rule": f"run{HIDDEN}",
    }
    await asker_of(wire).ask(ApprovalRequested("1", {"type": "tool_approval", **action, "scopes": ["thread"]}), None)
    [(_, asked)] = wire.requests
    assert HIDDEN not in str(asked["toolCall"]["title"]) + str(asked["toolCall"]["content"]) + str(asked["options"])
    assert "lists<U+202E>" in str(asked["toolCall"]["content"])
    assert title_of("weigh", {"what": HIDDEN}) == 'weigh(what="<U+202E>")'
    assert title_of("run_shell", {"command": "ls", "cwd": "/"}) == 'run_shell(command="ls", cwd="/")'


@pytest.mark.parametrize(
    ("config", "action", "offered"),
    [
        ({}, {}, ["once", "reject"]),
        ({"allowed_decisions": ["approve"]}, {}, ["once"]),
        ({"allowed_decisions": ["reject"]}, {}, ["reject"]),
        ({"scopes": ["thread"]}, {"rule": "weigh"}, ["once", "thread", "reject"]),
        ({"scopes": ["thread"]}, {}, ["once", "reject"]),
        ({}, {"rule": "weigh"}, ["once", "reject"]),
        ({"scopes": ["outside"]}, {}, ["once", "reject", "ask outside"]),
    ],
)
async def test_only_decisions_that_are_allowed_are_offered(
    config: dict[str, Any], action: dict[str, Any], offered: list[str]
) -> None:
    wire = Wire(request_permission=chosen(offered[0]))
    await asker_of(wire).ask(review({"name": "weigh", "args": {}, **action}, **config), None)
    [(_, asked)] = wire.requests
    assert [option["optionId"] for option in asked["options"]] == offered
    statuses = [update["status"] for update in wire.updates if "status" in update]
    assert statuses == ["pending", *(["in_progress"] if offered[0] == "once" else [])]


async def test_a_call_leaves_the_sandbox_only_after_a_second_question() -> None:
    answers = iter([chosen("ask outside"), chosen("reject")])
    wire = Wire(request_permission=lambda asked: next(answers))
    request = review({"name": "run_shell", "args": {}}, scopes=["outside"])
    assert await asker_of(wire).ask(request, None) == {"decisions": [{"type": "reject"}]}
    assert [option["optionId"] for option in wire.requests[1][1]["options"]] == ["outside", "reject"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (chosen(None), DismissedError),
        ({}, DismissedError),
        (None, DismissedError),
        (chosen("none of these"), UnableError),
        (RequestError(-1, "refused"), UnableError),
        (ConnectionError(), StoppedError),
    ],
)
async def test_what_is_no_answer_allows_nothing(answer: Any, error: type[Exception]) -> None:
    wire = Wire(request_permission=answer)
    asker = asker_of(wire)
    with pytest.raises(error) as raised:
        await asker.ask(review({"name": "weigh", "args": {}}), None)
    assert raised.type is error
    assert "in_progress" not in shown(wire)
    assert ("With your next message" in shown(wire)) == (error is UnableError)
    wire.updates.clear()
    with pytest.raises(error):
        await asker.confirm("Sure?", "Yes", "No")
    assert [update["status"] for update in wire.updates] == ["pending", "failed"]


async def test_a_question_that_is_answered_is_over() -> None:
    wire = Wire(request_permission=chosen("yes"))
    assert await asker_of(wire).confirm("Sure?", "Yes", "No")
    assert [update["status"] for update in wire.updates] == ["pending", "completed"]
    wire.answers["request_permission"] = chosen("no")
    assert not await asker_of(wire).confirm("Sure?", "Yes", "No")


async def test_two_calls_alike_are_asked_about_each() -> None:
    wire = Wire(request_permission=chosen("once"))
    asker = asker_of(wire)
    for call_id in ("a", "b"):
        asker._updates.start(call_id, "weigh", {})
    two = ApprovalRequested("1", {"action_requests": [{"name": "weigh", "args": {}}] * 2})
    assert await asker.ask(two, None) == {"decisions": [{"type": "approve"}] * 2}
    assert [asked["toolCall"]["toolCallId"] for _, asked in wire.requests] == ["a", "b"]
    other = {"name": "weigh", "args": {"what": "a cat"}}
    await asker.ask(review(other), None)
    assert wire.requests[-1][1]["toolCall"]["toolCallId"] == "1-0"


FORM = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name"]}


@pytest.mark.parametrize(
    ("request_", "answer", "value"),
    [
        (ApprovalRequested("1", "Who?", FORM), {"action": "accept", "content": {"name": "Ada"}}, {"name": "Ada"}),
        (ApprovalRequested("1", ["a", "b"]), {"action": "accept", "content": {"answer": "b"}}, "b"),
        (
            ApprovalRequested("1", {"options": [{"label": "Red", "value": "r"}]}),
            {"action": "accept", "content": {"answer": "Red"}},
            "r",
        ),
        (ApprovalRequested("1", "?"), {"action": "accept", "content": {"answer": '{"a": 1}'}}, {"a": 1}),
        (ApprovalRequested("1", "?", {"type": "integer"}), {"action": "accept", "content": {"answer": 7}}, 7),
        (ApprovalRequested("1", "?"), {"action": "decline", "content": {"answer": "x"}}, None),
        (ApprovalRequested("1", "?"), {"action": "accept"}, None),
        (ApprovalRequested("1", "?"), {"action": "accept", "content": {"other": "x"}}, None),
    ],
)
async def test_a_form_gives_the_answer_or_leaves_it_to_the_next_message(
    request_: ApprovalRequested, answer: Any, value: Any
) -> None:
    wire = Wire(create=answer)
    asker = asker_of(wire, elicitation={"form": {}})
    if value is not None:
        assert await asker.ask(request_, None) == value
    else:
        with pytest.raises(InWordsError):
            await asker.ask(request_, None)
        assert "Answer with your next message." in shown(wire)
    [(method, sent)] = wire.requests
    assert (method, sent["mode"]) == ("elicitation/create", "form")
    assert sent["requestedSchema"]["required"] == (["name"] if request_.response_schema == FORM else ["answer"])


async def test_an_editor_whose_forms_are_of_another_kind_is_asked_by_choices() -> None:
    wire = Wire(request_permission=chosen("choice-1"))
    assert await asker_of(wire, elicitation={"url": {}}).ask(ApprovalRequested("1", ["a", "b"]), None) == "b"
    wire.answers["request_permission"] = chosen("in words")
    with pytest.raises(InWordsError):
        await asker_of(wire).ask(ApprovalRequested("1", ["a", "b"]), None)


def texts(updates: Updates, *shown: events.Event) -> list[tuple[str, str]]:
    """Return the kinds and texts of the updates of `shown`."""
    made = [update for event in shown for update in updates.of(event)]
    return [(update["sessionUpdate"].split("_")[1], update["content"]["text"]) for update in made]


def test_the_texts_of_a_turn() -> None:
    updates = Updates(Path("/project"))
    begun = events.TurnStarted("t", "m")
    assert texts(
        updates, begun, *(events.TextDelta(text, node) for text, node in (("a", "x"), ("b", "x"), ("c", "y")))
    ) == [
        ("message", "a"),
        ("message", "b"),
        ("message", "\n\nc"),
    ]
    assert texts(updates, begun, events.TextDelta("d", "z")) == [("message", "d")]
    assert texts(updates, events.ReasoningDelta("hm", "x")) == [("thought", "hm")]
    assert texts(updates, events.Notice("n"), events.Notice("w", "warning")) == [
        ("thought", "n\n"),
        ("thought", "warning: w\n"),
    ]
    cited = Cited((Citation(1, "/a.md", 3, 4, None, "x"),), (7,))
    for end in (
        events.TurnInterrupted("t", "c", "m", "", 0, cited),
        events.TurnFinished("t", "c", "m", "", "stop", events.Usage(), 0, 1, 1, cited=cited),
    ):
        [(kind, text)] = texts(updates, end)
        assert (kind, "[7] is no source" in text, text.startswith("\n\n[1] ")) == ("message", True, True)


def test_a_call_that_fails_says_why_also_where_its_change_is_shown() -> None:
    updates = Updates(Path("/project"))

    def ended(status: Any, **arguments: str) -> dict[str, Any]:
        start = updates.start("1", "write_file", arguments)
        [end] = updates.of(events.ToolCallFinished("1", "write_file", "the reason", status))
        assert end["toolCallId"] == start["toolCallId"]
        return end

    assert ended("success", path="a", content="b")["status"] == "completed"
    assert "content" not in ended("success", path="a", content="b"), "the change stays in its place"
    failed = ended("error", path="a", content="b")
    assert (failed["status"], "the reason" in str(failed["content"])) == ("failed", True)
    assert "the reason" in str(ended("success", path="a")["content"])
    assert not updates.calls
    assert updates.start("1", "x", {})["toolCallId"] not in ("1", "1-1", "1-2", "1-3")
    assert [end["status"] for end in updates.end_calls()] == ["failed"]
    assert not [*updates.end_calls()]
    updates.hidden.add("2")
    assert not [*updates.of(events.ToolCallFinished("2", "write_todos", "", "success"))]


def test_a_stored_thread_is_shown_as_the_user_saw_it() -> None:
    marker = "0123456789abcdef"
    question = HumanMessage(
        [
            {"type": "text", "text": f'look\n{marker} <file name="a">\nx\n{marker} </file>'},
            {"type": "image", "base64": "eA==", "mime_type": "image/gif"},
        ]
    )
    summary = HumanMessage("older turns", additional_kwargs={"lc_source": "summarization"})
    call = {"name": "weigh", "args": {}, "id": "1", "type": "tool_call"}
    reasoned = AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "done"}])
    thread: list[BaseMessage] = [
        summary,
        question,
        AIMessage("", tool_calls=[call]),
        ToolMessage("5 kg", tool_call_id="1"),
        reasoned,
    ]
    updates = [*history(thread, Updates(Path("/project")))]
    assert [update["sessionUpdate"] for update in updates] == [
        *["user_message_chunk"] * 2,
        *("tool_call", "tool_call_update", "agent_thought_chunk", "agent_message_chunk"),
    ]
    assert updates[0]["content"]["text"] == 'look\n<file name="a">\nx\n</file>'
    assert updates[1]["content"] == {"type": "image", "data": "eA==", "mimeType": "image/gif"}


def test_what_models_write_fits_the_protocol() -> None:
    plan = plan_of(
        [
            {"content": 5, "status": "soon", "priority": "urgent"},
            {"content": "a", "status": "completed", "priority": "high"},
        ]
    )
    assert plan["entries"] == [
        {"content": "5", "priority": "medium", "status": "pending"},
        {"content": "a", "priority": "high", "status": "completed"},
    ]
    table = events.Listing("T", ("a", "b"), (("x|y", "two\nlines"),))
    assert listing_text(table) == "**T**\n\n| a | b |\n| --- | --- |\n| x\\|y | two lines |"
    assert locations_of({"path": "a", "line": 0}, Path("/p")) == locations_of({"path": "a", "line": True}, Path("/p"))
    assert locations_of({"path": "a\nb"}, Path("/p")) == locations_of({"path": ""}, Path("/p")) == []


def prompt(*blocks: Any, folder: Path, files: Any = None) -> tuple[str, list[Any], list[str]]:
    return read_prompt(list(blocks), Settings.load({}), Workspace(folder, files))


def test_what_a_prompt_links_is_named_and_attached_where_that_can_be(own_folders: Path) -> None:
    (own_folders / "a b.txt").write_text("saved")
    (own_folders / "sub").mkdir()

    def link(uri: str) -> dict[str, str]:
        return {"type": "resource_link", "uri": uri}

    text, [file], problems = prompt(
        {"type": "text", "text": "see "}, link(f"file://{own_folders}/a%20b.txt"), folder=own_folders
    )
    assert (text, file.name, file.text, problems) == ("see a b.txt", "a b.txt", "saved", [])
    for uri, name, problem in (
        (f"file://{own_folders}/sub", "sub", "is a folder"),
        (f"file://{own_folders}", str(own_folders), "is a folder"),
        ("zed:///thread/1", "zed:///thread/1", "only files and web pages are"),
        ("ftp://example.org/a", "ftp://example.org/a", "only files and web pages are"),
        ("http://127.0.0.1:9/a", "http://127.0.0.1:9/a", "127.0.0.1"),
        ("/no/such/file", "/no/such/file", "/no/such/file"),
    ):
        text, attached, [line] = prompt(link(uri), folder=own_folders)
        assert (text, attached) == (name, [])
        assert problem in line
    assert path_of("/a b") == Path("/a b")


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ({"type": "image", "data": "a"}, "not base64"),
        ({"type": "image", "data": "YQ==\nYQ=="}, "not base64"),
        ({"type": "image"}, "data of a content block must be a text"),
        ({"type": "resource", "resource": "x"}, "a resource must be an object"),
        ({"type": "resource", "resource": {"uri": "a:b"}}, "blob of a content block"),
        ({"type": "resource_link"}, "uri of a content block"),
        ({"type": "video"}, "'video'"),
    ],
)
def test_a_block_that_no_prompt_can_have_is_refused(own_folders: Path, block: Any, problem: str) -> None:
    with pytest.raises(RequestError, match=problem):
        prompt(block, folder=own_folders)


def test_what_is_embedded_is_attached_under_its_name(own_folders: Path) -> None:
    image = base64.b64encode(picture()).decode()
    resources = [{"uri": f"file://{own_folders}/a.py", "text": "x = 1"}, {"uri": "zed:///b", "blob": image}]
    blocks: list[Any] = [{"type": "resource", "resource": each} for each in resources]
    blocks.append({"type": "image", "data": image, "uri": f"file://{own_folders}/c.png"})
    text, attached, problems = prompt(*blocks, {"type": "image", "data": image}, folder=own_folders)
    assert (text, problems) == ("a.pyzed:///b", [])
    assert [(each.name, each.kind) for each in attached] == [
        ("a.py", "text"),
        *(("zed:///b", "image"), ("c.png", "image"), ("image 4", "image")),
    ]


async def test_files_are_read_and_written_under_the_name_that_the_editor_knows(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    wire = Wire(read_text_file={"content": "unsaved"}, write_text_file=None)
    files = Files(client_of(wire), "s", link)
    assert await asyncio.to_thread(files.read, tmp_path / "real" / "a") == "unsaved"
    assert await asyncio.to_thread(files.write, tmp_path / "elsewhere", "x")
    assert [sent["path"] for _, sent in wire.requests] == [str(link / "a"), str(tmp_path / "elsewhere")]
    assert wire.requests[1][1]["content"] == "x"
    for answer in (RequestError(-1, "no"), ConnectionError(), {"content": 5}, {}, "text"):
        wire.answers = {"read_text_file": answer, "write_text_file": answer}
        assert await asyncio.to_thread(files.read, tmp_path / "a") is None
    wire.answers = {"write_text_file": RequestError(-1, "no")}
    assert not await asyncio.to_thread(files.write, tmp_path / "a", "x")


async def run(wire: Wire, seconds: float = 60) -> Finished | None:
    terminal = Terminal(client_of(wire), "s")
    return await terminal.run(["ls", "-l"], cwd=Path("/project"), env={"KEPT": "1"}, seconds=seconds)


@pytest.mark.parametrize(
    ("status", "output", "finished"),
    [
        ({"exitCode": 3}, {"output": "a", "truncated": False}, Finished("a", 3)),
        ({"exitCode": 0}, {"output": "a", "truncated": True}, Finished("[the first part is left out]\na", 0)),
        ({"exitCode": None, "signal": "SIGKILL"}, {"output": ""}, Finished("", 128)),
        (None, None, Finished("", 128)),
    ],
)
async def test_a_command_in_a_terminal_has_its_output_and_its_end(status: Any, output: Any, finished: Finished) -> None:
    wire = Wire(create={"terminalId": "7"}, wait_for_exit=status, output=output)
    assert await run(wire) == finished
    methods = [method.rpartition("/")[2] for method, _ in wire.requests]
    assert methods == ["create", "wait_for_exit", "output", "release"]
    assert wire.requests[0][1]["outputByteLimit"] > 0


async def test_a_command_in_a_terminal_gets_none_of_the_variables_of_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("KEPT", "1")
    wire = Wire(create={"terminalId": "7"}, wait_for_exit={"exitCode": 0}, output={"output": ""})
    await run(wire)
    emptied = {one["name"]: one["value"] for one in wire.requests[0][1]["env"]}
    assert emptied["OPENAI_API_KEY"] == ""
    assert "KEPT" not in emptied


async def test_a_command_that_takes_too_long_is_killed_and_one_that_is_cancelled_too() -> None:
    never = asyncio.Event()
    wire = Wire(create={"terminalId": "7"}, wait_for_exit=never, output={"output": "so far"})
    assert await run(wire, seconds=0.01) == Finished("so far", None)
    assert [method for method, _ in wire.requests][2:] == ["terminal/kill", "terminal/output", "terminal/release"]
    wire.requests.clear()
    waits = asyncio.Event()

    def wait(asked: object) -> asyncio.Event:
        waits.set()
        return never

    wire.answers["wait_for_exit"] = wait
    running = asyncio.create_task(run(wire))
    await waits.wait()
    running.cancel()
    await asyncio.wait([running])
    assert [method for method, _ in wire.requests][2:] == ["terminal/kill", "terminal/release"]


@pytest.mark.parametrize("answer", [RequestError(-1, "no"), {}, None])
async def test_an_editor_that_opens_no_terminal_runs_nothing(answer: Any) -> None:
    assert await run(Wire(create=answer)) is None
