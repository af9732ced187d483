"""The user's clipboard: by a tool of this machine, or by the terminal itself, as over SSH."""

import base64
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import IO

TIMEOUT = 2.0
"""Seconds that a tool may take."""
_TOOLS = (
    ("WAYLAND_DISPLAY", ("wl-copy",)),
    ("DISPLAY", ("xclip", "-selection", "clipboard")),
    ("DISPLAY", ("xsel", "--clipboard", "--input")),
    ("", ("pbcopy",)),
    ("", ("clip.exe",)),
)


def fill_clipboard(text: str, terminal: IO[str], environment: Mapping[str, str] = os.environ) -> None:
    """Put `text`, without control characters, into the clipboard.

    Over SSH, or without a tool, the terminal is asked by OSC 52; whether it obeys can't be known.
    """
    for tool in _usable_tools(environment):
        try:
            # The tools go on in the background, to serve the clipboard; with a pipe they would keep it open.
            subprocess.run(  # noqa: S603 - a fixed command
                tool,
                input=text.encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=TIMEOUT,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            continue
        return
    terminal.write(f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07")
    terminal.flush()


def _usable_tools(environment: Mapping[str, str]) -> list[tuple[str, ...]]:
    if "SSH_CONNECTION" in environment or "SSH_TTY" in environment:
        return []  # the clipboard of this machine is not the one before the user
    found = []
    for variable, (name, *options) in _TOOLS:
        path = shutil.which(name, path=environment.get("PATH"))
        if path and (not variable or environment.get(variable)):
            found.append((path, *options))
    return found
