"""What a conversation asks its MCP servers outside of a turn: for their resources and prompts."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from chatcli.attachments.attachment import Attachment
from chatcli.config.settings import TOOL_SECONDS, Settings
from chatcli.errors import UsageError
from chatcli.runtime.background import Stoppable

if TYPE_CHECKING:
    from chatcli.graphs.chat.session import ChatSession
    from chatcli.tools.mcp_resources import ServedPrompt, ServedResource
    from chatcli.tools.mcp_session import McpSession

Result = TypeVar("Result")


@dataclass(eq=False)
class McpServers:
    """The MCP servers of the settings, while the plain chat answers; a graph has none. One is asked at a time.

    What asks a server raises `InterruptedTurnError` where `interrupt` stopped it, else a `ChatcliError` where it fails.
    """

    _settings: Settings
    _has_own_graph: Callable[[], bool]
    _chat_session: "Callable[[], Awaitable[ChatSession]]"
    _asking: Stoppable = field(default_factory=Stoppable)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        servers = {} if self._settings.tools is False else self._settings.servers()
        return tuple(name for name, server in servers.items() if not server.disabled)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the servers whose resources and prompts can be used."""
        return () if self._has_own_graph() else self._names

    async def starting(self) -> list[str]:
        """Return the servers that are started when one is used next."""
        return (await self._chat_session()).toolbox.starting

    async def resources(self, server: str) -> "list[ServedResource]":
        """Return the resources that `server` lists."""
        return await self._ask(server, lambda offers, session: offers.list_resources(session))

    async def prompts(self, server: str) -> "list[ServedPrompt]":
        """Return the prompts that `server` lists."""
        return await self._ask(server, lambda offers, session: offers.list_prompts(session))

    async def values(self, prompt: "ServedPrompt", argument: str, begun: str) -> list[str]:
        """Return the values that its server knows for an argument of `prompt` that begins with `begun`."""
        return await self._ask(
            prompt.server, lambda offers, session: offers.complete_argument(session, prompt, argument, begun)
        )

    async def read_prompt(self, prompt: "ServedPrompt", values: dict[str, str]) -> tuple[str, list[Attachment]]:
        """Return the question that `prompt` makes of `values`, and its files."""
        return await self._ask(prompt.server, lambda offers, session: offers.read_prompt(session, prompt, values))

    async def read_resources(self, named: Iterable[tuple[str, str]]) -> list[Attachment]:
        """Return the resources that are `named` by server and URI; those of servers that are not used are left out."""
        read: list[Attachment] = []
        for server, uri in named:
            if server in self.names:
                read += await self._read_resource(server, uri)
        return read

    async def _read_resource(self, server: str, uri: str) -> list[Attachment]:
        return await self._ask(server, lambda offers, session: offers.read_resource(session, uri))

    def interrupt(self) -> bool:
        """Stop what a server is asked; return whether one is."""
        return self._asking.stop()

    async def _ask(self, server: str, ask: "Callable[[Any, McpSession], Awaitable[Result]]") -> Result:
        async def work() -> Result:
            session = await (await self._chat_session()).toolbox.session(server)
            async with asyncio.timeout(self._settings.tool_timeout or TOOL_SECONDS):
                return await ask(await asyncio.to_thread(import_module, "chatcli.tools.mcp_offers"), session)

        try:
            return await self._asking.run(work(), f"stopped before the MCP server {server} answered")
        except TimeoutError:
            raise UsageError(f"the MCP server {server} did not answer in time") from None
