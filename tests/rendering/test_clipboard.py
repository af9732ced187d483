import base64
import io
from pathlib import Path

from chatcli.rendering.terminal.renderer import fill_clipboard


def tool(folder: Path, name: str, script: str) -> dict[str, str]:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"PATH": str(folder), "DISPLAY": ":0"}


def osc52(text: str) -> str:
    return f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07"


def test_a_tool_of_this_machine_is_used(tmp_path: Path) -> None:
    terminal = io.StringIO()
    fill_clipboard("text é", terminal, tool(tmp_path, "xclip", f"/bin/cat > {tmp_path}/copied"))
    assert (tmp_path / "copied").read_text() == "text é"
    assert terminal.getvalue() == ""


def test_the_terminal_is_asked_when_the_tool_fails(tmp_path: Path) -> None:
    terminal = io.StringIO()
    fill_clipboard("text", terminal, tool(tmp_path, "xclip", "exit 1"))
    assert terminal.getvalue() == osc52("text")


def test_the_terminal_is_asked_over_ssh(tmp_path: Path) -> None:
    terminal = io.StringIO()
    environment = tool(tmp_path, "xclip", f"/bin/cat > {tmp_path}/copied") | {"SSH_CONNECTION": "a b"}
    fill_clipboard("text é", terminal, environment)
    assert terminal.getvalue() == osc52("text é")
    assert not (tmp_path / "copied").exists()


def test_macos_takes_the_text_as_utf_8_whatever_the_locale_is(tmp_path: Path) -> None:
    script = f"/bin/cat > {tmp_path}/copied; echo $LC_ALL > {tmp_path}/locale"
    environment = tool(tmp_path, "pbcopy", script) | tool(tmp_path, "xclip", "exit 1") | {"LC_ALL": "C"}
    fill_clipboard("text é", io.StringIO(), environment)
    assert (tmp_path / "copied").read_text() == "text é"
    assert (tmp_path / "locale").read_text() == "en_US.UTF-8\n"
