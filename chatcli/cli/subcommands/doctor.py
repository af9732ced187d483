"""`chat doctor`: what is installed, configured and reachable, and what to do about problems."""

import importlib.metadata
import importlib.util
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Annotated, Literal

import typer

from chatcli import __version__, paths
from chatcli.cli.load_settings import load_settings
from chatcli.cli.subcommands.output import AsJson, format_settings, options_of, show_or_print_json
from chatcli.config.credentials import kept_keys
from chatcli.config.installation import install_command, is_local_installed, is_local_possible, is_mcp_installed
from chatcli.config.mcp_servers import McpServer
from chatcli.config.providers import LOCAL, PROVIDERS
from chatcli.config.secrets import redact
from chatcli.config.settings import Settings
from chatcli.conversation.backend import choose_backend
from chatcli.errors import ChatcliError, ExitCode, NetworkError, UsageError
from chatcli.events import Listing, Notice
from chatcli.helper.eligible import is_supported
from chatcli.helper.spawn import find_helper
from chatcli.models.local.choice import default_weights
from chatcli.models.names import choose_model
from chatcli.runtime.program import CHAT, current_program
from chatcli.sanitize import sanitize_line
from chatcli.text import tell
from chatcli.tools.sandbox.confinement import describe_sandbox

_PACKAGES = ("langgraph", "langchain-core", "langchain-openai", "openai", "prompt_toolkit", "rich", "typer")
_REACH_SECONDS = 3.0
"""Seconds for a server to answer."""

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_REPAIR_HELP = "Rebuild the store's index; keep what can be read of a damaged one."
Repair = Annotated[bool, typer.Option("--repair", help=_REPAIR_HELP)]


@dataclass(frozen=True, slots=True)
class Finding:
    """The state of one part; a problem has a remedy."""

    subject: str
    state: Literal["ok", "problem"]
    detail: str
    remedy: str = ""


