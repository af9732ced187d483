"""The command that adds packages to the environment that chatcli is installed in.

There is no one command: a checkout, pip, pipx and uv each need another, and a `pip` on the PATH may be that of another
environment.
"""

import os
import re
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from chatcli.runtime.parse import read_json, read_toml

DISTRIBUTION = "threadchat"
"""The name of the distribution; `chatcli` is that of somebody else's."""
LOCAL_MACHINES = frozenset((("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")))
"""The systems and processors that the extra `local` is for, as its markers in pyproject.toml say."""


_OTHER_NAMES = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "pymupdf",
    "PIL": "pillow",
    "psycopg2": "psycopg2-binary",
    "sklearn": "scikit-learn",
    "tavily": "tavily-python",
    "yaml": "pyyaml",
}
"""The distributions that are not called as the modules that they bring."""


def is_local_installed() -> bool:
    """Return whether the local model's runtime is installed; this does not import it."""
    return find_spec("xllamacpp") is not None


def is_local_possible() -> bool:
    """Return whether the local model's runtime is installed, or the extra `local` would install it."""
    return is_local_installed() or (sys.platform, os.uname().machine) in LOCAL_MACHINES


def is_mcp_installed() -> bool:
    """Return whether the MCP SDK is installed; other packages bring its version 1, which has no `mcp_types`."""
    return find_spec("mcp_types") is not None


def install_command(extra: str) -> str:
    """Return the shell command that installs the extra `extra` of chatcli."""
    return add_command(f"{DISTRIBUTION}[{extra}]", extra)


def add_command(requirement: str, extra: str = "") -> str:
    """Return the shell command that installs `requirement`, perhaps that of an `extra`, where chatcli is installed."""
    if (tool := _uv_tool()) is not None:
        # uv removes whatever it is not asked for again.
        extras = ",".join(dict.fromkeys((*tool[0].get("extras", ()), *filter(None, [extra]))))
        name = f"{DISTRIBUTION}[{extras}]" if extras else DISTRIBUTION
        words = ["uv", "tool", "install", name, *_with(tool[1:]), *([] if extra else ["--with", requirement])]
    elif Path(sys.prefix, "pipx_metadata.json").is_file():
        words = ["pipx", "inject", Path(sys.prefix).name, requirement]
    elif extra and (folder := _editable_folder()) is not None:
        words = [*_installer(), "-e", f"{folder}[{extra}]"]
    else:
        words = [*_installer(), requirement]
    return shlex.join(words)


def requirement_of(module: str, wanted: Iterable[str] = ()) -> str:
    """Return the package that `module`, which can't be imported, comes from; empty if the module's package is here.

    `module` is its full name. Of the requirements `wanted`, one that names this package takes precedence: it may have a
    version.
    """
    top = module.partition(".")[0]
    found = find_spec(top)
    if found is not None:
        # Several installed distributions may have parts of a package, such as `google`.
        folders = found.submodule_search_locations or ()
        if found.origin is not None or not any(each.startswith(sysconfig.get_path("purelib")) for each in folders):
            return ""
    name = _OTHER_NAMES.get(top, top if found is None else module)
    return next((each for each in wanted if _plain_name(each) == _plain_name(name)), _plain_name(name))


def _plain_name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]).lower()


def _installer() -> tuple[str, ...]:
    """Return the words that start an installation into this environment, the shorter ones if they mean the same."""
    python = Path(sys.executable)
    if find_spec("pip") is not None:
        pip = shutil.which("pip")
        words = ("pip",) if pip and Path(pip).parent == python.parent else (str(python), "-m", "pip")
        return (*words, "install")
    active = os.environ.get("VIRTUAL_ENV") == sys.prefix
    return ("uv", "pip", "install", *(() if active else ("--python", str(python))))


def _uv_tool() -> list[dict[str, Any]] | None:
    """Return the packages that `uv tool` installed here, chatcli first; None where it did not install chatcli."""
    try:
        receipt = read_toml(Path(sys.prefix, "uv-receipt.toml").read_text(encoding="utf-8"))
        listed: list[dict[str, Any]] = receipt["tool"]["requirements"]
        return listed if listed[0]["name"] == DISTRIBUTION else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _with(requirements: list[dict[str, Any]]) -> list[str]:
    """Return the options that name `requirements` of a tool again."""
    words = []
    for one in requirements:
        extras = ",".join(one.get("extras", ()))
        folder = one.get("editable") or one.get("directory")
        name = folder or f"{one['name']}{f'[{extras}]' if extras else ''}{one.get('specifier', '')}"
        words += ["--with-editable" if "editable" in one else "--with", name]
    return words


def _editable_folder() -> str | None:
    """Return the checkout that this runs from, None where chatcli is installed apart from its source."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        origin = read_json(distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
        url = origin["url"] if origin["dir_info"]["editable"] else ""
    except (PackageNotFoundError, OSError, ValueError, LookupError, TypeError):
        return None
    return unquote(urlsplit(url).path) or None
