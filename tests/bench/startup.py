"""Measures starts: `python -m tests.bench.startup [--llm PATH/TO/llm]`.

Runs go in turn, and a ratio is the median of the ratios of the pairs, so that a machine that is busy now and then
moves it little. Milestones are seconds since the process was started.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chatcli.helper.spawn import HelperState, find_helper
from tests.bench.processes import Cost, Program, echo_delays, idle_memory, run, run_to_key
from tests.e2e.program import EXECUTABLE, Home
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer

ROUNDS = 10
PROMPT = "from prompt_toolkit import PromptSession; PromptSession('> ').prompt()"
TYPER = "import typer\napp = typer.Typer(rich_markup_mode=None)\n@app.command()\ndef main(): pass\napp()"
VERSION = "import typer\napp = typer.Typer()\n@app.command()\ndef main(): print('1.0')\napp()"
ENGINE = "import langgraph.graph, langchain_openai"


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took to get where it was to get, in seconds by milestone, and what it cost."""

    reached: Mapping[str, float]
    cost: Cost


Start = Callable[[], Run]


class Bench:
    """Starts programs in an empty home, with a model server on the loopback interface."""

    def __init__(self, home: Home, server: FakeOpenAI) -> None:
        self._server = server
        self._cwd = home.work
        self._env = home.env | {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "none"}
        self._env["LLM_USER_PATH"] = str(home.root)
        self._runtime = home.root / "run"
        self._runtime.mkdir(mode=0o700)
        self._env["XDG_RUNTIME_DIR"] = str(self._runtime)
        del self._env["CHATCLI_HELPER"]
        entry = f"- model_id: bench\n  model_name: gpt-fake\n  api_base: {server.base_url}\n"
        (home.root / "extra-openai-models.yaml").write_text(entry)

    def program(self, *argv: str | Path) -> Program:
        return Program([str(argument) for argument in argv], self._env, self._cwd)

    def helper(self) -> HelperState | None:
        """Return the helper, None if there is none."""
        for path in self._runtime.glob("chatcli/*.sock"):
            return find_helper(path)
        return None

    def to_end(self, *argv: str | Path) -> Start:
        def start() -> Run:
            cost = run(self.program(*argv))
            return Run({"end": cost.wall}, cost)

        return start

    def to_key(self, *argv: str | Path) -> Start:
        def start() -> Run:
            prompted = run_to_key(self.program(*argv))
            return Run({"prompt": prompted.prompt, "first key": prompted.key}, prompted.cost)

        return start

    def to_request(self, program: Program) -> Start:
        """Start a one-shot; the request's arrival is measured at the server."""

        def start() -> Run:
            before, began = len(self._server.requests), time.monotonic()
            cost = run(program)
            return Run({"request": self._server.requests[before].arrived - began, "end": cost.wall}, cost)

        return start


def compare(title: str, programs: Mapping[str, Start], ratios: Sequence[tuple[str, str]] = ()) -> None:
    """Run `programs` in turn and print their medians; then, for pairs of them, the ratios of what both reached."""
    runs: dict[str, list[Run]] = {name: [] for name in programs}
    for number in range(ROUNDS + 1):
        for name, start in programs.items():
            found = start()
            if number:  # the first one warms the disk's cache, and makes the store
                runs[name].append(found)
    print(f"\n{title}")
    for name, done in runs.items():
        reached = ", ".join(f"{what} {_median([r.reached[what] for r in done]):.3f} s" for what in done[0].reached)
        cpu, peak = _median([r.cost.cpu for r in done]), _median([r.cost.peak for r in done])
        print(f"  {name:34} {reached}; CPU {cpu:.3f} s, peak {peak:.0f} MB")
    for one, other in ratios:
        for what in runs[one][0].reached:
            if what in runs[other][0].reached:
                pairs = zip(runs[one], runs[other], strict=True)
                ratio = _median([a.reached[what] / b.reached[what] for a, b in pairs])
                print(f"  {one} / {other}, {what}: {ratio:.2f}")


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def report_echo(bench: Bench) -> None:
    """Type while the engine is imported behind the prompt; print how long the echoes took."""
    delays = sorted(delay for _ in range(3) for delay in echo_delays(bench.program(EXECUTABLE), 2.0, 0.03))
    print(f"\nEcho of a key while the engine is imported: median {_median(delays) * 1000:.0f} ms,")
    print(f"  95 of 100 within {delays[len(delays) * 95 // 100] * 1000:.0f} ms, longest {delays[-1] * 1000:.0f} ms")


def report_memory(programs: Mapping[str, Program]) -> None:
    """Print what idle programs hold, `chat` with everything imported for the first question."""
    print("\nMemory at the prompt (PSS), idle")
    for name, program in programs.items():
        print(f"  {name:34} {_median([idle_memory(program) for _ in range(3)]):.0f} MB")


def report_helper(bench: Bench) -> None:
    """Print what the helper holds, and what it took of the CPU for each run that it did."""
    helper = bench.helper()
    if helper is None:
        print("  there is no helper here")
        return
    time.sleep(3)  # it has looked after its last child by then
    fields = Path(f"/proc/{helper.pid}/stat").read_text().rpartition(")")[2].split()
    seconds = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    print(
        f"  The helper behind it holds {helper.memory / 1e6:.0f} MB; a run took {seconds / ROUNDS:.3f} s of CPU there"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--llm", type=Path, help="simonw/llm's executable, in an environment of its own")
    llm = options.parse_args().llm
    python = sys.executable
    with tempfile.TemporaryDirectory() as folder, FakeOpenAI() as server:
        server.default = Answer("Hello!")
        bench = Bench(Home.below(Path(folder)), server)
        compare(
            "The REPL",
            {
                "prompt-toolkit alone": bench.to_key(python, "-c", PROMPT),
                "chat": bench.to_key(EXECUTABLE),
                "chat --thread work": bench.to_key(EXECUTABLE, "--thread", "work"),
            },
            [("chat", "prompt-toolkit alone"), ("chat --thread work", "prompt-toolkit alone")],
        )
        report_echo(bench)
        idle = {"chat": bench.program(EXECUTABLE)}
        if llm is not None:
            idle["llm chat"] = bench.program(llm, "chat", "-m", "bench")
        report_memory(idle)
        compare(
            "Quick commands",
            {
                "Typer alone, --help": bench.to_end(python, "-c", TYPER, "--help"),
                "Typer alone": bench.to_end(python, "-c", VERSION),
                "chat --help": bench.to_end(EXECUTABLE, "--help"),
                "chat --version": bench.to_end(EXECUTABLE, "--version"),
                "chat threads list": bench.to_end(EXECUTABLE, "threads", "list"),
            },
            [
                ("chat --help", "Typer alone, --help"),
                ("chat --version", "Typer alone"),
                ("chat threads list", "chat --help"),
            ],
        )
        words = (EXECUTABLE, "-m", "openai:gpt-fake", "hi")
        programs = {
            'chat "hi"': bench.to_request(bench.program(*words)),
            "import langgraph.graph, langchain_openai": bench.to_end(python, "-c", ENGINE),
            'chat --no-helper "hi"': bench.to_request(bench.program(*words, "--no-helper")),
        }
        ratios = [(name, "import langgraph.graph, langchain_openai") for name in programs if name.startswith("chat")]
        if llm is not None:
            programs['llm "hi"'] = bench.to_request(bench.program(llm, "-m", "bench", "hi"))
            ratios += [(name, 'llm "hi"') for name in programs if name.startswith("chat")]
        compare("A one-shot", programs, ratios)
        report_helper(bench)


if __name__ == "__main__":
    main()
