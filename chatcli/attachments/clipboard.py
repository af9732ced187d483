"""Read an image from the user's clipboard with a tool of this machine."""

import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from subprocess import DEVNULL, PIPE, Popen

from chatcli.attachments.attachment import image_type
from chatcli.errors import ContextError, UsageError

IMAGE_TIMEOUT = 10.0
"""Seconds that a tool may take: the program that the image was copied from may have to convert it first."""
MAX_IMAGE = 64 * 2**20
_IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif")
_SAVE_IT = "Save the image as a file, and use /file."


def read_image(environment: Mapping[str, str] = os.environ, system: str = sys.platform) -> tuple[str, bytes]:
    """Return the media type and the data of the image in the clipboard."""
    if "SSH_CONNECTION" in environment or "SSH_TTY" in environment:
        raise UsageError("the clipboard of your machine can't be read over SSH", remedy=_SAVE_IT)
    if system == "darwin":
        data = _read_macos(environment)
    elif environment.get("WAYLAND_DISPLAY"):
        tool = _image_tool("wl-paste", "wl-clipboard", environment)
        data = _read_type((tool, "--list-types"), lambda kind: (tool, "--no-newline", "--type", kind), environment)
    elif environment.get("DISPLAY"):
        tool = _image_tool("xclip", "xclip", environment)
        options = (tool, "-selection", "clipboard", "-o", "-t")
        data = _read_type((*options, "TARGETS"), lambda kind: (*options, kind), environment)
    else:
        missing = "neither WAYLAND_DISPLAY nor DISPLAY is set"
        raise UsageError(f"there is no clipboard here: {missing}", remedy=_SAVE_IT)
    media_type = image_type(data)
    if media_type is None:
        raise UsageError("there is no image in the clipboard", remedy="Copy one first; text is pasted by the terminal.")
    return media_type, data


def _image_tool(name: str, package: str, environment: Mapping[str, str]) -> str:
    path = shutil.which(name, path=environment.get("PATH"))
    if path is None:
        raise UsageError(f"{name} is missing, which reads the clipboard", remedy=f"Install {package}, or use /file.")
    return path


def _read_macos(environment: Mapping[str, str]) -> bytes:
    """Return the image in macOS's clipboard as PNG, by pngpaste where it is installed; nothing if there is none."""
    if path := shutil.which("pngpaste", path=environment.get("PATH")):
        return _output((path, "-"), environment)
    script = _image_tool("osascript", "macOS's osascript", environment)
    # The output is AppleScript's form of data: «data PNGf89504E47...».
    written = _output((script, "-e", "the clipboard as «class PNGf»"), environment)
    match = re.search(rb"PNGf([0-9A-Fa-f]+)", written)
    return bytes.fromhex(match[1].decode()) if match else b""


def _read_type(
    listing: Sequence[str], reading: Callable[[str], Sequence[str]], environment: Mapping[str, str]
) -> bytes:
    """Return the image in the best type that `listing` names, read by the command that `reading` returns for it."""
    offered = _output(listing, environment).decode(errors="replace").split()
    kind = next((kind for kind in _IMAGE_TYPES if kind in offered), None)
    return _output(reading(kind), environment) if kind else b""


def _output(command: Sequence[str], environment: Mapping[str, str]) -> bytes:
    """Return the output of `command`, empty if it fails."""
    with (
        suppress(OSError),
        Popen(command, env=dict(environment), stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL) as process,  # noqa: S603 - fixed
    ):
        assert process.stdout is not None
        # The program that has the copied image may never give it out.
        timer = threading.Timer(IMAGE_TIMEOUT, process.kill)
        timer.start()
        try:
            data = process.stdout.read(MAX_IMAGE + 1)
        finally:
            timer.cancel()
            process.kill()
        if len(data) > MAX_IMAGE:
            raise ContextError(f"the image in the clipboard is larger than {MAX_IMAGE // 2**20} MiB", remedy=_SAVE_IT)
        return data
    return b""
