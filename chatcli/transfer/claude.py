"""Claude.ai's data export: `conversations.json`, a list of conversations with their messages in chronological order."""

# The import takes questions and answers, thoughts, tool calls and their results, and the text of attached files. Of
# other files the export has only the names.

import json
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from chatcli.text import one_line
from chatcli.transfer.document import ThreadDocument, check_id, check_unique, refuse
from chatcli.transfer.foreign import Export, fenced, joined, quoted, read_conversations


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


def read_claude(data: Sequence[Mapping[str, Any]]) -> list[ThreadDocument]:
    """Return the threads in `data` that have messages, the one used last at the end."""
    return read_conversations(data, _Conversation, _document, lambda conversation: conversation.updated_at or "")


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
    """Return the messages of the branch used last; without parents, all messages are one branch."""
    messages = {message.uuid: message for message in conversation.chat_messages}
    if not any(message.parent_message_uuid in messages for message in messages.values()):
        return conversation.chat_messages
    newest = conversation.current_leaf_message_uuid
    last = messages[newest] if newest in messages else conversation.chat_messages[-1]
    branch: list[_Message] = []
    message: _Message | None = last
    while message is not None:
        branch.append(message)
        if len(branch) > len(messages):
            raise refuse(f"{where}.chat_messages", f"{last.uuid[:80]!r} is its own ancestor")
        message = messages.get(message.parent_message_uuid or "")
    return branch[::-1]


def _message(message: _Message, left_out: list[str]) -> BaseMessage | None:
    """Return `message` as langchain's, None if it is empty; add to `left_out` the parts that are not imported."""
    text = joined(*(_block(block, left_out) for block in message.content or [])) or (message.text or "")
    files: list[str] = []
    for attachment in [*(message.attachments or []), *(message.files or [])]:
        name = quoteattr(attachment.file_name or "file")
        if attachment.extracted_content:
            files.append(f"<file name={name}>\n{attachment.extracted_content}\n</file>")
        elif not any(file.startswith(f"<file name={name}>") for file in files):  # a file with text may be listed twice
            files.append(f"<file name={name}/>")
            left_out.append("file")
    text = joined(text, *files)
    if not text:
        return None
    return HumanMessage(text, id=message.uuid) if message.sender == "human" else AIMessage(text, id=message.uuid)


def _block(block: Mapping[str, Any], left_out: list[str]) -> str:
    """Return a content block as Markdown; add it to `left_out` if it can't be shown."""
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


def _tool_use(name: str, arguments: object) -> str:
    """Return a tool call as Markdown: an artifact as its document, any other call as the tool's name and arguments."""
    if name == "artifacts" and isinstance(arguments, Mapping) and isinstance(arguments.get("content"), str):
        title = one_line(str(arguments.get("title") or "Artifact"))
        kind, language = str(arguments.get("type") or ""), arguments.get("language")
        is_prose = "markdown" in kind or (not kind and language is None)
        content = arguments["content"]
        body = content if is_prose else fenced(content, str(language or kind.rpartition(".")[2]))
        return joined(f"**{title}**", body)
    if arguments in (None, {}):
        return f"Tool: `{name}`"
    return joined(f"Tool: `{name}`", fenced(json.dumps(arguments, ensure_ascii=False, indent=2), "json"))


def _result(content: object, left_out: list[str]) -> str:
    """Return the text of a tool's result, which is a string or a list of blocks, as a code block."""
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
