"""What single providers' clients need beyond their row in the table: one function a provider, listed at the end."""

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from chatcli.config.credentials import Access
from chatcli.models.names import ModelName
from chatcli.providers import BEDROCK, DATABRICKS, IBM
from chatcli.runtime.parse import read_json

# The packages of providers are imported inside the functions: each is installed only by its provider's extra.


def _find_aws_login_error() -> Exception | None:
    """Return AWS's own error about missing credentials, or None if it finds some.

    langchain's client reports a missing login and a missing region in the same words.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError

    if os.environ.get("AWS_BEARER_TOKEN_BEDROCK"):
        return None
    missing: Exception
    try:
        if boto3.Session().get_credentials() is not None:
            return None
        missing = NoCredentialsError()
    except PartialCredentialsError as error:
        missing = error
    except BotoCoreError:  # for example an unknown profile, which the client itself reports
        return None
    return missing


def _limit_ibm_silence(seconds: float) -> None:
    """Let IBM clients that are made from now on wait at most `seconds` for a server's next bytes.

    Their own default is half an hour. `ChatWatsonx` has no argument for it, and to hand it an `APIClient` would mean to
    repeat how it reads credentials. So the default that `APIClient` takes is changed.
    `test_silence_is_borne_as_long_as_the_timeout_says` fails when IBM changes it.
    """
    from httpx import Timeout
    from ibm_watsonx_ai.utils.utils import DEFAULT_HTTP_CLIENT_CONFIG

    DEFAULT_HTTP_CLIENT_CONFIG.timeout = Timeout(seconds)


def _make_databricks_client(name: ModelName, credentials: Access, options: Mapping[str, Any]) -> BaseChatModel:
    """Return the client of the serving endpoint `name` in the workspace that DATABRICKS_HOST names.

    langchain's `init_chat_model` does not know Databricks.
    """
    from databricks.sdk import WorkspaceClient
    from databricks_langchain import ChatDatabricks

    key = credentials.key
    workspace = WorkspaceClient(
        host=os.environ.get("DATABRICKS_HOST"),
        token=None if key is None else key.get_secret_value(),
    )

    class Client(ChatDatabricks):  # type: ignore[misc, unused-ignore]  # untyped where the package is not installed
        """Reports the usage once: ChatDatabricks sends it with the last text, and again after it."""

        # `_stream` is the method that langchain documents for clients to override.
        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
            return _usage_last(super()._stream(*args, **kwargs))

    client: BaseChatModel = Client(model=name.model, workspace_client=workspace, **options)
    return client


def _usage_last(chunks: Iterator[ChatGenerationChunk]) -> Iterator[ChatGenerationChunk]:
    """Yield `chunks` without their usage, and then one more chunk with the last usage."""
    usage = None
    for chunk in chunks:
        message = chunk.message
        assert isinstance(message, AIMessageChunk)
        usage, message.usage_metadata = message.usage_metadata or usage, None
        yield chunk
    if usage is not None:
        yield ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=usage))


# The clients of Cohere, Google and NVIDIA skip a streamed event that they can't read, so a part of the answer would be
# missing without notice. The functions below make them raise, as every other client does; `graphs.chat.receive` turns
# that into an unreadable answer. Only Cohere has a public way in (its HTTP client). For the other two, attributes of
# their clients are replaced; `test_an_unreadable_event_is_reported_and_what_came_before_is_kept` fails when these move.


def _check_cohere_events(client: Any) -> None:
    import cohere
    import httpx

    async def check(response: httpx.Response) -> None:
        lines = response.aiter_lines
        response.aiter_lines = lambda: _check_lines(lines())  # type: ignore[method-assign]

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


async def _check_lines(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    """Yield `lines` of Cohere's server-sent events; check the data of each event before its last line is passed on.

    Raises:
        ValueError: The data of an event is not a JSON object.

    """
    data: list[str] = []
    async for line in lines:
        if line.startswith("data:"):
            data.append(line[5:])
        elif not line and data:
            text = "\n".join(data).strip()
            data.clear()
            if text and text != "[DONE]":
                _require_object(text, "delta", "message")
        yield line


def _check_google_events(client: Any) -> None:
    api = client.client.aio._api_client
    request = api.async_request_streamed

    async def checked(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        return _check_bodies(await request(*args, **kwargs))

    api.async_request_streamed = checked


async def _check_bodies(responses: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for response in responses:
        _require_object(response.body or "")
        yield response


def _check_nvidia_events(client: Any) -> None:
    inner = client._async_client
    read = inner.postprocess

    def checked(line: str) -> Any:
        if line.startswith("data:"):
            _require_object(line[5:])
        return read(line)

    object.__setattr__(inner, "postprocess", checked)  # its model takes no other attribute; each request copies it


def _require_object(data: str | bytes, *inside: str) -> None:
    """Return if `data` is a JSON object, as every event of every protocol is.

    Args:
        data: The content of an event.
        inside: Names of objects, each inside the one before; they may be missing.

    Raises:
        ValueError: `data`, or one of the objects in it, is something else.

    """
    value = read_json(data)
    for name in (*inside, ""):
        if not isinstance(value, dict):
            raise ValueError(f"an event has {type(value).__name__} instead of an object")
        if (value := value.get(name)) is None:
            return


BEFORE_CLIENT: Mapping[str, Callable[[float], None]] = {IBM: _limit_ibm_silence}
"""Called with the timeout in seconds before the client of the provider is made."""

MAKE_CLIENT: Mapping[str, Callable[[ModelName, Access, Mapping[str, Any]], BaseChatModel]] = {
    DATABRICKS: _make_databricks_client,
}
"""Used instead of `init_chat_model`."""

AFTER_CLIENT: Mapping[str, Callable[[BaseChatModel], None]] = {
    "cohere": _check_cohere_events,
    "google_genai": _check_google_events,
    "google_vertexai": _check_google_events,
    "nvidia": _check_nvidia_events,
}
"""Called with the new client."""

FIND_LOGIN_ERROR: Mapping[str, Callable[[], Exception | None]] = {BEDROCK: _find_aws_login_error}
"""Asked when a client can't be made: the error of a missing login, or None if the login is not the reason."""
