"""How a command runs: with which variables, for how long, and what is kept of its output."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from chatcli.tools.sandbox.confinement import Sandbox
from chatcli.tools.shell import inherited_environment, run_process, shell_tool
from chatcli.tools.workspace import KEPT, Finished


def test_a_command_gets_no_key_and_no_way_to_other_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"PATH": "/bin", "HOME": "/home/me", "LC_ALL": "C", "HTTPS_PROXY": "http://proxy:1"}
    ways = ("SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "DISPLAY", "WAYLAND_DISPLAY", "BASH_ENV")
    others = {**dict.fromkeys((*ways, "OPENAI_API_KEY", "BASH_FUNC_ls%%"), "x"), "http_proxy": "http://me:pw@proxy"}
    monkeypatch.setattr(os, "environ", {**kept, **others, "TERM": "() { evil; }"})
    assert inherited_environment() == kept


def run(script: str, folder: Path, seconds: float = 60) -> Finished:
    command, env = ["/bin/sh", "-c", script], {"PATH": os.environ["PATH"]}
    return asyncio.run(run_process(command, cwd=folder, env=env, seconds=seconds))


def test_the_end_of_what_a_command_says_is_kept_and_its_exit_code(tmp_path: Path) -> None:
    assert run("echo out; echo err >&2; cat; exit 3", tmp_path) == Finished("out\nerr\n", 3)
    long = run(f"head -c {3 * KEPT} /dev/zero | tr '\\0' x; echo end", tmp_path).output
    note = f"[the first {2 * KEPT + 4} bytes are left out]\n"
    assert long == f"{note}{'x' * (KEPT - 4)}end\n"


@pytest.mark.parametrize("ends", [True, False])
def test_what_a_command_started_ends_with_it(tmp_path: Path, ends: bool) -> None:
    os.mkfifo(tmp_path / "fifo")
    reading = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    started = "(sleep 5; echo late) > fifo 2>&1 &"
    finished = run(started if ends else f"{started} echo begun; wait", tmp_path, seconds=60 if ends else 0.5)
    assert finished == (Finished("", 0) if ends else Finished("begun\n", None))
    os.set_blocking(reading, True)
    assert os.read(reading, 10) == b""  # the other end is closed
    os.close(reading)


class Terminal:
    """An editor's terminal that notes the commands; it opens only if there is an output."""

    def __init__(self, output: str | None) -> None:
        self.output = output
        self.commands: list[Sequence[str]] = []

    async def run(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], seconds: float
    ) -> Finished | None:
        self.commands.append(command)
        return None if self.output is None else Finished(self.output, 0)


def told(folder: Path, command: str, seconds: float = 60, terminal: Terminal | None = None, **sandbox: Any) -> str:
    tool = shell_tool(Sandbox(folder, **{"forced": "none", **sandbox}), seconds, terminal).runnable
    return str(asyncio.run(tool.ainvoke({"command": command})))


def test_the_model_is_told_how_a_command_ended(tmp_path: Path) -> None:
    assert told(tmp_path, "true") == "[no output]"
    assert told(tmp_path, "pwd") == str(tmp_path)
    assert told(tmp_path, "echo a; exit 3") == "a\n[exit code 3]"
    assert told(tmp_path, "echo a; sleep 60", seconds=0.5) == "a\n[killed after 0.5 seconds]"


def test_an_editor_shows_a_command_in_its_terminal_if_it_opens_one(tmp_path: Path) -> None:
    opens, does_not = Terminal("seen"), Terminal(None)
    assert told(tmp_path, "echo mine", terminal=opens) == "seen"
    assert told(tmp_path, "echo mine", terminal=does_not) == "mine"
    for terminal in (opens, does_not):
        [command] = terminal.commands
        assert command[-2:] == ["-c", "echo mine"]
        assert len(command) == 3  # it ends with the editor, not with this process


@pytest.mark.linux
def test_a_command_in_an_editor_s_terminal_is_confined(tmp_path: Path) -> None:
    terminal = Terminal("seen")
    assert told(tmp_path, "echo mine", terminal=terminal, forced="partial") == "seen"
    [command] = terminal.commands
    assert len(command) > 3
