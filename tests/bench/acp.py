"""Measures `chat acp`: `python -m tests.bench.acp`.

From the start of the process to the answer to `initialize` and to `session/new`, and from a prompt to its first update:
the first prompt, which waits for the imports, and a later one. Runs go in turn with `chat --help` and with a one-shot
that does the same imports.
"""

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.processes import Program, run
from tests.e2e.program import EXECUTABLE, Home
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer

ROUNDS = 10
CHUNK = "agent_message_chunk"


class Editor:
    """A client of one process."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self._began = time.monotonic()
        command = [str(EXECUTABLE), "acp", "-m", "openai:gpt-fake"]
        self._process = subprocess.Popen(
            command, env=env, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._number = 0

    def ask(self, method: str, **params: Any) -> tuple[Any, float, float]:
        """Return the result of a request, and the seconds to the first piece of a message and to the result."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        began, first = time.monotonic(), 0.0
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            found = json.loads(line)
            if not first and found.get("params", {}).get("update", {}).get("sessionUpdate") == CHUNK:
                first = time.monotonic() - began
            if found.get("id") == self._number:
                return found["result"], first, time.monotonic() - began
        raise RuntimeError(f"no answer to {method}")

    @property
    def age(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def close(self) -> None:
        """Go, and wait for the process to do so, too."""
        self._process.communicate()


def measure(env: Mapping[str, str], folder: Path) -> dict[str, float]:
    """Return what one process took, in seconds."""
    editor = Editor(env, folder)
    editor.ask("initialize", protocolVersion=1)
    found = {"exec to initialize": editor.age}
    session = editor.ask("session/new", cwd=str(folder), mcpServers=[])[0]["sessionId"]
    found["exec to session/new"] = editor.age
    prompt = {"sessionId": session, "prompt": [{"type": "text", "text": "hi"}]}
    found["first prompt to first update"] = editor.ask("session/prompt", **prompt)[1]
    found["exec to first update"] = editor.age
    later = [editor.ask("session/prompt", **prompt)[1] for _ in range(5)]
    found["later prompt to first update"] = statistics.median(later)
    editor.close()
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, FakeOpenAI() as server:
        server.default = Answer("Hello!")
        home = Home.below(Path(folder))
        env = home.env | {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "none"}
        others = {
            "chat --help": Program([str(EXECUTABLE), "--help"], env, home.work),
            'chat "hi", without the helper': Program([str(EXECUTABLE), "-m", "openai:gpt-fake", "hi"], env, home.work),
        }
        runs: list[dict[str, float]] = []
        for number in range(ROUNDS + 1):
            found = measure(env, home.work) | {name: run(program).wall for name, program in others.items()}
            if number:  # the first one warms the disk's cache, and makes the store
                runs.append(found)
        for name in runs[0]:
            print(f"{name:34} {statistics.median(found[name] for found in runs):.3f} s")


if __name__ == "__main__":
    main()
