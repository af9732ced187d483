"""The reference server of the Model Context Protocol, which has all of it: skipped without node, or its package."""

import json
from pathlib import Path

import pytest

from chatcli.events import Progress, TurnFinished
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Calls, call
from tests.npm import installed
from tests.tools.test_mcp_questions import ask, fake, process, requested, results

PACKAGE = "@modelcontextprotocol/server-everything"
VERSION = "2026.8.31"

__all__ = ["fake"]


@pytest.fixture(scope="module")
def everything() -> Path:
    """Give the server's script, installed once into the tests' cache."""
    return installed(f"{PACKAGE}@{VERSION}") / PACKAGE / "dist" / "index.js"


@pytest.fixture
def scripted(fake: FakeOpenAI, everything: Path) -> FakeOpenAI:
    server = {"command": "node", "args": [str(everything)]}
    Path("servers.json").write_text(json.dumps({"mcpServers": {"all": server}}))
    return fake


async def test_images_roots_progress_and_structured_results(scripted: FakeOpenAI) -> None:
    calls: list[tuple[str, dict[str, object]]] = [
        ("get-tiny-image", {}),
        ("get-roots-list", {}),
        ("trigger-long-running-operation", {"duration": 1, "steps": 2}),
        ("get-structured-content", {"location": "Chicago"}),
        ("get-resource-links", {"count": 2}),
        ("get-resource-reference", {"resourceType": "Blob", "resourceId": 1}),
    ]
    scripted.script(Calls(calls), Answer("done"))

    async with process(scripted, "all/*") as conversation:
        events = await ask(conversation)
    assert isinstance(events[-1], TurnFinished)
    assert events[-1].content == "done"
    image, roots, operation, structured, links, _ = scripted.requests[1].results
    assert "[image 1: image/png, " in image
    assert Path.cwd().as_uri() in roots
    assert "completed" in operation
    assert "temperature" in structured
    assert "demo://resource" in links
    assert any(isinstance(event, Progress) and event.total == 100 for event in events)
    sent = scripted.requests[1].body["messages"][-1]["content"]
    assert [part["type"] for part in sent] == ["text", "image_url"]


async def test_a_form_and_a_question_to_the_model(scripted: FakeOpenAI) -> None:
    sampling = call("trigger-sampling-request", prompt="why?", maxTokens=50)
    scripted.script(call("trigger-elicitation-request"), sampling, Answer("because"), Answer("done"))

    async with process(scripted, "all/*") as conversation:
        form = requested(await ask(conversation)).payload["requested_schema"]
        names = [name for name in form["properties"] if name in form["required"]]
        values = {"string": "Ada", "boolean": True, "integer": 3, "number": 3.5}
        content = {name: values[form["properties"][name]["type"]] for name in names}
        events = await ask(conversation, json.dumps(content))
        assert "Ada" in results(events)[0]
        shown = requested(events).payload["action_requests"][0]["args"]
        assert "why?" in json.dumps(shown)
        assert "because" in results(await ask(conversation, "approve"))[0]


async def test_resources_and_prompts(scripted: FakeOpenAI) -> None:
    async with process(scripted, "all/*") as conversation:
        listed = [resource.uri for resource in await conversation.mcp_servers.resources("all")]
        [attached] = await conversation.mcp_servers.read_resources([("all", listed[0])])
        assert attached.name == f"all:{listed[0]}"
        assert attached.text
        [dynamic] = await conversation.mcp_servers.read_resources([("all", "demo://resource/dynamic/text/1")])
        assert "Resource 1" in dynamic.text
        prompts = {prompt.name: prompt for prompt in await conversation.mcp_servers.prompts("all")}
        assert prompts["args-prompt"].usage == "CITY [STATE]"
        values = prompts["args-prompt"].read_arguments("Paris Texas")
        assert "Paris, Texas" in (await conversation.mcp_servers.read_prompt(prompts["args-prompt"], values))[0]
        values = prompts["resource-prompt"].read_arguments("Text 1")
        _, [held] = await conversation.mcp_servers.read_prompt(prompts["resource-prompt"], values)
        assert "Resource 1" in held.text
