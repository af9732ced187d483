"""What this process offers an MCP server: the current folder, a place for its log, and the user's answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcp import ClientSession, McpError, types
from pydantic import FileUrl

from chatcli.events import Notice, Progress
from chatcli.text_lines import one_line

MAX_LOGGED = 200
"""The most lines that a server may log from one call to the next."""
MAX_LINE = 1000
"""The most characters of such a line."""
_WARNINGS = ("warning", "error", "critical", "alert", "emergency")


def _ignore(event: Progress | Notice) -> None:
    return None


class Host:
    """What the server `name` may ask this process for. All that it sends is untrusted.

    Args:
        name: The server.
        announce: Shows an event to the user, in the running turn or the next one.
        debug: Whether the user wants to see what the server logs.

    """

    def __init__(
        self, name: str, announce: Callable[[Progress | Notice], None] = _ignore, *, debug: bool = False
    ) -> None:
        self.name = name
        self.announce = announce
        self._debug = debug
        self._logged = 0

    def begin_call(self) -> None:
        """Note that a call begins: the server may log again."""
        self._logged = 0

    async def choose_log_level(self, session: ClientSession) -> None:
        """Ask the server for its whole log, if the user wants to see it."""
        capabilities = session.get_server_capabilities()
        if self._debug and capabilities is not None and capabilities.logging is not None:
            try:
                await session.set_logging_level("debug")
            except McpError as error:
                self.announce(Notice(f"{self.name} does not let its log be chosen: {one_line(str(error), MAX_LINE)}"))

    async def log(self, params: types.LoggingMessageNotificationParams) -> None:
        """Show what the server logs, with `--debug`."""
        self._logged += 1
        if not self._debug or self._logged > MAX_LOGGED:
            return
        text = params.data if isinstance(params.data, str) else repr(params.data)
        logger = f" {params.logger}" if params.logger else ""
        line = one_line(f"{self.name}{logger} [{params.level}]: {text[:MAX_LINE]}", MAX_LINE)
        self.announce(Notice(line, "warning" if params.level in _WARNINGS else "info"))
        if self._logged == MAX_LOGGED:
            self.announce(Notice(f"{self.name} logs more than {MAX_LOGGED} lines: the rest is left out"))

    async def list_roots(self, context: Any) -> types.ListRootsResult:
        """Return the current folder, where the built-in tools work too."""
        folder = Path.cwd()
        return types.ListRootsResult(roots=[types.Root(uri=FileUrl(folder.as_uri()), name=folder.name or None)])
