"""ChatGPT's data export: `conversations.json`, a list of conversations, each a tree of messages.

What the user saw is taken: questions and answers of the current branch. What passed between the model and its tools,
hidden context and pictures, which are not part of the file, are left out; a picture leaves `[image]`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel, ConfigDict, ValidationError

from chatcli.events import INTERRUPTED
from chatcli.transfer.document import ThreadDocument, check_id, check_storable, check_unique, refuse
from chatcli.transfer.wire import refusal

IMAGE = "[image]"
_CUT_SHORT = "finished_partial_completion"


class _Export(BaseModel):
    """OpenAI adds fields now and then: what we don't read may be anything."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _Author(_Export):
    role: str


class _Content(_Export):
    content_type: str
    parts: list[str | dict[str, Any]] | None = None
    text: str | None = None
    language: str | None = None


class _Metadata(_Export):
    model_slug: str | None = None
    is_visually_hidden_from_conversation: bool | None = None


class _Message(_Export):
    id: str
    author: _Author
    content: _Content
    status: str | None = None
    recipient: str | None = "all"
    metadata: _Metadata | None = None


class _Node(_Export):
    message: _Message | None = None
    parent: str | None = None


class _Conversation(_Export):
    title: str | None = None
    update_time: float | None = None
    mapping: dict[str, _Node]
    current_node: str | None = None
    conversation_id: str | None = None
    id: str | None = None


def is_chatgpt(data: object) -> bool:
    """Tell whether `data` is such a list."""
    return isinstance(data, list) and all(isinstance(item, dict) and "mapping" in item for item in data) and bool(data)


def read_chatgpt(data: Sequence[Mapping[str, Any]]) -> list[ThreadDocument]:
    """Return the threads in `data`, the one used last at the end; conversations without any message are left out.

    Raises:
        UsageError: Something is wrong with one of them.

    """
    found: list[tuple[float, ThreadDocument]] = []
    for number, item in enumerate(data):
        where = f"[{number}]"
        check_storable(where, dict(item))
        try:
            conversation = _Conversation.model_validate(item)
        except ValidationError as error:
            raise refusal(f"{where}.", error) from None
        document = _document(where, conversation)
        if document.messages:
            found.append((conversation.update_time or 0, document))
    return [document for _, document in sorted(found, key=lambda pair: pair[0])]


def _document(where: str, conversation: _Conversation) -> ThreadDocument:
    thread_id = conversation.conversation_id or conversation.id
    if thread_id is None:
        raise refuse(f"{where}.conversation_id", "is missing")
    branch = _branch(where, conversation)
    known: set[str] = set()
    messages = [message for item in branch if (message := _message(where, item, known)) is not None]
    models = [item.metadata.model_slug for item in branch if item.metadata and item.metadata.model_slug]
    return ThreadDocument(
        thread_id=check_id(f"{where}.conversation_id", thread_id),
        title=" ".join((conversation.title or "").split()),
        model=f"openai:{models[-1]}" if models else "",
        system=next((text for item in branch if item.author.role == "system" and (text := _text(item.content))), None),
        messages=messages,
    )


def _branch(where: str, conversation: _Conversation) -> list[_Message]:
    """Return the messages from the root to the current node."""
    branch: list[_Message] = []
    name, seen = conversation.current_node, set[str]()
    if name is None and any(node.message for node in conversation.mapping.values()):
        raise refuse(f"{where}.current_node", "is missing")
    while name is not None:
        node = conversation.mapping.get(name)
        if node is None:
            raise refuse(f"{where}.mapping", f"there is no node {name[:80]!r}")
        if name in seen:
            raise refuse(f"{where}.mapping", f"the node {name[:80]!r} is its own ancestor")
        seen.add(name)
        if node.message is not None:
            branch.append(node.message)
        name = node.parent
    return branch[::-1]


def _message(where: str, message: _Message, known: set[str]) -> BaseMessage | None:
    """Return what the user saw of `message`, or None when that is nothing."""
    check_unique(f"{where}.mapping", message.id, known)
    hidden = message.metadata is not None and message.metadata.is_visually_hidden_from_conversation
    text = _text(message.content)
    if hidden or message.recipient not in (None, "all") or not text:
        return None
    if message.author.role == "user":
        return HumanMessage(text, id=message.id)
    if message.author.role == "assistant":
        metadata = {"finish_reason": INTERRUPTED} if message.status == _CUT_SHORT else {}
        return AIMessage(text, id=message.id, response_metadata=metadata)
    return None


def _text(content: _Content) -> str:
    match content.content_type:
        case "text" | "multimodal_text":
            return "\n\n".join(filter(None, map(_part, content.parts or [])))
        case "code":
            language = "" if content.language in (None, "unknown") else content.language
            return f"```{language}\n{content.text}\n```" if content.text else ""
        case _:
            return ""  # the model's thoughts, its tools' output, the user's profile


def _part(part: str | dict[str, Any]) -> str:
    if isinstance(part, str):
        return part
    text = part.get("text")
    if isinstance(text, str):
        return text
    return IMAGE if part.get("content_type") == "image_asset_pointer" else ""
