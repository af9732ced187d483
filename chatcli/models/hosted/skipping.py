"""Clients that skip a streamed event which they can't read: a part of the answer would be missing without a word.

Every other client raises, which `graph.retry` takes for an unreadable answer.
"""

from collections.abc import AsyncIterator
from typing import Any

from langchain_core.language_models import BaseChatModel

from chatcli.runtime.parse import read_json


def refuse_skipping(prefix: str, client: BaseChatModel) -> None:
    """Let `client`, of the provider `prefix`, raise where it would skip an event."""
    if prefix == "cohere":
        _watch_cohere(client)
    elif prefix in ("google_genai", "google_vertexai"):
        _watch_google(client)
    elif prefix == "nvidia":
        _watch_nvidia(client)


def require_object(data: str | bytes, *inside: str) -> None:
    """Return when `data` is a JSON object, as every event of every protocol is.

    Args:
        data: What an event holds.
        inside: Names of objects, each inside the one before; they may be missing.

    Raises:
        ValueError: `data`, or one of the objects in it, is anything else.

    """
    value = read_json(data)
    for name in (*inside, ""):
        if not isinstance(value, dict):
            raise ValueError(f"an event has {type(value).__name__} for an object")
        if (value := value.get(name)) is None:
            return


async def check_lines(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    """Yield `lines` of Cohere's server-sent events, each event's data checked before its end is given on.

    Raises:
        ValueError: The data of an event is no JSON object.

    """
    data: list[str] = []
    async for line in lines:
        if line.startswith("data:"):
            data.append(line[5:])
        elif not line and data:
            text = "\n".join(data).strip()
            data.clear()
            if text and text != "[DONE]":
                require_object(text, "delta", "message")
        yield line


def _watch_cohere(client: Any) -> None:
    import cohere
    import httpx

    async def check(response: httpx.Response) -> None:
        lines = response.aiter_lines
        response.aiter_lines = lambda: check_lines(lines())  # type: ignore[method-assign]

    key = client.cohere_api_key
    client.async_client = cohere.AsyncClient(
        api_key=key.get_secret_value() if hasattr(key, "get_secret_value") else key,
        client_name=client.user_agent,
        timeout=client.timeout_seconds,
        base_url=client.base_url,
        httpx_client=httpx.AsyncClient(
            timeout=client.timeout_seconds, follow_redirects=True, event_hooks={"response": [check]}
        ),
    )


def _watch_google(client: Any) -> None:
    api = client.client.aio._api_client
    request = api.async_request_streamed

    async def checked(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        return _check_bodies(await request(*args, **kwargs))

    api.async_request_streamed = checked


async def _check_bodies(responses: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for response in responses:
        require_object(response.body or "")
        yield response


def _watch_nvidia(client: Any) -> None:
    inner = client._async_client
    read = inner.postprocess

    def checked(line: str) -> Any:
        if line.startswith("data:"):
            require_object(line[5:])
        return read(line)

    object.__setattr__(inner, "postprocess", checked)  # its model takes no other attribute; each request copies it
