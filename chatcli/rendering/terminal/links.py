"""Links to the documents that an answer cites (OSC 8), at the line where the terminal's own editor takes one.

https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda
"""

import os
from collections.abc import Mapping
from pathlib import Path

from chatcli.message import Citation

_TAKING_LINES = ("iTerm.app", "vscode", "WezTerm")
"""Values of TERM_PROGRAM. Elsewhere a desktop opens the address, and may find no file for one with a line."""


def file_link(citation: Citation, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the address of the cited file; None if it has none, as a name that is no text has."""
    try:
        address = (Path.cwd() / citation.path).as_uri()
    except (ValueError, OSError):
        return None
    takes_line = environment.get("TERM_PROGRAM") in _TAKING_LINES or "KITTY_WINDOW_ID" in environment
    return f"{address}#{citation.start_line}" if takes_line and citation.start_line is not None else address
