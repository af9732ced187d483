"""What `ClientProcess` runs: `client_main NAME OVERRIDE`."""

import asyncio
import sys
from pathlib import Path

from chatcli.events import Progress
from chatcli.models.local.client import LocalServer
from chatcli.models.local.pulled import find_model


def _ignore(_: Progress) -> None:
    """Nobody looks."""


def main(name: str, override: str) -> None:
    """Print "ready", wait for a line, ensure a server, print its process ID, and wait for the end of standard input."""
    server = LocalServer(find_model(name), override=Path(override), on_progress=_ignore)
    print("ready", flush=True)  # noqa: T201 - the test reads it
    sys.stdin.readline()
    print(asyncio.run(server.ensure()).pid, flush=True)  # noqa: T201 - the test reads it
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
