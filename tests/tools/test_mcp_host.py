"""What an MCP server may ask of this process, with nothing at its other end: all that it sends is untrusted."""

import asyncio
import base64
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from mcp import types

from chatcli.events import Notice, Progress
from chatcli.tools import mcp_host
from chatcli.tools.mcp_host import MAX_LOGGED, MAX_SAMPLED, MAX_WAITING, Host
from chatcli.tools.questions import Question, Sampled, ServedCall
from tests.attachments.samples import picture

FORM = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


class Asked:
    """A host that has a user, and what it announced."""

    def __init__(self, *, can_ask: bool = True, debug: bool = False) -> None:
        self.said: list[Progress | Notice] = []
        self.host = Host("web", self.said.append, debug=debug, can_ask=can_ask)

    async def asks(self, work: Coroutine[Any, Any, Any]) -> tuple[ServedCall, Question]:
        """Begin a call that does `work`; return it with the question that the user is asked."""
        call = self.host.inbox.begin(work)
        question = await call.question(0)
        assert question is not None
        return call, question


def form(message: str = "Who?") -> types.ElicitRequestFormParams:
    return types.ElicitRequestFormParams(message=message, requested_schema=FORM)


def address(url: str) -> types.ElicitRequestURLParams:
    return types.ElicitRequestURLParams(message="Open it", url=url, elicitation_id="1")


def sampling(*contents: Any, system: str | None = None, role: Any = "user") -> types.CreateMessageRequestParams:
    messages = [types.SamplingMessage(role=role, content=content) for content in contents]
    return types.CreateMessageRequestParams(messages=messages, max_tokens=10, system_prompt=system)


def text(content: str) -> types.TextContent:
    return types.TextContent(type="text", text=content)


def image(data: bytes) -> types.ImageContent:
    return types.ImageContent(type="image", data=base64.b64encode(data).decode(), mime_type="image/png")


async def test_where_nobody_can_be_asked_every_question_is_refused() -> None:
    asked = Asked(can_ask=False)
    assert (await asked.host.elicit(None, form())).action == "decline"
    assert (await asked.host.elicit(None, address("https://a"))).action == "decline"
    answer = await asked.host.sample(None, sampling(text("hi")))
    assert isinstance(answer, types.ErrorData)
    assert answer.message == "nobody can be asked whether the model may answer"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:alert(1)", "example.org", "https://" + "a" * 2000])
async def test_only_a_web_address_is_opened(url: str) -> None:
    asked = Asked()
    assert (await asked.host.elicit(None, address(url))).action == "decline"
    [notice] = asked.said
    assert isinstance(notice, Notice)
    assert (notice.level, "was declined: it names no web address" in notice.text) == ("warning", True)


async def test_a_form_is_shown_with_the_name_of_its_server_and_bounded() -> None:
    asked = Asked()
    running, question = await asked.asks(asked.host.elicit(None, form("x" * 10_000)))
    assert question.request["server"] == "web"
    assert len(question.request["message"]) == mcp_host.MAX_MESSAGE
    question.answer({"action": "accept", "content": {"name": "Ada"}})
    answer = await running.task
    assert (answer.action, answer.content) == ("accept", {"name": "Ada"})
    other = Asked()
    again, second = await other.asks(other.host.elicit(None, form()))
    assert second.request["id"] != question.request["id"], "a reply counts for one form alone"
    second.answer(None)
    assert (await again.task).action == "cancel"


async def test_an_address_is_opened_without_an_answer_of_its_own() -> None:
    asked = Asked()
    running, question = await asked.asks(asked.host.elicit(None, address("https://example.org/x")))
    assert question.request["url"] == "https://example.org/x"
    question.answer({"action": "accept", "content": {"secret": "x"}})
    answer = await running.task
    assert (answer.action, answer.content) == ("accept", None)


