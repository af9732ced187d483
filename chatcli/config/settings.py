"""The settings of a run, from their sources: option > environment > trusted .env > config file > default.

Every option of `chat` (`runtime.options`) is a field here. Its environment variable is `CHATCLI_` and the field's name
in capitals, its config-file key is the field's name. `.env.example` lists them all.
"""

import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from chatcli import paths
from chatcli.config import files as sources
from chatcli.config.booleans import FALSE
from chatcli.config.credentials import OPENAI_KEY_VARIABLES, SERVER_KEY_VARIABLES, Credentials, key_variables
from chatcli.config.grants import check_named
from chatcli.config.providers import PROVIDERS
from chatcli.config.secrets import Secret
from chatcli.config.thread_ids import check_thread_id
from chatcli.config.trust import MCP_FILE, FolderFile
from chatcli.config.values import (
    HeaderTable,
    ValueTable,
    http_url,
    not_negative,
    positive,
    read_value,
    style_of_code,
    tool_rules,
)
from chatcli.errors import UsageError
from chatcli.runtime.options import OPTIONS, scoped
from chatcli.runtime.program import Program, command, current_program
from chatcli.text import did_you_mean

if TYPE_CHECKING:
    from chatcli.config.mcp_servers import McpServer

Format = Literal["text", "markdown", "json", "jsonl"]
FORMATS = get_args(Format)
ColorMode = Literal["auto", "always", "never"]
ThemeName = Literal["auto", "dark", "light", "mono"]
THEMES = get_args(ThemeName)
EditingMode = Literal["emacs", "vi"]
Notify = Literal["auto", "bell", "off"]
Titles = Literal["auto", "model", "question"]
ToolMode = Literal["plan", "ask", "edit", "auto", "yes"]
"""Which calls of tools run without a question: those that a rule allows (`ask`), edits in the folder, too (`edit`), and
confined commands (`auto`), or all (`yes`). In `plan`, only tools that read run at all."""
ANSWER_SECONDS = 120.0
"""Seconds that a model may send nothing, retries included, unless --timeout is given."""
KEPT_ALIVE_SECONDS = 600.0
"""The same for a model's server that keeps the connection alive by what is no part of an answer."""
LOCAL_ANSWER_SECONDS = 600.0
"""The same for the local model, in seconds: it reads a full window for more than a minute, on a busy machine longer."""
TOOL_SECONDS = 60.0
"""Seconds that a tool call may take, unless --tool-timeout or --timeout is given."""
DEFAULT = "default"
"""The source of a value that is not set."""
PLAIN_CHAT = scoped("model")
"""The settings of models and tools, which a user graph and a server do not take."""
GRAPH_VALUES = scoped("graph")
"""The settings that only a user graph and a server take."""
NOT_OF_A_PROGRAM = frozenset(
    (
        *(*scoped("model", "chat"), "input_key", "output_key", "node", "mcp_servers", "aliases", "openai_base_url"),
        *("openai_api_key", "langflow_url", "local_model", "langgraph_api_key", "titles"),
    )
)
"""The settings that a builder's program with a graph of its own does not have."""
OF_ONE_RUN = frozenset(scoped("run"))
"""The settings that are about one run of one program, so that those of `chat` do not hold for another program."""
NEVER_OF_A_FOLDER = scoped("user")
"""The settings that no `.env` sets, trusted or not: only the user attaches, asks and approves."""


def _is_accessible() -> bool:
    """Return whether ACCESSIBLE is set, by which users of screen readers ask every program for plain text."""
    return os.environ.get("ACCESSIBLE", "").lower() not in ("", *FALSE)


def _read_mcp_tables(tables: Mapping[str, object]) -> "dict[str, McpServer]":
    from chatcli.config.mcp_servers import read_tables

    return read_tables(tables)


