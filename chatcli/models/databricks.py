"""The client of Databricks, which langchain's `init_chat_model` does not know."""

import os
from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel

from chatcli.models.names import ModelName
from chatcli.settings import Credentials


def databricks_client(name: ModelName, credentials: Credentials, options: Mapping[str, Any]) -> BaseChatModel:
    """Return the client of the serving endpoint `name` of a workspace: the user's base URL, or DATABRICKS_HOST."""
    from databricks.sdk import WorkspaceClient
    from databricks_langchain import ChatDatabricks

    key = credentials.key
    workspace = WorkspaceClient(
        host=credentials.base_url or os.environ.get("DATABRICKS_HOST"),
        token=None if key is None else key.get_secret_value(),
    )
    client: BaseChatModel = ChatDatabricks(model=name.model, workspace_client=workspace, **options)
    return client
