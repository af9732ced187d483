"""Claude.ai's data export: `conversations.json`, a list of conversations with their messages in order of time.

Questions and answers, thoughts, tool calls, their results and the text of attached files are read. Other files are not
part of the list and are left as their names.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import ValidationError

from chatcli.text_lines import one_line
from chatcli.transfer.document import ThreadDocument, check_id, check_storable, check_unique, refusal, refuse
from chatcli.transfer.foreign import Export, fenced, joined, quoted


class _Attachment(Export):
    file_name: str | None = None
    extracted_content: str | None = None


class _Message(Export):
    uuid: str
    sender: str
    text: str | None = None
    content: list[dict[str, Any]] | None = None
    attachments: list[_Attachment] | None = None
    files: list[_Attachment] | None = None
    parent_message_uuid: str | None = None


class _Conversation(Export):
    uuid: str
    name: str | None = None
    model: str | None = None
    updated_at: str | None = None
    chat_messages: list[_Message]
    current_leaf_message_uuid: str | None = None


def is_claude(data: object) -> bool:
    """Return whether `data` is such a list."""
    return (
        isinstance(data, list)
        and bool(data)
        and all(isinstance(item, dict) and "chat_messages" in item for item in data)
    )


def read_claude(data: Sequence[Mapping[str, Any]]) -> list[ThreadDocument]:
    """Return the threads in `data`, the one used last at the end; conversations without any message are left out.

    Raises:
        UsageError: Something is wrong with one of them.

    """
    found: list[tuple[str, ThreadDocument]] = []
    for number, item in enumerate(data):
        where = f"[{number}]"
        check_storable(where, dict(item))
        try:
            conversation = _Conversation.model_validate(item)
        except ValidationError as error:
            raise refusal(f"{where}.", error) from None
        document = _document(where, conversation)
        if document.messages:
            found.append((conversation.updated_at or "", document))
    return [document for _, document in sorted(found, key=lambda pair: pair[0])]


def _document(where: str, conversation: _Conversation) -> ThreadDocument:
    known: set[str] = set()
    for number, message in enumerate(conversation.chat_messages):
        check_unique(f"{where}.chat_messages[{number}].uuid", message.uuid, known)
    branch = _branch(where, conversation)
    left_out = ["message on another branch"] * (len(conversation.chat_messages) - len(branch))
    messages = [read for item in branch if (read := _message(item, left_out)) is not None]
    return ThreadDocument(
        thread_id=check_id(f"{where}.uuid", conversation.uuid),
        title=one_line(conversation.name or ""),
        model=f"anthropic:{conversation.model}" if conversation.model else "",
        system=None,
        messages=messages,
        left_out=tuple(left_out),
    )


def _branch(where: str, conversation: _Conversation) -> list[_Message]:
    """Return the messages of the branch that was used last; an export without parents is one branch."""
    messages = {message.uuid: message for message in conversation.chat_messages}
    if not any(message.parent_message_uuid in messages for message in messages.values()):
        return conversation.chat_messages
    newest = conversation.current_leaf_message_uuid
    message = messages[newest] if newest in messages else conversation.chat_messages[-1]
    branch: list[_Message] = []
    following: _Message | None = message
    while following is not None:
        branch.append(following)
        if len(branch) > len(messages):
            raise refuse(f"{where}.chat_messages", f"{message.uuid[:80]!r} is its own ancestor")
        following = messages.get(following.parent_message_uuid or "")
    return branch[::-1]


def _message(message: _Message, left_out: list[str]) -> BaseMessage | None:
    """Return `message`, and add to `left_out` what of it does not come over."""
    text = joined(*(_block(block, left_out) for block in message.content or [])) or (message.text or "")
    files: list[str] = []
    for attachment in [*(message.attachments or []), *(message.files or [])]:
        name = quoteattr(attachment.file_name or "file")
        if attachment.extracted_content:
            files.append(f"<file name={name}>\n{attachment.extracted_content}\n</file>")
        elif not any(file.startswith(f"<file name={name}>") for file in files):  # its text may be listed beside it
            files.append(f"<file name={name}/>")
            left_out.append("file")
    text = joined(text, *files)
    if not text:
        return None
    return HumanMessage(text, id=message.uuid) if message.sender == "human" else AIMessage(text, id=message.uuid)


def _block(block: Mapping[str, Any], left_out: list[str]) -> str:
    """Return a content block as Markdown, and add it to `left_out` when there is nothing to show of it."""
    kind = block.get("type")
    match kind:
        case "text" if isinstance(block.get("text"), str):
            return str(block["text"])
        case "thinking" if isinstance(block.get("thinking"), str):
            return quoted("Thoughts", str(block["thinking"]))
        case "tool_use" | "server_tool_use":
            return _tool_use(str(block.get("name") or "tool"), block.get("input"))
        case "tool_result":
            return joined("Output:", result) if (result := _result(block.get("content"), left_out)) else ""
        case "token_budget" | "flag":
            return ""
        case _:
            left_out.append(f"{str(kind)[:40]} block")
            return ""


def _tool_use(name: str, given: object) -> str:
    """Return a tool call: an artifact as the document that it makes, any other as its name and its arguments."""
    if name == "artifacts" and isinstance(given, Mapping) and isinstance(given.get("content"), str):
        title = one_line(str(given.get("title") or "Artifact"))
        kind, language = str(given.get("type") or ""), given.get("language")
        is_prose = "markdown" in kind or (not kind and language is None)
        body = given["content"] if is_prose else fenced(given["content"], str(language or kind.rpartition(".")[2]))
        return joined(f"**{title}**", body)
    if given in (None, {}):
        return f"Tool: `{name}`"
    return joined(f"Tool: `{name}`", fenced(json.dumps(given, ensure_ascii=False, indent=2), "json"))


def _result(content: object, left_out: list[str]) -> str:
    """Return what a tool gave, a text or a list of blocks."""
    if isinstance(content, str):
        return fenced(content)
    texts = []
    for block in content if isinstance(content, list) else []:
        if isinstance(block, Mapping) and isinstance(block.get("text"), str):
            texts.append(str(block["text"]))
        else:
            kind = block.get("type") if isinstance(block, Mapping) else type(block).__name__
            left_out.append(f"{str(kind)[:40]} of a tool's result")
    return fenced("\n".join(texts))