@app.command()
def doctor(ctx: typer.Context, as_json: AsJson = False, repair: Repair = False) -> None:
    """Check what is installed, configured and reachable; show a remedy for each problem."""
    options = options_of(ctx)
    repaired: list[str] = []
    try:
        settings = load_settings(options)
    except ChatcliError as error:
        settings = format_settings(options)
        findings = [Finding("settings", "problem", error.message, error.remedy)]
    else:
        if repair:
            repaired = choose_backend(settings).repair()
        hide = settings.credentials.redact  # the text of a finding may come from a server or a library
        findings = [replace(one, detail=hide(one.detail), remedy=hide(one.remedy)) for one in examine(settings)]
    for line in repaired:
        tell(sanitize_line(line))
    rows = tuple((finding.subject, finding.state, finding.detail) for finding in findings)
    table = Listing("Doctor", ("what", "state", "detail"), rows)
    remedies = [Notice(f"{finding.subject}: {finding.remedy}", "warning") for finding in findings if finding.remedy]
    show_or_print_json(settings, list(map(asdict, findings)), table, *remedies, as_json=as_json)
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(ExitCode.INTERNAL)


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield the state of each part of this installation."""
    program = current_program()
    if program is not CHAT:
        yield Finding(program.name, "ok", program.version or "its version is not known")
    yield Finding("chatcli", "ok", f"{__version__} on Python {platform.python_version()}, {platform.platform()}")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    yield Finding("packages", "ok", versions)
    config = paths.config_file()
    yield Finding("settings", "ok", f"{config}" if config.exists() else f"defaults; {config} would hold yours")
    if settings.folder.problem or settings.folder.file is not None:
        yield _find(".env", partial(_dotenv, settings))
    yield _find("store" if settings.url is None else "server", lambda: choose_backend(settings).check())
    if program.graph is not None:
        return
    yield _find("documents", _documents)
    images = "can be attached, and shown where the terminal shows some"
    if importlib.util.find_spec("PIL") is None:
        images = f"Pillow is not installed, optional; to add it: {install_command('images')}"
    yield Finding("images", "ok", images)
    if importlib.util.find_spec("keyring") is None:
        yield Finding("keyring", "ok", f"not installed, optional; to add it: {install_command('keyring')}")
    yield from _models(settings)
    yield _find("local model", partial(_local_runtime, settings))
    yield _find("search by meaning", partial(_semantic, settings))
    yield _find("helper", partial(_helper, settings))
    off = "off: commands of the model can do all that you can"
    yield Finding("sandbox", "ok", describe_sandbox() if settings.sandbox else off)
    yield from _mcp_servers(settings)


def _find(subject: str, check: Callable[[], str]) -> Finding:
    """Return a finding about `subject`: the state that `check` returns, or the problem that it raises."""
    try:
        return Finding(subject, "ok", check())
    except ChatcliError as error:
        return Finding(subject, "problem", error.message, error.remedy)
    except OSError as error:
        return Finding(subject, "problem", str(error))


def _dotenv(settings: Settings) -> str:
    if settings.folder.problem:
        raise UsageError(f"it is ignored: {settings.folder.problem}", remedy="Fix or remove it.")
    trusted = settings.folder.trusted
    state = "is trusted" if trusted else "is not trusted and sets nothing; chat trust shows what it would"
    return f"the .env of this folder {state}"


def _documents() -> str:
    from chatcli.documents.index import DocumentIndex

    file = paths.data_dir() / "documents.db"
    if not file.exists():
        return f"{file} is created with the first question about documents"
    with DocumentIndex() as index:
        sources, notice = index.sources(), index.notice
    size = file.stat().st_size
    detail = f"{file}, {size:,} bytes, {sum(one.files for one in sources):,} files of {len(sources):,} sources"
    return f"{detail}; {notice}" if notice else detail


def _models(settings: Settings) -> Iterator[Finding]:
    known = [provider for provider in PROVIDERS if settings.credentials.has_key(provider)]
    for provider in known:
        yield _find(f"key of {provider}", partial(_key, settings, provider))
    if not known:
        yield Finding("keys", "ok", "none; the local model needs none")
    yield _find("model", partial(_model, settings))
    if settings.openai_endpoint is not None:
        key = "base_url" if settings.base_url is not None else "openai_base_url"
        yield _find("endpoint", partial(_reach, settings, settings.openai_endpoint, "/models", key))
    if settings.langflow_url is not None:
        yield _find("Langflow", partial(_reach, settings, settings.langflow_url, "/health", "langflow_url"))


def _key(settings: Settings, provider: str) -> str:
    is_set = settings.credentials.sets_key(provider)
    settings.credentials.access(provider)
    return "in the environment or .env" if is_set else f"kept in the {kept_keys()[provider]}"


def _model(settings: Settings) -> str:
    name = choose_model(settings)
    answers, provider = f"{name} answers where none is named", PROVIDERS.get(name.provider)
    if name.provider == LOCAL and not is_local_possible():
        remedy = "Keep a provider's key: chat keys set PROVIDER; or name a server with --base-url."
        raise UsageError(f"{answers}, and it does not run on this machine", remedy=remedy)
    if name.provider == LOCAL and not is_local_installed():
        remedy = f"{install_command(LOCAL)}, or keep a provider's key: chat keys set PROVIDER"
        raise UsageError(f"{answers}, and its runtime is not installed", remedy=remedy)
    if provider is not None and not provider.is_installed:
        remedy = f"{install_command(provider.extra)}, or name another model: chat models default local"
        raise UsageError(f"{answers}, and its package is missing", remedy=remedy)
    return answers


def _reach(settings: Settings, url: str, path: str, key: str) -> str:
    """Return the state of the server at `url`, which the setting `key` names, by its answer at `path`."""
    import httpx2

    from chatcli.runtime.http import request

    shown = redact(url, [])  # it may hold a password
    try:
        status = request("GET", f"{url}{path}", seconds=_REACH_SECONDS).status_code
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        source = settings.source(key)
        setter = f"`chat config set {key} URL`" if source == "config file" else source
        remedy = f"Check the address ({setter}) and that the server runs."
        raise NetworkError(f"{shown} can't be reached: {error}", remedy=remedy) from None
    return f"{shown} answers (status {status})"


def _local_runtime(settings: Settings) -> str:
    from chatcli.models.local.client import find_problem  # late: it imports the HTTP client

    if not is_local_installed():
        # Where the local model is what answers, `_model` reports the problem.
        return _optional(LOCAL)
    if (problem := find_problem()) is not None:
        raise problem
    if settings.local_model is not None:
        return f"local is {settings.local_model}, by CHATCLI_LOCAL_MODEL"
    weights = default_weights()
    if not weights.is_fetched:
        fetching = f"local is {weights.title}: {weights.megabytes} MB, fetched at first use"
        return f"{fetching}; to fetch it now: chat models pull local"
    return f"local is {weights.title}: {weights.cache_file}"


def _semantic(settings: Settings) -> str:
    from chatcli.ranking.semantic import is_installed, is_usable  # late: they import sqlite3

    if not is_installed():
        return _optional("semantic")
    if not settings.semantic:
        return "off: searches rank by words alone"
    if not is_usable():
        raise UsageError("its model is another one than chatcli knows", remedy=install_command("semantic"))
    return "on"


def _optional(extra: str) -> str:
    if not is_local_possible():
        return "its runtime is not available for this system and processor"
    return f"not installed, optional; to add it: {install_command(extra)}"


def _helper(settings: Settings) -> str:
    if not is_supported():
        return "not available on this system: every one-shot imports what it needs"
    if not settings.helper:
        return "off: every one-shot imports what it needs"
    try:
        helper = find_helper()
    except OSError as error:
        remedy = f"Look at who made {paths.runtime_dir()}; --no-helper does without."
        raise UsageError(f"its socket can't be used: {error}", remedy=remedy) from None
    if helper is None:
        return "none now; the next one-shot leaves one behind, which makes others start faster"
    if not helper.answers:
        raise UsageError(f"process {helper.pid} does not answer", remedy=f"kill {helper.pid}")
    detail = f"process {helper.pid} makes one-shots start faster; it holds {helper.memory / 1e6:.0f} MB"
    return f"{detail}, and leaves after some idle minutes"


def _mcp_servers(settings: Settings) -> Iterator[Finding]:
    try:
        servers = settings.servers()
    except ChatcliError as error:
        yield Finding("MCP servers", "problem", error.message, error.remedy)
        return
    if servers and not is_mcp_installed():
        yield Finding("MCP servers", "problem", "their client is not installed", install_command("mcp"))
    for name, server in servers.items():
        yield _find(f"MCP server {name}", partial(_mcp_server, server))


def _mcp_server(server: McpServer) -> str:
    """Return the state of a server without starting it."""
    try:
        filled = server.filled()
    except ChatcliError as error:
        raise UsageError(error.message, remedy="Set it, or give a default: ${NAME:-default}.") from None
    if server.disabled:
        return "disabled"
    if filled.command is None:
        return "connected to with the first question; /tools lists its tools"
    if (path := filled.command_path()) is None:
        raise UsageError(f"its command {filled.command} is not found", remedy="Install it, or give its path.")
    return f"{path}, started with the first question; /tools lists its tools"
