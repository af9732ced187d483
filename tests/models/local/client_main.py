"""What `ClientProcess` runs: `client_main NAME OVERRIDE TIME`, the last in seconds since the epoch."""

import asyncio
import sys
import time
from pathlib import Path

from chatcli.events import Progress
from chatcli.models.local.client import LocalServer
from chatcli.models.local.weights import find_weights


def _ignore(_: Progress) -> None:
    """Nobody looks."""


def main(name: str, override: str, at: str) -> None:
    """Ensure a server at the time `at`, print its process id, and wait for the end of standard input."""
    server = LocalServer(find_weights(name), override=Path(override), on_progress=_ignore)
    time.sleep(max(0.0, float(at) - time.time()))
    print(asyncio.run(server.ensure()).pid, flush=True)  # noqa: T201 - the test reads it
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
