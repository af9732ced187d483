"""Reads the resources and prompts of an MCP server. All of it is untrusted: it is bounded, and attached as data."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Literal

from mcp import Client, InputRequiredRoundsExceededError, MCPError, types
from pydantic import ValidationError

from chatcli.attachments.attachment import Attachment, identify
from chatcli.errors import UsageError
from chatcli.text import format_size, one_line
from chatcli.tools.mcp_resources import ServedPrompt, ServedResource
from chatcli.tools.mcp_session import MAX_LISTED, McpSession, Result, whole_list

MAX_BYTES = 20_000_000
"""The largest resource, and the largest prompt with all that it holds."""
MAX_PARTS = 50
MAX_TEXT = 200
"""The most characters of a name or a description in a list."""
_SPEAKERS = {"user": "User", "assistant": "Assistant"}


async def list_resources(session: McpSession) -> list[ServedResource]:
    """Return the resources that the server lists; none if it has none."""
    listed = await _list(session, "resources")
    return [ServedResource(str(each.uri), _short(each.title or each.name)) for each in listed]


async def list_prompts(session: McpSession) -> list[ServedPrompt]:
    """Return the prompts that the server lists; none if it has none, and none that can't be typed."""
    listed = await _list(session, "prompts")
    return [
        ServedPrompt(
            session.name,
            each.name,
            _short(each.description or each.title or ""),
            {_short(argument.name): bool(argument.required) for argument in each.arguments or ()},
        )
        for each in listed
        if each.name.isprintable() and not any(map(str.isspace, each.name)) and len(each.name) <= MAX_TEXT
    ]


async def complete_argument(session: McpSession, prompt: ServedPrompt, name: str, begun: str) -> list[str]:
    """Return the values that the server knows for the argument `name` of `prompt`; none if it completes nothing."""

    async def ask(connection: Client) -> Sequence[str]:
        if connection.server_capabilities.completions is None:
            return ()
        about = types.PromptReference(type="ref/prompt", name=prompt.name)
        return (await connection.complete(about, {"name": name, "value": begun})).completion.values

    values = (await _ask(session, f"/{prompt.command}", ask))[:MAX_LISTED]
    return [value for value in values if value.isprintable() and len(value) <= MAX_TEXT]


async def read_resource(session: McpSession, uri: str) -> list[Attachment]:
    """Return the resource `uri` as attachments, one for each of its parts."""
    name = f"{session.name}:{uri}"
    result = await _ask(session, name, lambda connection: connection.read_resource(uri))
    contents = result.contents[:MAX_PARTS]
    _refuse_large(name, contents)
    if not contents:
        raise UsageError(f"{name} can't be attached: it is empty")
    return [_attached(f"{session.name}:{one_line(str(part.uri))}", part) for part in contents]


async def read_prompt(
    session: McpSession, prompt: ServedPrompt, values: dict[str, str]
) -> tuple[str, list[Attachment]]:
    """Return the question that `prompt` makes of the `values` of its arguments, and what goes along with it."""
    name = f"/{prompt.command}"
    result = await _ask(session, name, lambda connection: connection.get_prompt(prompt.name, values))
    messages = result.messages[:MAX_PARTS]
    contents = [message.content for message in messages]
    _refuse_large(name, contents)
    texts: list[str] = []
    attachments: list[Attachment] = []
    several = len({message.role for message in messages}) > 1
    for message in messages:
        content = message.content
        if isinstance(content, types.TextContent):
            texts.append(f"{_SPEAKERS[message.role]}: {content.text}" if several else content.text)
        elif isinstance(content, types.EmbeddedResource):
            attachments.append(_attached(f"{session.name}:{one_line(str(content.resource.uri))}", content.resource))
        elif isinstance(content, types.ImageContent):
            image = f"{session.name}:image {len(attachments) + 1}"
            attachments.append(identify(image, _decoded(image, content.data)))
        elif isinstance(content, types.ResourceLink):
            attachments += await read_resource(session, str(content.uri))
        else:
            raise UsageError(f"{name} can't be used: it holds {content.type}, which no model takes here")
    if not any(text.strip() for text in texts):
        raise UsageError(f"{name} can't be used: it has no text")
    return "\n\n".join(texts), attachments


async def _list(session: McpSession, kind: Literal["resources", "prompts"]) -> list[Any]:

    async def ask(client: Client) -> list[Any]:
        if getattr(client.server_capabilities, kind) is None:
            return []
        return await whole_list(client.list_resources if kind == "resources" else client.list_prompts, kind)

    return await _ask(session, session.name, ask)


async def _ask(session: McpSession, name: str, send: Callable[[Client], Awaitable[Result]]) -> Result:
    """Return the server's answer; its errors become ours."""
    try:
        return await session.request(send)
    except (MCPError, InputRequiredRoundsExceededError) as error:
        raise UsageError(f"{name} can't be used: {one_line(str(error), MAX_TEXT)}") from None
    except ValidationError:
        raise UsageError(f"{name} can't be used: the server's answer is not valid MCP") from None


def _attached(name: str, part: types.TextResourceContents | types.BlobResourceContents) -> Attachment:
    if isinstance(part, types.TextResourceContents):
        return Attachment(name, "text", "text/plain", text=part.text, size=len(part.text.encode(errors="replace")))
    return identify(name, _decoded(name, part.blob))


def _decoded(name: str, data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        raise UsageError(f"{name} can't be attached: it is not valid base64") from None


def _refuse_large(name: str, contents: Iterable[Any]) -> None:
    size = 0
    for part in contents:
        held = getattr(part, "resource", part)
        size += sum(len(getattr(held, key, None) or "") for key in ("text", "blob", "data"))
    if size > MAX_BYTES:
        raise UsageError(f"{name} can't be used: it has {format_size(size)}, and the limit is {format_size(MAX_BYTES)}")


def _short(text: str) -> str:
    return one_line(text[: 2 * MAX_TEXT], MAX_TEXT)
