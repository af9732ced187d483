"""What the worst cases cost in CPU and memory, each beside its bound: `python -m tests.bench.worst`.

Every case is one run of the installed `chat`. A bound is about twice what two quiet cores took, so that a cost that
grows with the square of the size goes far over it. 100,000 threads are measured by `scale.py`.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chatcli.errors import ExitCode
from tests.bench.processes import Cost, Program, run_in_terminal
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Calls, Garbage

CHAT = str(Path(sys.executable).with_name("chat"))
FILES, TOOLS = 100_000, 5_000
SERVER = f"""
from mcp.server.mcpserver import MCPServer

server = MCPServer("many")
for number in range({TOOLS}):
    server.add_tool(lambda text: text, name=f"tool_{{number}}", description=f"Return the text, as the tool {{number}}.")
server.run()
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A worst case: its name, what it runs in a folder of its own, and the most seconds of CPU and MB it may take."""

    name: str
    measure: Callable[[FakeOpenAI, Path, dict[str, str]], Cost]
    seconds: float
    megabytes: float


def _shown(text: str) -> Callable[[FakeOpenAI, Path, dict[str, str]], Cost]:
    """Return the measure of an answer `text` at a terminal."""

    def measure(fake: FakeOpenAI, folder: Path, env: dict[str, str]) -> Cost:
        fake.script(Answer(text))
        return run_in_terminal(Program([CHAT, "hi"], env, folder))

    return measure


def _piped(fake: FakeOpenAI, folder: Path, env: dict[str, str], *arguments: str, code: int = 0) -> Cost:
    """Return the cost of `chat ARGUMENTS` in a pipe, which has to end with `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(
        [CHAT, *arguments],
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == code, said
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(0.0, cpu, usage.ru_maxrss / 1024)


def _one_event(fake: FakeOpenAI, folder: Path, env: dict[str, str]) -> Cost:
    fake.script(Garbage(b"data: " + b"x" * 50_000_000 + b"\n\n", "text/event-stream"))
    return _piped(fake, folder, env, "hi", code=ExitCode.REFUSED)


def _many_tools(fake: FakeOpenAI, folder: Path, env: dict[str, str]) -> Cost:
    (folder / "many.py").write_text(SERVER)
    add = [CHAT, "mcp", "add", "many", "--", sys.executable, str(folder / "many.py")]
    subprocess.run(add, env=env, cwd=folder, check=True, capture_output=True)
    return _piped(fake, folder, env, "--tools", "hi")


def _many_files(fake: FakeOpenAI, folder: Path, env: dict[str, str]) -> Cost:
    for number in range(FILES):
        if number % 1000 == 0:
            (folder / f"{number // 1000}").mkdir()
        (folder / f"{number // 1000}" / f"{number}.txt").write_text(f"file {number}\n")
    fake.script(Calls([("list_files", {}), ("search_files", {"pattern": "file 99999$"})]), Answer("done"))
    return _piped(fake, folder, env, "--tools", "hi")


CASES = [
    Case("an answer of 10,000 open brackets", _shown("[" * 10_000), 3, 200),
    Case("an answer of one paragraph of 100,000 characters", _shown("word " * 20_000), 3, 200),
    Case("50 MB in one event", _one_event, 3, 200),
    Case(f"{TOOLS:,} tools of an MCP server", _many_tools, 16, 300),
    Case(f"{FILES:,} files listed and searched", _many_files, 15, 200),
]


@contextmanager
def _home() -> Iterator[tuple[Path, dict[str, str]]]:
    root = Path(tempfile.mkdtemp(prefix="worst-"))
    (folder := root / "work").mkdir()
    yield (
        folder,
        {
            "HOME": str(root),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "CHATCLI_HELPER": "off",
        },
    )
    shutil.rmtree(root)


def main() -> int:
    """Print each case's cost beside its bound; return 1 if one is over it."""
    over = False
    for case in CASES:
        with FakeOpenAI() as fake, _home() as (folder, env):
            env |= {"OPENAI_BASE_URL": fake.base_url, "OPENAI_API_KEY": "sk-none", "CHATCLI_MODEL": "openai:gpt-fake"}
            cost = case.measure(fake, folder, env)
        over |= cost.cpu > case.seconds or cost.peak > case.megabytes
        print(f"{case.name}: {cost.cpu:.1f} s of {case.seconds}, {cost.peak:.0f} MB of {case.megabytes}", flush=True)
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
