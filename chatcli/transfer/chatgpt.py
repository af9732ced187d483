"""ChatGPT's data export: `conversations.json`, a list of conversations, each a tree of messages."""

# The import takes the current branch: questions and answers, canvas documents, code and its output, and the model's
# thoughts. It skips hidden context. Of files the export has only the names. Everything else is reported as left out.

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from chatcli.events import INTERRUPTED
from chatcli.text import one_line
from chatcli.transfer.document import ThreadDocument, check_id, check_unique, refuse
from chatcli.transfer.foreign import Export, fenced, joined, load_json, quoted, read_conversations

IMAGE, AUDIO = "[image]", "[audio]"
_CUT_SHORT = "finished_partial_completion"
_CANVAS = "canmore."
_OUTPUTS = ("execution_output", "system_error")

# A citation stands in the text between U+E200 and U+E201, and in older answers in brackets with a dagger inside. U+E203
# to U+E206 mark the words that a citation belongs to.
_CITATION = re.compile(r"\ue200[^\ue200\ue201]*\ue201|【\d[^】]{0,40}†[^】]{0,200}】")
_LOOSE_MARKS = re.compile(r"\ue200[^\s\ue200\ue201]*|[\ue201-\ue206]")


class _Author(Export):
    role: str


class _Thought(Export):
    summary: str | None = None
    content: str | None = None


class _Content(Export):
    content_type: str
    parts: list[str | dict[str, Any]] | None = None
    text: str | None = None
    language: str | None = None
    thoughts: list[_Thought] | None = None
    content: str | None = None


class _Source(Export):
    title: str | None = None
    url: str | None = None


class _Reference(_Source):
    matched_text: str | None = None
    alt: str | None = None
    items: list[_Source] | None = None


class _File(Export):
    name: str | None = None


class _Metadata(Export):
    model_slug: str | None = None
    is_visually_hidden_from_conversation: bool | None = None
    attachments: list[_File] | None = None
    content_references: list[_Reference] | None = None


class _Message(Export):
    id: str
    author: _Author
    content: _Content
    status: str | None = None
    recipient: str | None = "all"
    metadata: _Metadata | None = None


class _Node(Export):
    message: _Message | None = None
    parent: str | None = None


class _Conversation(Export):
    title: str | None = None
    update_time: float | None = None
    mapping: dict[str, _Node]
    current_node: str | None = None
    conversation_id: str | None = None
    id: str | None = None


class _Canvas(Export):
    """A message from the model to the canvas: a new document, changes to it, or comments."""

    name: str | None = None
    type: str | None = None
    content: str | None = None
    updates: list[dict[str, Any]] | None = None
    comments: list[dict[str, Any]] | None = None


def read_chatgpt(data: Sequence[Mapping[str, Any]]) -> list[ThreadDocument]:
    """Return the threads in `data` that have messages, the one used last at the end."""
    return read_conversations(data, _Conversation, _document, lambda conversation: conversation.update_time or 0)


def _document(where: str, conversation: _Conversation) -> ThreadDocument:
    thread_id = conversation.conversation_id or conversation.id
    if thread_id is None:
        raise refuse(f"{where}.conversation_id", "is missing")
    branch = _branch(where, conversation)
    known: set[str] = set()
    messages: list[BaseMessage] = []
    left_out: list[str] = []
    canvas: str | None = None
    for item in branch:
        check_unique(f"{where}.mapping", item.id, known)
        if item.recipient and item.recipient.startswith(_CANVAS):
            canvas, text = _canvas(item.content, canvas)
        else:
            text = _text(item)
        message = _message(item, text)
        if message is not None:
            messages.append(message)
        left_out += _left_out(item, shown=message is not None)
    everywhere = (node.message for node in conversation.mapping.values())
    visible = {message.id for message in everywhere if message and not _is_hidden(message) and _text(message)}
    models = [item.metadata.model_slug for item in branch if item.metadata and item.metadata.model_slug]
    system = (item.content for item in branch if item.author.role == "system")
    return ThreadDocument(
        thread_id=check_id(f"{where}.conversation_id", thread_id),
        title=one_line(conversation.title or ""),
        model=f"openai:{models[-1]}" if models else "",
        system=next((text for content in system if (text := _parts(content))), None),
        messages=messages,
        left_out=(*left_out, *["message on another branch"] * len(visible - known)),
    )


def _branch(where: str, conversation: _Conversation) -> list[_Message]:
    branch: list[_Message] = []
    name, visited = conversation.current_node, set[str]()
    if name is None and any(node.message for node in conversation.mapping.values()):
        raise refuse(f"{where}.current_node", "is missing")
    while name is not None:
        node = conversation.mapping.get(name)
        if node is None:
            raise refuse(f"{where}.mapping", f"there is no node {name[:80]!r}")
        if name in visited:
            raise refuse(f"{where}.mapping", f"the node {name[:80]!r} is its own ancestor")
        visited.add(name)
        if node.message is not None:
            branch.append(node.message)
        name = node.parent
    return branch[::-1]


