"""What a late turn costs the client by provider: CPU of a short turn that sends 549 messages along, beside 71.

Run it with `python -m tests.bench.long_turn [PROVIDER ...]`. A real `chat --script` asks a scripted server, which is
in this process; what is measured is the CPU of the client from one request to the next, as the mean of some turns.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from tests.bench.growth import Author
from tests.fakes.provider_server import FakeProvider

MODELS = {
    "openai": ("openai:gpt-fake", "/v1"),
    "anthropic": ("anthropic:claude-fake", ""),
    "google_genai": ("google_genai:gemini-fake", ""),
}
QUESTION = 340
ANSWER = 340
AROUND = 12
EARLY, LATE = 36, 275
"""The turns that send 71 and 549 messages along."""


def cpu_of_turns(provider: str, folder: Path) -> list[float]:
    """Return the milliseconds of CPU from each request to the next one of a conversation with `provider`."""
    model, path = MODELS[provider]
    author = Author(3)
    (folder / "questions").write_text("".join(author.write(QUESTION) + "\n" for _ in range(LATE + AROUND + 1)))
    cpu: list[float] = []
    with FakeProvider() as server:
        server.words = author.write(ANSWER).split(" ")
        process = subprocess.Popen(
            [sys.executable, "-m", "chatcli", "-m", model, "--script", folder / "questions"],
            env={
                "HOME": str(folder),
                "PATH": os.environ["PATH"],
                f"{provider.partition('_')[0].upper()}_API_KEY": "key",
                "CHATCLI_BASE_URL": server.url + path,
                "CHATCLI_CONTEXT_TOKENS": "1000000",
            },
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )

        def note(events: list[bytes]) -> list[bytes]:
            cpu.append(_cpu(process.pid))
            return events

        server.spoil = note
        if process.wait() != 0:
            raise RuntimeError(f"chat ended with {process.returncode}")
    return [1000 * (later - earlier) for earlier, later in pairwise(cpu)]


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _around(costs: list[float], turn: int) -> float:
    return statistics.mean(costs[turn - AROUND : turn + AROUND])  # the clock ticks in 10 ms


def main(providers: list[str]) -> None:
    """Print the CPU of an early and of a late turn, and their ratio."""
    for provider in providers or MODELS:
        with tempfile.TemporaryDirectory() as folder:
            costs = cpu_of_turns(provider, Path(folder))
        early, late = _around(costs, EARLY), _around(costs, LATE)
        print(f"{provider}: behind 71 messages {early:.0f} ms, behind 549 {late:.0f} ms: {late / early:.2f} times")


if __name__ == "__main__":
    main(sys.argv[1:])