def _variables(*names: str) -> dict[str, tuple[str, ...]]:
    """Return the metadata of a field whose variables have other names; the first that is set is used."""
    return {"variables": names}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one run; keys are `Secret`, so that no repr or log shows them.

    A field's annotation says how its value is read (`values.read_value`): `Annotated` adds checks, functions that
    return the value or raise ValueError. No pydantic here: importing it takes as long as showing a whole prompt.
    """

    thread: Annotated[str, check_thread_id] | None = None
    no_save: bool = False
    model: str | None = None
    aliases: dict[str, str] = field(default_factory=dict)
    base_url: Annotated[str, http_url] | None = None
    openai_base_url: Annotated[str, http_url] | None = field(
        default=None, metadata=_variables("CHATCLI_OPENAI_BASE_URL", "OPENAI_BASE_URL")
    )
    langflow_url: Annotated[str, http_url] | None = field(
        default=None, metadata=_variables("CHATCLI_LANGFLOW_URL", "LANGFLOW_URL")
    )
    tweak: dict[str, dict[str, Any]] = field(default_factory=dict)
    system: str | None = None
    role: str | None = None
    var: dict[str, str] = field(default_factory=dict)
    temperature: Annotated[float, not_negative] | None = None
    max_tokens: Annotated[int, positive] | None = None
    context_tokens: Annotated[int, positive] | None = None
    auto_compact: bool = False
    max_cost: Annotated[float, positive] | None = None
    format: Format | None = None
    # Hidden, since a PostgreSQL URI may hold a password.
    store: str | None = field(default=None, repr=False)
    # A LangGraph server; hidden, since a URL may hold a password too.
    url: Annotated[str, http_url] | None = field(default=None, repr=False)
    assistant: str | None = None
    header: HeaderTable = field(default_factory=HeaderTable, repr=False)
    langgraph_api_key: Secret | None = field(default=None, metadata=_variables(*SERVER_KEY_VARIABLES))
    quiet: bool = False
    color: ColorMode = "auto"
    theme: ThemeName = "auto"
    code_theme: Annotated[str, style_of_code] = "auto"
    editing_mode: EditingMode = "emacs"
    notify: Notify = "auto"
    notify_after: Annotated[float, not_negative] = 10.0
    titles: Titles = "auto"
    greeting: bool = True
    plain: bool = field(default_factory=_is_accessible)
    file: tuple[str, ...] = ()
    docs: tuple[str, ...] = ()
    semantic: bool = True
    no_instructions: bool = False
    no_memory: bool = False
    share_memory: bool = False
    allow_private_urls: bool = False
    script: str | None = None
    graph: str | None = None
    # What a graph gets beside the messages; hidden, since one of them may be a key.
    context: ValueTable = field(default_factory=ValueTable, repr=False)
    configurable: ValueTable = field(default_factory=ValueTable, repr=False)
    input: ValueTable = field(default_factory=ValueTable, repr=False)
    input_key: str | None = None
    output_key: str | None = None
    node: tuple[str, ...] = ()
    resume_with: str | None = None
    schema_file: Path | None = field(default=None, metadata=_variables("CHATCLI_SCHEMA"))
    timeout: Annotated[float, positive] | None = None
    tools: bool | None = None
    # The config file's tables [mcp.NAME]; --mcp names a file of more.
    mcp_servers: Annotated[dict[str, "McpServer"], _read_mcp_tables] = field(default_factory=dict)
    mcp_file: Path | None = field(default=None, metadata=_variables("CHATCLI_MCP"))
    allow: Annotated[tuple[str, ...], tool_rules] = ()
    recall: bool = False
    yes: bool = False
    auto: bool = False
    sandbox: bool = True
    max_steps: Annotated[int, positive] = 25
    tool_timeout: Annotated[float, positive] | None = None
    helper: bool = True
    debug: bool = False
    local_model: Path | None = None
    openai_api_key: Secret | None = field(default=None, metadata=_variables(*OPENAI_KEY_VARIABLES))

    # Not settings: their sources, and the keys that `credentials` has found. Copies of the settings share these keys.
    _given: frozenset[str] = field(default=frozenset(), repr=False)
    _written: frozenset[str] = field(default=frozenset(), repr=False)
    _dotenv: dict[str, str] = field(default_factory=dict, repr=False)
    _folder: sources.FolderSettings[str] = field(default_factory=sources.FolderSettings, repr=False)
    _project: Path | None = field(default=None, repr=False)
    """The folder whose MCP servers are used if the user trusts them; None for a program without any."""
    _known_keys: dict[str, Secret] = field(default_factory=dict, repr=False)
    _remembered: bool = field(default=False, repr=False)

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of all settings."""
        return [one.name for one in fields(cls) if not one.name.startswith("_")]

    @classmethod
    def load(
        cls, options: dict[str, Any] | None = None, program: Program | None = None, folder: Path | None = None
    ) -> Self:
        """Return the settings of all sources; `options` are those of the command line, None if not given.

        They are those of `program`, None for the one that runs, with the `.env` of `folder`, None for the current one.
        """
        given = {name: value for name, value in (options or {}).items() if value is not None}
        program = program or current_program()
        # A key in it is for a model of `chat`'s own: where a graph answers, it is none of our business.
        found = sources.read_dotenv(folder) if program.graph is None else sources.FolderSettings()
        settable = _settable_variables() if found.trusted else set()
        dotenv = {variable: value for variable, value in found.values.items() if variable in settable}
        written = _by_field(sources.read_config_file())
        texts = {**written, **_set_by(dotenv), **_set_by(os.environ)}
        texts = {name: texts[name] for name in texts.keys() - program.without - program.not_from_user}
        texts = {**texts, **program.settings, **given}
        own = program.settings.keys() | given.keys()
        origins = {name: text for name, text in _origins(written, dotenv).items() if name not in own}
        settings = cls(
            **read_fields(texts, origins),
            _given=frozenset(given),
            _written=frozenset(written),
            _dotenv=dotenv,
            _folder=found,
            _project=None if "mcp_servers" in program.without else (folder or Path()),
        )
        if settings.is_dotenv("mcp_servers"):
            literal = {name: replace(server, literal=True) for name, server in settings.mcp_servers.items()}
            settings = replace(settings, mcp_servers=literal)
        return settings

    def with_options(self, options: dict[str, Any]) -> Self:
        """Return these settings, overridden by the options of a sub-command, None if not given."""
        given = {name: value for name, value in options.items() if value is not None}
        return replace(self, **read_fields(given), _given=self._given | set(given))

    def read_again(self, folder: Path | None = None) -> Self:
        """Return the settings of the same options, read again from the other sources, with the `.env` of `folder`."""
        return type(self).load({name: getattr(self, name) for name in self._given}, folder=folder)

    def is_option(self, name: str) -> bool:
        """Return whether the command line itself sets the field `name`."""
        return name in self._given

    def refuse_options(self, names: Iterable[str], what: str, remedy: str = "Leave it out.") -> None:
        """Refuse the options `names` on the command line, which have no effect on `what`."""
        for name in filter(self.is_option, names):
            raise UsageError(f"{_flag(name)} has no effect on {what}", remedy=remedy)

    def source(self, name: str) -> str:
        """Return the source of the value of the field `name`, in words: `option`, `environment NAME`, and so on."""
        if self.is_option(name):
            return "option"
        if variable := _variable_of(name, os.environ):
            return f"environment {variable}"
        if _variable_of(name, self._dotenv):
            return ".env"
        return "config file" if name in self._written else DEFAULT

    def is_dotenv(self, name: str) -> bool:
        """Return whether the value of the field `name` comes from the trusted `.env` of this folder."""
        return self.source(name) == ".env"

    def outranks(self, name: str, other: str) -> bool:
        """Return whether the source of `name` goes before that of `other`; a variable counts as an option."""
        return self._rank(name) < self._rank(other)

    def _rank(self, name: str) -> int:
        return {".env": 1, "config file": 2, DEFAULT: 2}.get(self.source(name), 0)

    @property
    def folder(self) -> sources.FolderSettings[str]:
        """The `.env` of the current folder, trusted or not."""
        return self._folder

    def servers(self) -> "dict[str, McpServer]":
        """Return the MCP servers of the project, if trusted, the config file and the file of `--mcp`, by name.

        A later one takes the place of an earlier one of its name: a project replaces none of the user's.
        """
        project = self.project_servers()
        found = {**project.values, **self.mcp_servers} if project.trusted else self.mcp_servers
        if self.mcp_file is None:
            return found
        from chatcli.config.mcp_servers import read_servers

        return found | read_servers(self.mcp_file)

    def project_servers(self) -> "sources.FolderSettings[McpServer]":
        """Return the MCP servers that the folder's `.mcp.json` names. They are code: none is used without trust."""
        if self._project is None or not os.path.lexists(self._project / MCP_FILE):
            return sources.FolderSettings()
        from chatcli.config.mcp_servers import parse_servers

        def parse(file: FolderFile) -> "dict[str, McpServer]":
            return parse_servers(file.content, Path(MCP_FILE), confined_in=str(file.folder) if self.sandbox else "")

        return sources.read_folder_settings(MCP_FILE, self._project, parse)

    @property
    def tool_mode(self) -> ToolMode:
        """Which calls of tools run without a question."""
        return "yes" if self.yes else "auto" if self.auto else "ask"

    @property
    def openai_endpoint(self) -> str | None:
        """The base URL of the OpenAI-compatible server that the user named, if any."""
        return self.base_url or self.openai_base_url

    @property
    def credentials(self) -> Credentials:
        """The keys of providers and the servers that they go to."""
        return Credentials(self, self._dotenv, self._known_keys, self._remembered)

    def with_remembered_url(self, url: str) -> Self:
        """Return these settings for a model at `url`, which a thread remembers and no setting names."""
        check_named(url)
        return replace(self, base_url=url, _remembered=True)


