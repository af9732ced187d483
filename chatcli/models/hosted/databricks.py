"""The client of Databricks, which langchain's `init_chat_model` does not know."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from chatcli.config.credentials import Access
from chatcli.models.names import ModelName


def databricks_client(name: ModelName, credentials: Access, options: Mapping[str, Any]) -> BaseChatModel:
    """Return the client of the serving endpoint `name` of the workspace that DATABRICKS_HOST names."""
    from databricks.sdk import WorkspaceClient
    from databricks_langchain import ChatDatabricks

    key = credentials.key
    workspace = WorkspaceClient(
        host=os.environ.get("DATABRICKS_HOST"),
        token=None if key is None else key.get_secret_value(),
    )

    class Client(ChatDatabricks):  # type: ignore[misc, unused-ignore]  # untyped where the package is not installed
        """Tells the usage once: ChatDatabricks tells it with an answer's last words, and again after them."""

        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
            return _usage_last(super()._stream(*args, **kwargs))

    client: BaseChatModel = Client(model=name.model, workspace_client=workspace, **options)
    return client


def _usage_last(chunks: Iterator[ChatGenerationChunk]) -> Iterator[ChatGenerationChunk]:
    """Yield `chunks` without the usage that they tell, and after them the last of it."""
    usage = None
    for chunk in chunks:
        message = chunk.message
        assert isinstance(message, AIMessageChunk)
        usage, message.usage_metadata = message.usage_metadata or usage, None
        yield chunk
    if usage is not None:
        yield ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=usage))
