"""The variables of a project: what `env` of its langgraph.json names. A file counts once the user has trusted it."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from chatcli.config.files import DOTENV, parse_dotenv
from chatcli.config.settings import is_ours
from chatcli.config.trust import PROJECT_FILE, FolderFile, UnsafeFileError, is_trusted, read_folder_file
from chatcli.errors import AuthError, UsageError
from chatcli.graphs.user.spec import GraphSpec
from chatcli.sanitize import sanitize_line

_SHOWN_NAMES = 20


def environment_of(spec: GraphSpec) -> tuple[Mapping[str, str], str]:
    """Return the variables that `env` of the project of `spec` gives, and a line on what is left out."""
    folder, env = spec.folder, spec.project.get("env")
    if isinstance(env, dict):
        return {str(name): str(value) for name, value in env.items()}, ""
    if not isinstance(env, str) or not env:
        return {}, ""
    try:
        file = _env_file(folder, env)
        variables = parse_dotenv(file.content) if file is not None else {}
    except UnsafeFileError as error:
        return {}, f"{PROJECT_FILE}: {env} is left out: {error}"
    except (OSError, ValueError) as error:
        raise UsageError(f"{PROJECT_FILE}: {env} can't be read: {error}") from None
    if file is None:
        example = (folder / f"{env}.example").is_file()
        hint = f"; see {env}.example" if example else ""
        return {}, f"{PROJECT_FILE}: there is no file {env}, which `env` names{hint}"
    if _trusts(file):
        return variables, ""
    # The .env of the current folder is reported where the settings are read, as far as chatcli knows its variables.
    is_reported = file.name == DOTENV and file.folder == Path.cwd().resolve()
    names = [name for name in variables if not (is_reported and is_ours(name))]
    if not names:
        return {}, ""
    shown = ", ".join(map(sanitize_line, names[:_SHOWN_NAMES]))
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    left_out = f"{PROJECT_FILE}: {sanitize_line(env)} is not trusted and sets nothing: {shown}{more}."
    return {}, f"{left_out} Read it, then trust it: {_command(file)}"


def _env_file(folder: Path, env: str) -> FolderFile | None:
    """Return the file that `env` names; one outside of the project belongs to the folder that it is in."""
    target = folder / env
    if target.resolve().is_relative_to(folder.resolve()):
        return read_folder_file(os.path.normpath(env), folder)
    return read_folder_file(target.name, target.parent)


def _trusts(file: FolderFile) -> bool:
    try:
        return is_trusted(file)
    except (OSError, ValueError):
        return False


def _command(file: FolderFile) -> str:
    here = file.folder == Path.cwd().resolve()
    return "chat trust" if here else f"chat trust {shlex.quote(sanitize_line(str(file.folder)))}"


def explain_missing_key(error: AuthError, variable: str, spec: GraphSpec) -> AuthError:
    """Return `error`, of a key that is missing; if an untrusted env file of the project sets it, with that as hint."""
    env = spec.project.get("env")
    try:
        file = _env_file(spec.folder, env) if isinstance(env, str) and env else None
        if file is None or variable not in parse_dotenv(file.content) or _trusts(file):
            return error
    except (OSError, ValueError):
        return error
    reason = f"{sanitize_line(str(env))} of this project sets it, but is not trusted"
    return AuthError(f"{error.message}; {reason}", remedy=f"Look at what it sets and trust it: {_command(file)}")
