"""Reads the settings, and asks about or reports a `.env` of the current folder that is not trusted."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatcli.config import trust
from chatcli.config.files import DOTENV, FolderSettings
from chatcli.config.secrets import names_secret, redact
from chatcli.config.settings import Settings, is_address, is_never_of_a_folder, is_ours
from chatcli.runtime.signals import leave_signals_to_python
from chatcli.sanitize import reveal
from chatcli.text import one_line, tell

if TYPE_CHECKING:
    from chatcli.config.mcp_servers import McpServer

_SHOWN_NAMES = 10
"""Maximum number of names in a note."""
_SHOWN_ROWS = 100
"""Maximum number of lines of a question; more than there are settings."""
_SHOWN_SERVERS = 1500
"""The most characters of servers in a question: all of them stay on the screen."""
_SHOWN_VALUE = 80
"""Characters of a value that are shown."""
_READ_OF_VALUE = 2000
"""Characters of a value that are searched for keys."""


def load_settings(options: Mapping[str, Any], *, starts_conversation: bool = False) -> Settings:
    """Return the settings of `options` and all other sources; report what is left out of a `.env`.

    If the command line `starts_conversation`, a user at a terminal is asked once whether to trust the `.env`.
    """
    settings = Settings.load(dict(options))
    asks = starts_conversation and settings.script is None and settings.resume_with is None
    if not (asks and sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        report_dotenv(settings.folder)
        return settings
    dotenv = settings.folder
    if dotenv.file is not None and not (dotenv.trusted or dotenv.problem) and any(map(is_ours, dotenv.values)):
        settings = _asked(settings, dotenv.file, options)
    else:
        report_dotenv(dotenv)
    if not (settings.no_instructions or settings.graph or settings.url):
        _ask_instructions()
    if not (settings.tools is False or settings.graph or settings.url):
        _ask_servers(settings)
    return settings


def report_dotenv(dotenv: FolderSettings[str]) -> None:
    """Print on stderr what is left out of `dotenv`, and what to do about it: at most one line."""
    ours = [name for name in dotenv.values if is_ours(name)]
    never = [name for name in ours if is_never_of_a_folder(name)]
    if dotenv.problem:
        tell(f"note: the {DOTENV} of this folder is left out: {reveal(dotenv.problem)}")
    elif ours and not dotenv.trusted and dotenv.file is not None:
        advice = f"Read it, then trust it: {trust.trust_command(dotenv.file.folder)}"
        reason = f"is not trusted and sets nothing: {_names(ours)}"
        tell(f"note: the {DOTENV} of this folder {reason}. {advice}")
    elif never:
        reason = f"no {DOTENV} may set {_names(never)}: left out"
        tell(f"note: {reason}. Use an option or the environment")


def report_servers(settings: Settings) -> None:
    """Print on stderr that the folder's MCP servers are left out, and what to do about it: at most one line.

    Raises `UsageError` if a file of other servers can't be read.
    """
    settings.servers()
    project = settings.project_servers()
    if project.trusted or settings.tools is False:
        return
    if project.problem:
        tell(f"note: the {trust.MCP_FILE} of this folder is left out: {reveal(project.problem)}")
    elif project.file is not None and not trust.is_declined(project.file):
        reason = f"is not trusted, and its servers are left out: {_names(list(project.values))}"
        advice = f"Read it, then trust it: {trust.trust_command(project.file.folder)}"
        tell(f"note: the {trust.MCP_FILE} of this folder {reason}. {advice}")


def described_servers(servers: "Mapping[str, McpServer]") -> list[str]:
    """Return a line for each server, safe to print: its name, and what it runs or where it is."""
    return [f"  {reveal(name)}: {reveal(server.describe())}" for name, server in servers.items()]


def shown_settings(variables: Mapping[str, str], *, for_graphs: bool = False) -> list[tuple[str, str, str]]:
    """Return the settings of a `.env` with `variables`, safe to print: name, value, remark.

    The graphs of a project get all of it; in other folders chat's own variables alone are read.
    """
    rows = []
    for name, value in variables.items():
        shown = "***" if names_secret(name) else one_line(reveal(redact(value[:_READ_OF_VALUE], [])), _SHOWN_VALUE)
        remark = ""
        if not is_ours(name):
            shown, remark = (shown, "for the project's graphs") if for_graphs else ("", "not read by chat")
        elif is_never_of_a_folder(name):
            remark = "left out: no file of a folder sets it"
        elif is_address(name):
            remark = "your questions, and your key for it, go there"
        rows.append((reveal(name), shown, remark))
    return rows


def _ask_instructions() -> None:
    """Ask about the project's instructions that are not trusted, unless the answer was no before."""
    folder = Path.cwd()
    names = (above / name for above in (folder, *folder.parents) for name in trust.INSTRUCTIONS)
    if not any(map(os.path.lexists, names)):
        return
    from chatcli.memory.instructions import read_instructions, shown_lines

    try:
        files = [file for file in read_instructions(folder.resolve()).untrusted if not trust.is_declined(file)]
    except (OSError, ValueError):
        return
    for file in files:
        _ask_about(file, "It would tell the model", [f"  {line}" for line in shown_lines(file)])


def _ask_servers(settings: Settings) -> None:
    """Ask about the project's MCP servers if they are not trusted, unless the answer was no before."""
    project = settings.project_servers()
    if project.file is None or project.trusted or project.problem or trust.is_declined(project.file):
        return
    shown = described_servers(project.values)
    # No question hides a server. Of more than fit on the screen, a line says that the file is not trusted.
    if len(shown) <= _SHOWN_ROWS and len("\n".join(shown)) <= _SHOWN_SERVERS:
        _ask_about(project.file, "Its MCP servers would be started and connected to", shown)


def _ask_about(file: trust.FolderFile, effect: str, lines: list[str]) -> bool:
    """Show the `effect` of `file`, ask whether to trust it, and remember the answer; return whether the user does."""
    tell(f"{reveal(str(file.folder / file.name))} is not trusted. {effect}:")
    for line in lines[:_SHOWN_ROWS]:
        print(line, file=sys.stderr)
    if len(lines) > _SHOWN_ROWS:
        tell(f"  and {len(lines) - _SHOWN_ROWS} more lines: read them first")
    leave_signals_to_python()
    print("Trust it until it changes? [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:  # the end of input is no answer
        return False
    trusts = answer.strip().lower() in ("y", "yes")
    try:
        (trust.trust if trusts else trust.decline)([file])
    except OSError as error:
        tell(f"note: the answer can't be saved: {error}")
        return False
    return trusts


def _asked(settings: Settings, file: trust.FolderFile, options: Mapping[str, Any]) -> Settings:
    """Ask whether to trust the `.env`, unless the answer was no before; return the resulting settings."""
    if trust.is_declined(file):
        return settings
    ours = {name: value for name, value in settings.folder.values.items() if is_ours(name)}
    # Settings that count come first: a long file must not push them off the screen.
    rows = shown_settings(dict(sorted(ours.items(), key=lambda item: is_never_of_a_folder(item[0]))))
    lines = [f"  {name}={value}{f' ({remark})' if remark else ''}" for name, value, remark in rows]
    if not _ask_about(file, "It would set", lines):
        return settings
    settings = Settings.load(dict(options))
    report_dotenv(settings.folder)
    return settings


def _names(names: list[str]) -> str:
    more = len(names) - _SHOWN_NAMES
    return ", ".join(map(reveal, names[:_SHOWN_NAMES])) + (f" and {more} more" if more > 0 else "")
