"""A graph that runs on a LangGraph server: LangGraph's RemoteGraph with our messages and errors."""

import re
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Interrupt, StateSnapshot
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError

from chatcli.errors import ChatcliError, GraphError, MissingFieldError
from chatcli.graphs.server.client import MESSAGE_LENGTH, ServerAddress, server_failures
from chatcli.graphs.server.messages import messages_from_json
from chatcli.text_lines import one_line

_REFUSALS = ("TypeError", "ValidationError")
"""The exceptions of a context's constructor when a field is missing."""


class ServerGraph(RemoteGraph):
    """The assistant `assistant_id`, called `name`, on `server`.

    Its states hold langchain's messages, a thread without a state has an empty one, and failures are ChatcliErrors.
    """

    def __init__(self, assistant_id: str, server: ServerAddress, client: LangGraphClient, name: str) -> None:
        super().__init__(assistant_id, client=client, name=name)
        self.server = server
        self.api = client

    async def aget_state(self, config: RunnableConfig, **options: Any) -> StateSnapshot:
        """Return the newest state of the thread that `config` names, or that at its checkpoint."""
        with server_failures(self.server):
            try:
                snapshot = await super().aget_state(config, **options)
            except (NotFoundError, TypeError):  # there is no such thread, or it has no run yet
                return StateSnapshot({}, (), config, None, None, None, (), ())
        values = snapshot.values if isinstance(snapshot.values, dict) else {}
        return snapshot._replace(values={**values, "messages": messages_from_json(values)})

    async def aupdate_state(
        self, config: RunnableConfig, values: dict[str, Any] | Any | None, as_node: str | None = None, **options: Any
    ) -> RunnableConfig:
        """Write `values` as the node `as_node`."""
        with server_failures(self.server):
            return await super().aupdate_state(config, values, as_node, **options)

    async def failure(self, error: RemoteException) -> ChatcliError:
        """Return the error to show for the app's exception `error`."""
        raised = error.args[0] if error.args else {}
        data = raised if isinstance(raised, dict) else {"message": raised}
        message = one_line(f"{data.get('error', 'error')}: {data.get('message', '')}")[:MESSAGE_LENGTH]
        if data.get("error") in _REFUSALS and (missing := await self._missing_fields(message)):
            return MissingFieldError(missing, "Give values in the context of the assistant on the server.")
        return GraphError(
            f"the app {self.name} failed on the server: {message}", remedy="See the server's log for the place."
        )

    async def _missing_fields(self, message: str) -> list[str]:
        """Return the required fields of the app's context that its exception names."""
        if not re.search("missing|required", message):
            return []
        with server_failures(self.server):
            schemas = await self.api.assistants.get_schemas(self.assistant_id)
        required = (schemas.get("context_schema") or {}).get("required") or []
        return [name for name in required if re.search(rf"\b{re.escape(name)}\b", message)]


def revive_interrupt(data: Any) -> Interrupt:
    """Return the interrupt that the server's JSON `data` holds."""
    return Interrupt(value=data["value"], id=data["id"], response_schema=data.get("response_schema"))
