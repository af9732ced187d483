"""Messages in the form that the current model takes."""

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage, merge_message_runs
from langgraph.runtime import Runtime

from chatcli.events import Notice
from chatcli.fences import in_words
from chatcli.graphs.chat.small_model import is_small
from chatcli.graphs.chat.state import TurnContext
from chatcli.models.model import FileKind, Model, takes

IMAGES_LABEL = "Images that the user's program received from the tool"
NOT_SHOWN = "\n[This model takes no images, so what they show is not known here.]"
_KINDS: dict[str, FileKind] = {"image": "image", "file": "pdf"}


def adapt_messages(messages: Sequence[BaseMessage], model: Model) -> list[BaseMessage]:
    """Return `messages` in a form that `model` can take; those that need no change are the same objects."""
    # Reasoning of another provider is left out, since only that provider can read it, and so are files that the model
    # does not take. Tool calls become text for a model that knows no tools. Images that tools returned follow their
    # results as a message of the user: not every provider takes them inside.
    adapted = [_without_files(_without_foreign_blocks(message, model), model) for message in messages]
    adapted = _with_images_behind(adapted)
    if is_small(model):
        adapted = [_with_words(message) for message in adapted]
    if not takes_tools(model):
        adapted = merge_message_runs([_without_tools(message) for message in adapted])
    return adapted


def _with_words(message: BaseMessage) -> BaseMessage:
    if not isinstance(message, HumanMessage) or not isinstance(message.content, str):
        return message
    worded = in_words(message.content)
    return message if worded == message.content else message.model_copy(update={"content": worded})


def takes_tools(model: Model) -> bool:
    """Return whether `model` can call tools, as far as it is known."""
    profile: Any = model.client.profile or {}
    return profile.get("tool_calling") is not False and type(model.client).bind_tools is not BaseChatModel.bind_tools


def _without_foreign_blocks(message: BaseMessage, model: Model) -> BaseMessage:
    if not isinstance(message, AIMessage):
        return message
    maker = message.response_metadata.get("model_provider")
    foreign = maker is not None and maker != model.maker
    if not foreign or (isinstance(message.content, str) and not message.additional_kwargs):
        return message
    return AIMessage(
        str(message.text), id=message.id, tool_calls=message.tool_calls, response_metadata=message.response_metadata
    )


def _without_tools(message: BaseMessage) -> BaseMessage:
    if isinstance(message, ToolMessage):
        return AIMessage(f"[the tool answered: {message.text}]", id=message.id)
    if isinstance(message, AIMessage) and message.tool_calls:
        calls = [f"[called the tool {call['name']} with {call['args']}]" for call in message.tool_calls]
        return AIMessage("\n".join([*([str(message.text)] if message.content else []), *calls]), id=message.id)
    return message


def _with_images_behind(messages: list[BaseMessage]) -> list[BaseMessage]:
    """Return `messages` with the images of tools' results in a message of their own, behind the last of the results."""
    if not any(isinstance(message, ToolMessage) and isinstance(message.content, list) for message in messages):
        return messages
    moved: list[BaseMessage] = []
    images: list[str | dict[str, Any]] = []
    for message in messages:
        if not isinstance(message, ToolMessage) and images:
            behind = HumanMessage(images)
            images = []
            # Several providers refuse two human messages in a row.
            moved += merge_message_runs([behind, message]) if isinstance(message, HumanMessage) else [behind, message]
            continue
        if isinstance(message, ToolMessage) and isinstance(message.content, list):
            found = [block for block in message.content if isinstance(block, dict) and block.get("type") == "image"]
            images += [{"type": "text", "text": f"{IMAGES_LABEL} {message.name}:"}, *found] if found else []
            message = message.model_copy(update={"content": message.text})
        moved.append(message)
    return [*moved, HumanMessage(images)] if images else moved


def _without_files(message: BaseMessage, model: Model) -> BaseMessage:
    """Return `message` without the files that `model` does not take; their labels stay."""
    # Such files are there if the thread began with another model.
    if not isinstance(message.content, list):
        return message
    kept = [
        block
        for block in message.content
        if isinstance(block, str) or (kind := _KINDS.get(block["type"])) is None or takes(model, kind) is not False
    ]
    if len(kept) == len(message.content):
        return message
    if isinstance(message, ToolMessage):
        kept.append({"type": "text", "text": NOT_SHOWN})
    return message.model_copy(update={"content": kept})


def notify(runtime: Runtime[TurnContext]) -> Callable[[str], None]:
    """Return a function that shows the user a line that is not part of the answer."""
    return lambda line: runtime.stream_writer(Notice(line))
