"""Images that tools return: where they stand in a request, and what models get that take none."""

import base64
import io
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from PIL import Image

from chatcli.config.settings import Settings
from chatcli.graphs.chat.adapt import NOT_SHOWN, adapt_messages
from chatcli.graphs.chat.tools_node import MAX_IMAGES, _read_result
from chatcli.models.build import build_model
from chatcli.models.model import Model
from chatcli.models.names import ModelName

CALL = {"name": "shot", "args": {}, "id": "1", "type": "tool_call"}


def image() -> dict[str, Any]:
    data = io.BytesIO()
    Image.new("RGB", (3, 2)).save(data, "PNG")
    return {"type": "image", "base64": base64.b64encode(data.getvalue()).decode(), "mime_type": "image/png"}


@pytest.fixture
def model() -> Model:
    settings = Settings.load({"base_url": "http://127.0.0.1:9/v1"})
    return build_model(ModelName("openai", "gpt-fake"), settings, lambda event: None)


def without_images(model: Model) -> Model:
    client = model.client.model_copy(update={"profile": {"image_inputs": False, "tool_calling": True}})
    return replace(model, client=client)


def thread(*after: BaseMessage) -> list[BaseMessage]:
    result = ToolMessage([{"type": "text", "text": "[image 1]"}, image()], tool_call_id="1", name="shot")
    other = ToolMessage("plain", tool_call_id="2", name="other")
    calls = [CALL, {**CALL, "name": "other", "id": "2"}]
    return [HumanMessage("go"), AIMessage("", tool_calls=calls), result, other, *after]


def test_images_follow_the_last_result_as_a_message(model: Model) -> None:
    *rest, images, answer = adapt_messages(thread(AIMessage("I see")), model)
    assert [message.content for message in rest[-2:]] == ["[image 1]", "plain"]
    assert isinstance(images, HumanMessage)
    assert [block["type"] for block in images.content if isinstance(block, dict)] == ["text", "image"]
    assert answer.content == "I see"
    *_, last = adapt_messages(thread(HumanMessage("what is it?")), model)
    assert [block["type"] for block in last.content if isinstance(block, dict)] == ["text", "image"]
    assert "what is it?" in last.text
    plain = [HumanMessage("a"), AIMessage("b")]
    assert all(one is other for one, other in zip(adapt_messages(plain, model), plain, strict=True))


def test_a_model_that_takes_none_gets_their_names(model: Model) -> None:
    adapted = adapt_messages(thread(), without_images(model))
    assert len(adapted) == 4
    assert adapted[2].content == f"[image 1]{NOT_SHOWN}"


def test_what_is_no_image_and_what_is_too_much_is_named() -> None:
    broken = {"type": "image", "base64": "AAAA", "mime_type": "image/\x1b[31mpng"}
    link = {"type": "file", "url": "https://example.com/a", "mime_type": "text/plain"}
    text, images = _read_result(ToolMessage([broken, link, *[image()] * (MAX_IMAGES + 1)], tool_call_id="1"))
    assert len(images) == MAX_IMAGES
    first, second, *_, last = text.split("\n")
    assert first == "[image image/\x1b[31mpng: it is no image that models take]"  # cleaned where it is shown
    assert second == "[file text/plain https://example.com/a: can't be shown to the model]"
    assert last.endswith(f"left out: a call may return {MAX_IMAGES} images]")
