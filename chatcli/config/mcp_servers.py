"""The MCP servers that the user names: in config.toml, or in a JSON file as other clients use it."""

import json
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Self

from chatcli.config.secrets import names_secret, redact
from chatcli.config.values import read_value
from chatcli.errors import UsageError, usage_errors
from chatcli.runtime.files import read_file
from chatcli.runtime.parse import read_json

_VARIABLE = re.compile(r"\$\{(?:env:)?(\w+)(?::-([^}]*))?\}")
_REFERENCE = re.compile(r"(?:(?:Basic|Bearer|Token) )?\$\{(?:env:)?\w+\}")
"""A variable alone, or behind a scheme. What else stands there may be a key, as a default may."""
_TRANSPORTS = {
    "stdio": "stdio",
    **dict.fromkeys(("http", "streamable-http", "streamable_http", "streamableHttp"), "http"),
    "sse": "sse",
}
"""The transports, by the names that clients use."""

_NO_KEYS = ("literal", "confined_in")
"""The fields of a server that are no keys of its table."""


def _known_transport(name: str) -> str:
    if name not in _TRANSPORTS:
        raise ValueError(f"stdio or http, not {name!r}")
    return _TRANSPORTS[name]


def _as_texts(table: Mapping[str, object]) -> dict[str, str]:
    """Return the values as text, which variables are: a port may be written as a number."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in table.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """One server: a `command` that speaks MCP on its standard input and output, or the `url` of one.

    Values may hold `${NAME}` and `${NAME:-default}`, which are filled from the environment when the server is started;
    so the file needs no keys.
    """

    command: str | None = None
    # Hidden, since these may hold keys.
    args: tuple[str, ...] = field(default=(), repr=False)
    env: Annotated[dict[str, str], _as_texts] = field(default_factory=dict, repr=False)
    headers: Annotated[dict[str, str], _as_texts] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    url: str | None = None
    client_id: str | None = None
    """The client that the user registered for logins to the server, or the URL of its metadata document (https)."""
    client_secret: str | None = field(default=None, repr=False)
    type: Annotated[str, _known_transport] | None = None
    disabled: bool = False
    literal: bool = field(default=False, repr=False)
    """Whether `${NAME}` stays as it is, as in every value of a `.env`."""
    confined_in: str = field(default="", repr=False)
    """The folder in which alone the command may write, without the network; empty if it is not confined."""

    @classmethod
    def read(cls, table: object) -> Self:
        """Return the server that a table describes. Raises `ValueError` if it describes none."""
        if not isinstance(table, Mapping):
            raise ValueError(f"a table, not {table!r}")
        kinds = {one.name: one.type for one in fields(cls) if one.name not in _NO_KEYS}
        if unknown := sorted(set(table) - set(kinds)):
            raise ValueError(f"{unknown[0]} is not a key of a server; the keys are {', '.join(kinds)}")
        values = {}
        for name, value in table.items():
            try:
                values[name] = read_value(kinds[name], value)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        if ("command" in values) == ("url" in values):
            raise ValueError("a server has either a command or a url")
        return cls(**values)

    def __str__(self) -> str:
        return self.command or self.url or ""

    def describe(self) -> str:
        """Return what it runs, or where it is, with its variables and headers; keys are hidden."""
        given = [
            f"{name}={'***' if names_secret(name) and not _REFERENCE.fullmatch(value) else value}"
            for name, value in (self.env | self.headers).items()
        ]
        if self.command is None:
            return " ".join((redact(self.url or "", []), *given))
        # Nothing else is hidden: a user decides by this whether to trust the command.
        folder = [f"(in {self.cwd})"] if self.cwd else []
        confined = ["(confined)"] if self.confined_in else []
        return " ".join((*given, shlex.join((self.command, *self.args)), *folder, *confined))

    def command_path(self) -> str | None:
        """Return the path of the command; None if it is not found."""
        path = self.env.get("PATH", os.environ.get("PATH"))
        return shutil.which(os.path.expanduser(self.command or ""), path=path)  # noqa: PTH111 - it may be only a name

    def filled(self) -> Self:
        """Return the server with the environment's values in it."""
        if self.literal:
            return self
        given = [one.name for one in fields(self) if one.name not in _NO_KEYS]
        return replace(self, **{name: _fill(getattr(self, name)) for name in given})


def read_tables(tables: Mapping[str, object]) -> dict[str, McpServer]:
    """Return the servers of the tables `[mcp.NAME]`, by name. Raises `ValueError` if one describes no server."""
    servers = {}
    for name, table in tables.items():
        try:
            servers[name] = McpServer.read(table)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return servers


def read_servers(path: Path) -> dict[str, McpServer]:
    """Return the servers of the JSON file at `path`, by name: `{"mcpServers": {"NAME": {"command": ...}}}`.

    Keys that only other clients know are ignored.
    """
    try:
        content = read_file(path.expanduser(), pipe=True)
    except (OSError, ValueError) as error:
        reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else error
        raise UsageError(f"the MCP servers in {path} can't be read: {reason}") from None
    return parse_servers(content, path)


def parse_servers(content: bytes, path: Path, *, confined_in: str = "") -> dict[str, McpServer]:
    """Return the servers in the `content` of the JSON file at `path`, which are `confined_in` a folder, if given.

    Raises `UsageError` if it can't be read.
    """
    with usage_errors(f"{path} is not JSON: "):
        document = read_json(content.decode())
    listed = document.get("mcpServers", document.get("servers")) if isinstance(document, dict) else None
    if not isinstance(listed, dict):
        raise UsageError(f"{path} names no MCP servers", remedy='It should hold {"mcpServers": {"NAME": {...}}}.')
    known, servers = {one.name for one in fields(McpServer) if one.name not in _NO_KEYS}, {}
    for name, entry in listed.items():
        table = {key: value for key, value in entry.items() if key in known} if isinstance(entry, Mapping) else entry
        with usage_errors(f"the MCP server {name} in {path}: "):
            servers[str(name)] = replace(McpServer.read(table), confined_in=confined_in)
    return servers


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
