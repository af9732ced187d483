"""Fill the user's clipboard with a tool of this machine or, for example over SSH, through the terminal."""

import base64
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

TIMEOUT = 2.0
"""The most seconds that a tool may take."""
_MACOS = "pbcopy"
_TOOLS = (
    ("", (_MACOS,)),
    ("WAYLAND_DISPLAY", ("wl-copy",)),
    ("DISPLAY", ("xclip", "-selection", "clipboard")),
    ("DISPLAY", ("xsel", "--clipboard", "--input")),
    ("", ("clip.exe",)),
)


def fill_clipboard(text: str, terminal: IO[str], environment: Mapping[str, str] = os.environ) -> None:
    """Put `text`, without control characters, into the clipboard.

    Over SSH, or without a tool, the text goes to the terminal as an OSC 52 sequence, which terminals may ignore
    without a reply.
    """
    for tool in _usable_tools(environment):
        # In another locale, macOS's tool does not take its input as UTF-8.
        locale = {"LC_ALL": "en_US.UTF-8"} if Path(tool[0]).name == _MACOS else {}
        try:
            # Some tools stay in the background to serve the clipboard. They would keep a pipe open.
            subprocess.run(  # noqa: S603 - a fixed command
                tool,
                input=text.encode(),
                env={**environment, **locale},
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


def _usable_tools(environment: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    if "SSH_CONNECTION" in environment or "SSH_TTY" in environment:
        return  # this machine's clipboard is not the user's
    for variable, (name, *options) in _TOOLS:
        path = shutil.which(name, path=environment.get("PATH"))
        if path and (not variable or environment.get(variable)):
            yield (path, *options)
