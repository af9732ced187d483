"""MCP servers as the user names them: in config.toml, or in a file of the form that other clients use."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from chatcli.errors import UsageError

_VARIABLE = re.compile(r"\$\{(?:env:)?(\w+)(?::-([^}]*))?\}")


def _known_transport(value: object) -> object:
    """Read the names that clients have for streamable HTTP."""
    return "http" if value in ("streamable-http", "streamable_http", "streamableHttp") else value


class McpServer(BaseModel):
    """One server: a `command` that speaks MCP on its standard input and output, or the `url` of one.

    Values may hold `${NAME}` and `${NAME:-default}`, which the environment fills when the server is started; so no
    key needs to stand in the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str | None = None
    # Hidden, since these may hold keys.
    args: tuple[str, ...] = Field(default=(), repr=False)
    env: dict[str, str] = Field(default_factory=dict, repr=False)
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    cwd: Path | None = None
    url: str | None = None
    type: Annotated[Literal["stdio", "http", "sse"] | None, BeforeValidator(_known_transport)] = None
    disabled: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("an MCP server has either a command or a url")
        return self

    def filled(self) -> Self:
        """Return the server with the environment's values in it.

        Raises:
            UsageError: It names a variable that is not set and has no default.

        """
        filled = {name: _fill(value) for name, value in self.model_dump(exclude_unset=True).items()}
        return self.model_validate(filled)


def read_servers(path: Path) -> dict[str, McpServer]:
    """Return the servers of the JSON file at `path`, by name: `{"mcpServers": {"NAME": {"command": ...}}}`.

    What other clients keep there besides is left unread.

    Raises:
        UsageError: It can't be read, or holds no servers.

    """
    try:
        document = json.loads(path.expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the MCP servers in {path} can't be read: {(error.strerror or str(error)).lower()}") from None
    except ValueError as error:
        raise UsageError(f"{path} is no JSON: {error}") from None
    listed = document.get("mcpServers", document.get("servers")) if isinstance(document, dict) else None
    if not isinstance(listed, dict):
        raise UsageError(f"{path} names no MCP servers", remedy='It should hold {"mcpServers": {"NAME": {...}}}.')
    return {str(name): _read_server(path, str(name), entry) for name, entry in listed.items()}


def _read_server(path: Path, name: str, entry: Any) -> McpServer:
    if not isinstance(entry, dict):
        raise UsageError(f"the MCP server {name} in {path} is no object")
    try:
        return McpServer(**{key: value for key, value in entry.items() if key in McpServer.model_fields})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, problem["loc"]))
        message = problem["msg"].removeprefix("Value error, ")
        raise UsageError(f"the MCP server {name} in {path}: {f'{place}: ' if place else ''}{message}") from None


def _fill(value: Any) -> Any:
    """Return `value` with the variables in every text of it filled in."""
    if isinstance(value, str):
        return _VARIABLE.sub(_variable, value)
    if isinstance(value, Mapping):
        return {key: _fill(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_fill, value))
    return value


def _variable(match: re.Match[str]) -> str:
    name, default = match.group(1), match.group(2)
    value = os.environ.get(name, default)
    if value is None:
        raise UsageError(f"it needs the environment variable {name}, which is not set")
    return value