def _flag(field: str) -> str:
    """Return the option of `field`, or what it would be called."""
    flags = {option.name: option.flags[0].partition("/")[0] for option in OPTIONS}
    return flags.get(field, f"--{user_name(field).replace('_', '-')}")


def user_name(field: str) -> str:
    """Return the name of `field` for users. `mcp` is a table in the config file, and a file as an option."""
    return {"schema_file": "schema", "mcp_servers": "mcp"}.get(field, field)


_VARIABLES: dict[str, tuple[str, ...]] = {
    one.name: one.metadata.get("variables", (f"CHATCLI_{one.name.upper()}",))
    for one in fields(Settings)
    if not one.name.startswith("_")
}
"""The environment variables of each setting; the first that is set is used."""


def is_ours(variable: str) -> bool:
    """Return whether chatcli reads `variable` from a trusted `.env`, or it has a name of chatcli's."""
    return variable in _foreign_variables() or variable.startswith("CHATCLI_")


def is_address(variable: str) -> bool:
    """Return whether `variable` names a server, to which questions and a key are sent."""
    of_settings = {name for one in ("base_url", "openai_base_url", "langflow_url", "url") for name in _VARIABLES[one]}
    return variable in of_settings or any(variable in row.url_variables for row in PROVIDERS.values())