async def test_a_server_has_a_bound_of_open_questions() -> None:
    asked = Asked()
    asked.host.inbox.waiting.extend(Question({}, str) for _ in range(MAX_WAITING))
    running = asked.host.inbox.begin(asked.host.elicit(None, form()))
    await asyncio.sleep(0)
    assert len(asked.host.inbox.waiting) == MAX_WAITING
    assert (await running.task).action == "cancel"


async def test_the_model_is_asked_what_the_user_has_seen() -> None:
    asked = Asked()
    given = sampling(text("one"), image(picture()), system="Be brief.")
    running, question = await asked.asks(asked.host.sample(None, given))
    [action] = question.request["action_requests"]
    system, first, second = action["args"]["messages"]
    assert (system, first) == ({"system": "Be brief."}, {"human": "one"})
    assert second["human"][0].startswith("[image/png, ")
    [config] = question.request["review_configs"]
    assert (config["allowed_decisions"], config["scopes"]) == (["approve", "reject"], []), "each question asks anew"
    assert [message.type for message in question.prompt or ()] == ["system", "human", "human"]
    question.answer(Sampled("the answer", "openai:x"))
    answer = await running.task
    assert isinstance(answer, types.CreateMessageResult)
    assert (answer.model, answer.content) == ("openai:x", text("the answer"))


@pytest.mark.parametrize(("reply", "reason"), [(None, "the user refused"), ("it costs too much", "it costs too much")])
async def test_what_the_user_refuses_is_an_error_at_the_server(reply: Any, reason: str) -> None:
    asked = Asked()
    running, question = await asked.asks(asked.host.sample(None, sampling(text("hi"))))
    question.answer(reply)
    answer = await running.task
    assert isinstance(answer, types.ErrorData)
    assert answer.message == reason


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (sampling(), "it is empty, or longer"),
        (sampling(text("x" * (MAX_SAMPLED + 1))), "it is empty, or longer"),
        (sampling(text("x"), system="x" * MAX_SAMPLED), "it is empty, or longer"),
        (sampling(image(picture() + bytes(MAX_SAMPLED))), "it is empty, or longer"),
        (sampling(image(b"no image")), "of no type that models take"),
        (sampling(image(picture()), role="assistant"), "image can't be sent"),
        (sampling(types.AudioContent(type="audio", data="", mime_type="audio/x")), "audio can't be sent"),
    ],
)
async def test_what_the_model_can_not_take_asks_nobody(given: types.CreateMessageRequestParams, reason: str) -> None:
    asked = Asked()
    answer = await asked.host.sample(None, given)
    assert isinstance(answer, types.ErrorData)
    assert reason in answer.message
    assert not asked.host.inbox.waiting


async def test_the_log_of_a_server_is_shown_with_debug_alone_up_to_a_bound() -> None:
    def logged(level: Any, data: Any, logger: str | None = None) -> types.LoggingMessageNotificationParams:
        return types.LoggingMessageNotificationParams(level=level, data=data, logger=logger)

    quiet = Asked()
    await quiet.host.log(logged("error", "x"))
    assert (quiet.said, quiet.host.log_level) == ([], None)
    loud = Asked(debug=True)
    assert loud.host.log_level == "debug"
    await loud.host.log(logged("error", {"a": "one\ntwo"}, "db"))
    await loud.host.log(logged("info", "y" * 5000))
    first, second = loud.said
    assert isinstance(first, Notice)
    assert (first.level, first.text) == ("warning", "web db [error]: {'a': 'one\\ntwo'}")
    assert isinstance(second, Notice)
    assert (second.level, len(second.text) <= mcp_host.MAX_LINE) == ("info", True)
    for _ in range(2 * MAX_LOGGED):
        await loud.host.log(logged("info", "z"))
    assert len(loud.said) == MAX_LOGGED + 1
    assert "the rest is left out" in str(loud.said[-1])


async def test_a_server_is_told_the_current_folder(own_folders: Path) -> None:
    [root] = (await Host("web").list_roots(None)).roots
    assert str(root.uri) == own_folders.as_uri()