def _is_hidden(message: _Message) -> bool:
    """Return whether ChatGPT hides `message`: a system prompt, or context that it adds itself."""
    hidden = message.metadata is not None and message.metadata.is_visually_hidden_from_conversation
    return bool(hidden) or message.author.role == "system" or message.content.content_type.endswith("editable_context")


def _message(message: _Message, text: str) -> BaseMessage | None:
    if _is_hidden(message) or not text:
        return None
    if message.author.role == "user":
        return HumanMessage(text, id=message.id)
    if message.author.role in ("assistant", "tool"):
        metadata = {"finish_reason": INTERRUPTED} if message.status == _CUT_SHORT else {}
        return AIMessage(text, id=message.id, response_metadata=metadata)
    return None


def _left_out(message: _Message, *, shown: bool) -> list[str]:
    """Return the kinds of the parts of `message` that are not imported, one for each part."""
    if _is_hidden(message):
        return []
    if not shown:
        kind = message.content.content_type
        return [f"{message.author.role} message ({kind})"] if _parts(message.content) or message.content.text else []
    pictures = _parts(message.content).count(IMAGE)
    return ["picture"] * pictures + ["file"] * max(0, len(_files(message)) - pictures)


def _text(message: _Message) -> str:
    """Return the text of `message` as Markdown; empty if it is only a request to a tool."""
    content, role = message.content, message.author.role
    match content.content_type:
        case "code":
            return fenced(content.text or "", content.language)
        case "thoughts":
            return quoted("Thoughts", joined(*map(_thought, content.thoughts or [])))
        case "reasoning_recap":
            return quoted("Thoughts", content.content or content.text or _parts(content))
        case kind if kind in _OUTPUTS:
            return joined("Output:", fenced(content.text)) if content.text else ""
        case "multimodal_text" if role == "tool":
            return joined(*(part for part in map(_part, content.parts or []) if part in (IMAGE, AUDIO)))
        case "text" | "multimodal_text" if role == "user":
            return joined(_parts(content), *(f"<file name={quoteattr(name)}/>" for name in _files(message)))
        case "text" | "multimodal_text" if role == "assistant" and message.recipient in (None, "all"):
            return _without_marks(_parts(content), message.metadata)
        case _:
            return ""


def _thought(thought: _Thought) -> str:
    return joined(f"*{summary}*" if (summary := (thought.summary or "").strip()) else "", thought.content or "")


def _files(message: _Message) -> list[str]:
    files = (message.metadata.attachments if message.metadata else None) or []
    return [one_line(file.name or "file") for file in files]


def _parts(content: _Content) -> str:
    return joined(*map(_part, content.parts or []))


def _part(part: str | dict[str, Any]) -> str:
    if isinstance(part, str):
        return part
    if isinstance(text := part.get("text"), str):
        return text
    match part.get("content_type"):
        case "image_asset_pointer":
            return IMAGE
        case "audio_asset_pointer" | "real_time_user_audio_video_asset_pointer":
            return AUDIO
        case _:
            return ""


def _without_marks(text: str, metadata: _Metadata | None) -> str:
    """Return `text` with links in place of its citations; citations of unknown sources are removed."""
    references = (metadata.content_references if metadata else None) or []
    links = {reference.matched_text: _link(reference) for reference in references if reference.matched_text}
    text = _CITATION.sub(lambda mark: links.get(mark[0], ""), text)
    return _LOOSE_MARKS.sub("", text)


def _link(reference: _Reference) -> str:
    if reference.alt is not None:
        return reference.alt
    sources = [*(reference.items or []), reference]
    links = [f"[{' '.join((source.title or source.url).split())}]({source.url})" for source in sources if source.url]
    return f"({', '.join(links)})" if links else ""


def _canvas(content: _Content, kind: str | None) -> tuple[str | None, str]:
    """Return the type of the canvas document, and the message to it as Markdown; `kind` is the last document's type."""
    # A change is a regular expression and its replacement. Only the replacement is shown: the expression comes from an
    # unknown file, and might take forever to run.
    source = content.text or _parts(content)
    try:
        canvas = _Canvas.model_validate(load_json(source))
    except ValueError:  # pydantic's too
        return kind, fenced(source)
    if canvas.content is not None:
        return canvas.type, joined(
            f"**{' '.join((canvas.name or 'Canvas').split())}**", _body(canvas.content, canvas.type)
        )
    changes = [text for update in canvas.updates or [] if isinstance(text := update.get("replacement"), str)]
    remarks = [text for comment in canvas.comments or [] if isinstance(text := comment.get("comment"), str)]
    shown = [joined("**Canvas, changed**", *(_body(change, kind) for change in changes))] if changes else []
    return kind, joined(*shown, *(quoted("Comment", remark) for remark in remarks)) or fenced(source)


def _body(text: str, kind: str | None) -> str:
    group, _, language = (kind or "").partition("/")
    return fenced(text, language) if group == "code" else text
