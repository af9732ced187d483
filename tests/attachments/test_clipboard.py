from pathlib import Path

import pytest

from chatcli.attachments import clipboard
from chatcli.attachments.clipboard import read_image
from chatcli.errors import ContextError, UsageError

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def tools(folder: Path, variables: dict[str, str], **scripts: str) -> dict[str, str]:
    """Return an environment in which each tool of `scripts` is a script; `image.png` beside them is an image."""
    (folder / "image.png").write_bytes(PNG)
    for name, script in scripts.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\ncd {folder}\n{script}\n")
        path.chmod(0o755)
    return {"PATH": f"{folder}", **variables}


WL_PASTE = 'case "$1" in --list-types) echo text/html; echo image/png;; --no-newline) /bin/cat image.png;; esac'
XCLIP = 'case "$5" in TARGETS) echo TARGETS; echo image/gif; echo image/png;; image/png) /bin/cat image.png;; esac'


@pytest.mark.parametrize(
    ("variables", "scripts", "system"),
    [
        ({"WAYLAND_DISPLAY": "w", "DISPLAY": ":0"}, {"wl_paste": WL_PASTE}, "linux"),
        ({"DISPLAY": ":0"}, {"xclip": XCLIP}, "linux"),
        ({}, {"pngpaste": "/bin/cat image.png"}, "darwin"),
        ({}, {"osascript": f"echo '«data PNGf{PNG.hex().upper()}»'"}, "darwin"),
    ],
)
def test_an_image_is_read_by_the_tool_of_the_system(
    tmp_path: Path, variables: dict[str, str], scripts: dict[str, str], system: str
) -> None:
    assert read_image(tools(tmp_path, variables, **scripts), system) == ("image/png", PNG)


@pytest.mark.parametrize(
    ("variables", "scripts", "system", "message"),
    [
        ({"WAYLAND_DISPLAY": "w"}, {}, "linux", "wl-paste is missing"),
        ({"DISPLAY": ":0"}, {}, "linux", "xclip is missing"),
        ({}, {}, "linux", "neither WAYLAND_DISPLAY nor DISPLAY is set"),
        ({"DISPLAY": ":0", "SSH_TTY": "/dev/pts/1"}, {"xclip": XCLIP}, "linux", "over SSH"),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "a 1 b 2"}, {"xclip": XCLIP}, "linux", "over SSH"),
        ({"DISPLAY": ":0"}, {"xclip": "echo image/png"}, "linux", "no image in the clipboard"),
        ({"DISPLAY": ":0"}, {"xclip": "echo text/plain"}, "linux", "no image in the clipboard"),
        ({"DISPLAY": ":0"}, {"xclip": "echo image/png; exit 1"}, "linux", "no image in the clipboard"),
        ({}, {"pngpaste": "exit 1"}, "darwin", "no image in the clipboard"),
        ({}, {"osascript": "echo execution error >&2; exit 1"}, "darwin", "no image in the clipboard"),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path,
    variables: dict[str, str],
    scripts: dict[str, str],
    system: str,
    message: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(UsageError, match=message):
        read_image(tools(tmp_path, variables, **scripts), system)
    assert capfd.readouterr() == ("", "")


def test_a_tool_that_is_no_program_has_no_image(tmp_path: Path) -> None:
    environment = tools(tmp_path, {"DISPLAY": ":0"}, xclip="")
    (tmp_path / "xclip").write_bytes(b"\x7fELF")
    with pytest.raises(UsageError, match="no image in the clipboard"):
        read_image(environment, "linux")


def test_an_image_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clipboard, "MAX_IMAGE", 100)
    endless = tools(
        tmp_path, {"DISPLAY": ":0"}, xclip='case "$5" in TARGETS) echo image/png;; *) exec /usr/bin/yes;; esac'
    )
    with pytest.raises(ContextError, match="larger than"):
        read_image(endless, "linux")


def test_a_tool_that_does_not_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clipboard, "IMAGE_TIMEOUT", 0.05)
    waiting = tools(tmp_path, {"DISPLAY": ":0"}, xclip="exec /bin/sleep 1000")
    with pytest.raises(UsageError, match="no image"):
        read_image(waiting, "linux")