def is_never_of_a_folder(variable: str) -> bool:
    """Return whether `variable` is one of chatcli's that no `.env` may set."""
    return is_ours(variable) and variable not in _settable_variables()


@cache
def _settable_variables() -> set[str]:
    """Return the variables that a trusted `.env` may set: settings, and the keys and addresses of providers.

    It never sets what other programs and libraries read: proxies, certificates, tracing, HOME, PAGER.
    """
    of_settings = [variables for name, variables in _VARIABLES.items() if name not in NEVER_OF_A_FOLDER]
    return {variable for variables in of_settings for variable in variables} | _foreign_variables()


@cache
def _foreign_variables() -> set[str]:
    """Return the variables of keys and addresses whose names are not chatcli's."""
    addresses = {variable for row in PROVIDERS.values() for variable in row.url_variables}
    keys = {variable for provider in PROVIDERS for variable in key_variables(provider)}
    of_settings = {variable for variables in _VARIABLES.values() for variable in variables}
    return addresses | keys | {name for name in of_settings if not name.startswith("CHATCLI_")}


def _by_field(written: dict[str, Any]) -> dict[str, Any]:
    """Return the values `written` in the config file, by field; refuse an unknown key, which may be misspelt."""
    known = {user_name(name): name for name in Settings.names()}
    if isinstance(written.get("mcp"), str):  # a file, as the option of that name
        known["mcp"] = "mcp_file"
    unknown = sorted(set(written) - set(known))
    if unknown:
        remedy = f"{did_you_mean(unknown[0], known)}Remove it: `{command('config unset')} {shlex.quote(unknown[0])}`."
        raise UsageError(f"{paths.config_file()} has a key that chatcli does not know: {unknown[0]}", remedy=remedy)
    return {known[key]: value for key, value in written.items()}


def _set_by(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the values that `environment` sets, by field; an empty variable sets nothing."""
    return {name: environment[found] for name in _VARIABLES if (found := _variable_of(name, environment))}


def _variable_of(name: str, environment: Mapping[str, str]) -> str | None:
    """Return the variable of `environment` that sets the field `name`, if any; an empty one sets nothing."""
    return next(filter(environment.get, _VARIABLES[name]), None)


def _origins(written: Iterable[str], dotenv: Mapping[str, str]) -> dict[str, str]:
    """Return the line that tells the user where the value of each field is set, if no option sets it."""
    change, unset = command("config set"), "config unset"
    keys = {name: user_name(name) for name in written}
    return (
        {name: f"It stands in config.toml: `{change} {key} VALUE`, or `{unset} {key}`." for name, key in keys.items()}
        | {name: f"It stands in the .env of this folder: {_variable_of(name, dotenv)}." for name in _set_by(dotenv)}
        | {name: f"It stands in the variable {_variable_of(name, os.environ)}." for name in _set_by(os.environ)}
    )


def read_fields(texts: Mapping[str, object], origins: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Return `texts`, by field, as values of the fields' types; `origins` are remedies for wrong values by field."""
    values = {}
    for one in fields(Settings):
        if one.name in texts:
            try:
                values[one.name] = read_value(one.type, texts[one.name])
            except ValueError as error:
                remedy = origins.get(one.name, f"See `{command('--help')}`.")
                raise UsageError(f"{_flag(one.name)}: {error}", remedy=remedy) from None
    return values
