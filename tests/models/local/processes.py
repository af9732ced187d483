"""Real processes of the embedded model's tests: clients to kill, servers to find."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from chatcli.models.local.weights import Weights
from tests.waiting import wait_until


def alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:  # it ended after the file was opened
        return False
    except FileNotFoundError:
        return not Path("/proc").exists()


def kill(pid: int) -> None:
    """Kill a process without warning, and return when it is gone."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid))


def command_lines() -> dict[int, str]:
    """Return the command line of every process, by process id."""
    if Path("/proc/self/cmdline").exists():  # slim images have no ps
        return {int(entry.name): _command_line(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    listing = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
    rows = (line.split(maxsplit=1) for line in listing.stdout.splitlines())
    return {int(pid): command for pid, command in rows}


def _command_line(process: Path) -> str:
    try:
        # Other tests start programs with arguments that are not UTF-8.
        return (process / "cmdline").read_text(errors="replace").replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def servers_in(folder: Path) -> list[int]:
    """Return the process ids of the servers whose runtime files are in `folder`."""
    return [
        pid
        for pid, command in command_lines().items()
        if "chatcli.models.local.server_main" in command and f"--folder {folder} " in command
    ]


def stop_servers(folder: Path) -> None:
    """Kill the servers whose runtime files are in `folder`, also those that are still starting."""
    for pid in servers_in(folder):
        kill(pid)


class ClientProcess:
    """Another terminal: a process that ensures a server, prints its process ID, and stays until its input ends."""

    def __init__(self, weights: Weights, override: Path) -> None:
        self._begun = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.models.local.client_main", weights.name, str(override)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def begin(self) -> None:
        """Let it ensure a server, for which it has imported everything."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._begun = True

    def __enter__(self) -> "ClientProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def server_pid(self) -> int:
        """Wait until the server is ready and return its process ID."""
        if not self._begun:
            self.begin()
        return int(self._line())

    def kill(self) -> None:
        """Kill the client without warning."""
        self._process.kill()
        self._process.wait()

    def leave(self) -> None:
        """Let the client end as it would by itself."""
        self._process.communicate()
