"""MCP servers at a terminal: resources and prompts with Tab, forms, and questions to the model."""

import json
from typing import Any

import pytest

from tests.e2e.checks import unfenced
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Home
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, call


@pytest.fixture(autouse=True)
def _server(home: Home, mcp_server: dict[str, Any]) -> None:
    (home.work / "servers.json").write_text(json.dumps({"mcpServers": {"fake": mcp_server}}))


def test_resources_and_prompts_are_completed_and_sent(terminal: OpenTerminal, fake: FakeOpenAI) -> None:
    fake.script(Answer("milk"), Answer("Hello, Ada!"), Answer("fine"))
    chat = terminal("--mcp", "servers.json", size=(100, 60))
    chat.wait_for_prompt()
    chat.send("what is in @fa\t")
    chat.wait_for("@fake:")
    chat.send("notes://to\t")
    chat.wait_for("@fake:notes://today")
    chat.send_line("")
    chat.wait_for("milk")
    assert '<file name="fake:notes://today">\nbuy milk\n</file>' in unfenced(fake.requests[0].last)
    chat.wait_for_prompt()
    chat.send("/fake:gr\t")
    chat.wait_for("/fake:greet")
    chat.send(" na\t")
    chat.wait_for("/fake:greet name=")
    chat.send("Ada st\t")
    chat.wait_for("name=Ada stern")
    chat.send_line("")
    chat.wait_for("Hello, Ada!")
    assert fake.requests[1].last == "Say hello to Ada in a stern tone."
    assert "Say hello to Ada in a stern tone." in chat.text()
    chat.wait_for_prompt()
    chat.send_line("/fake:greet")
    chat.wait_for("/fake:greet needs name")
    chat.wait_for_prompt()
    chat.send_line("/fake:review")
    chat.wait_for("fine")
    assert '<file name="fake:notes://today">\nbuy milk\n</file>' in unfenced(fake.requests[2].last)
    chat.wait_for_prompt()
    chat.send_line("/help")
    chat.wait_for("/fake:greet NAME [TONE]")
    chat.wait_for_prompt()
    chat.send_line("/other:x")
    chat.wait_for("there is no MCP server other")
    chat.wait_for_prompt()
    chat.send_line("see @fake:notes://none")
    chat.wait_for("fake:notes://none can't be used")
    assert len(fake.requests) == 3


def test_a_form_is_filled_in_and_a_question_to_the_model_is_decided_on(
    terminal: OpenTerminal, fake: FakeOpenAI
) -> None:
    fake.script(call("register"), Answer("registered"), call("think", question="why?"), Answer("so"), Answer("end"))
    chat = terminal("--mcp", "servers.json", size=(100, 60))
    chat.wait_for_prompt()
    chat.send_line("go")
    shown = chat.wait_for("Full name (")
    assert "The MCP server fake asks you" in shown
    assert "Who are <U+001B>[31myou?" in shown
    chat.send_line("Ada")
    chat.wait_for("Age (")
    chat.send_line("old")
    chat.wait_for("Age takes a whole number")
    chat.wait_for(lambda text: text.count("Age (") == 2)
    chat.send_line("36")
    chat.wait_for("Size (")
    chat.send_line("")
    chat.wait_for("Member (")
    chat.send_line("y")
    chat.wait_for("registered")
    content = {"name": "Ada", "age": 36, "size": "small", "member": True}
    assert json.loads(fake.requests[1].results[0]) == ["accept", content]
    chat.wait_for_prompt()
    chat.send_line("and think")
    assert "why?" in chat.wait_for("y once, n no")
    assert len(fake.requests) == 3
    chat.send("y")
    chat.wait_for("end")
    assert fake.requests[3].messages == [("system", "Be brief."), ("user", "why?")]


def test_a_one_shot_asks_for_a_form_and_ctrl_c_leaves_it_open(terminal: OpenTerminal, fake: FakeOpenAI) -> None:
    fake.script(call("register"), Answer("registered"))
    chat = terminal("--mcp", "servers.json", "--thread", "work", "go")
    chat.wait_for("Full name (")
    chat.send_line("Ada")
    chat.wait_for("Age (")
    chat.send_key("ctrl-c")
    chat.wait_for("the server still waits")
    chat.wait_for("It waits for an answer: ")
    assert len(fake.requests) == 1
