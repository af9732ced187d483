"""Measures `chat mcp`: from exec until `initialize` is answered: `python -m tests.bench.mcp`.

Beside it stand `chat --help`, and the SDK's own server with one tool, in a process of its own.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.e2e.program import EXECUTABLE, Home

ROUNDS = 10
HELLO = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
}
SDK = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("one")
server.tool("one")(lambda: 1)
server.run("stdio")
"""


def measure(argv: Sequence[str], env: Mapping[str, str], asks: bool) -> tuple[float, float]:
    """Run `argv` until it answers, or to its end; return the seconds, and those of CPU of the whole run."""
    before, began = os.times(), time.monotonic()
    with subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if asks:
            process.stdin.write(json.dumps(HELLO).encode() + b"\n")
            process.stdin.flush()
            process.stdout.readline()
        else:
            process.stdout.read()
        took = time.monotonic() - began
        process.stdin.close()
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return took, cpu


def main() -> None:
    """Run all in turn, and print the medians."""
    with tempfile.TemporaryDirectory() as folder:
        env = Home.below(Path(folder)).env
        programs = {
            "chat mcp: initialize": ([str(EXECUTABLE), "mcp"], True),
            "MCPServer of the SDK: initialize": ([sys.executable, "-c", SDK], True),
            "chat --help": ([str(EXECUTABLE), "--help"], False),
        }
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
        for number in range(ROUNDS + 1):
            for name, (argv, asks) in programs.items():
                run = measure(argv, env, asks)
                if number:  # the first one warms the disk's cache
                    runs[name].append(run)
        for name, done in runs.items():
            wall, cpu = (statistics.median(column) for column in zip(*done, strict=True))
            print(f"{name:34} {wall:.3f} s; CPU {cpu:.3f} s")


if __name__ == "__main__":
    main()
