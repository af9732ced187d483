"""Converts the tools of MCP servers, and what they return, to those of LangChain."""

from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool, ToolException
from mcp import types

from chatcli.text import one_line


def as_langchain_tool(
    tool: types.Tool, call: Callable[[str, dict[str, Any]], Awaitable[types.CallToolResult]]
) -> BaseTool:
    """Return `tool` under the name that its server gives it; `call` calls it by this name."""

    async def run(**arguments: Any) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        result = await call(tool.name, arguments)
        blocks = [_block(part) for part in result.content]
        if result.is_error:
            raise ToolException(blocks or "the tool failed and gave no reason")
        structured = result.structured_content
        return blocks, None if structured is None else {"structured_content": structured}

    return StructuredTool(
        name=tool.name,
        description=tool.description or "",
        args_schema={"properties": {}, **tool.input_schema},  # langchain takes it for given
        coroutine=run,
        response_format="content_and_artifact",
        metadata=tool.annotations.model_dump(by_alias=True) if tool.annotations is not None else None,
        handle_tool_error=True,
    )


def _block(part: types.ContentBlock) -> dict[str, Any]:
    """Return `part` as a block of a message. Sound, for which LangChain's tools have no block, is named."""
    held = part.resource if isinstance(part, types.EmbeddedResource) else part
    if isinstance(held, types.TextContent | types.TextResourceContents):
        return {"type": "text", "text": held.text}
    if isinstance(held, types.AudioContent):
        return {"type": "text", "text": f"[{one_line(held.mime_type, 100)}: can't be shown to the model]"}
    kind = "image" if (held.mime_type or "").startswith("image/") else "file"
    if isinstance(held, types.ResourceLink):
        return {"type": kind, "mime_type": held.mime_type, "url": held.uri}
    data = held.data if isinstance(held, types.ImageContent) else held.blob
    return {"type": kind, "mime_type": held.mime_type, "base64": data}
