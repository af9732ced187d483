"""The quickstart and the guides of the manual: every command runs, and prints what the page shows.

A page is run from its beginning to its end in one folder. Blocks `sh` are run. In a block `console`, each command after
`$ ` is run at a terminal and has to print the lines below it; a line `...` means any lines. If lines below a command
begin with `> `, the command is a conversation in which they are typed; the last of them leaves.
"""

import re
import shlex
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from chatcli import manual
from tests.e2e.program import EXECUTABLE, Chat
from tests.e2e.terminal import Terminal
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Request

GUIDES = [topic for topic in manual.TOPICS if topic == "quickstart" or topic.startswith("guide-")]
FOLDER = Path(manual.__file__).parent
SIZE = (240, 60)
_BLOCK = re.compile(r"^(<!-- not run: [^\n]+ -->\n)?```(sh|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CONSTANTS = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d", "DATE"),
    (r"\d+ tokens in, \d+ out, \d+\.\d s\n?", ""),
    (r"\b[0-9a-f]{8}\b", "ID"),
    (r"chat \d\S* · .* · thread", "chat VERSION · thread"),
    (r"openai:gpt-5-mini|local:[\w.-]+", "MODEL"),
    (r"─+", "─"),
    (r"\s+", " "),
)
"""What differs from run to run, by the model that answers, or by the width of the terminal."""
ANSWERS: dict[str, str] = {
    "sky blue": "Air scatters short waves, such as blue light, far more than long ones.",
    "I'm Bob": "Hello Bob! How can I help you?",
    "What's my name": "Your name is Bob.",
    "how many letters": "Three.",
    "line is there twice": "milk",
    "Name a colour": "Blue",
    "How many stakes": "Six, one for each plant.",
    "planting to blossom": "48 days: from 3 May to 20 June.",
    "plant next to them": "Basil. It likes the same sun and water.",
    "Summarise this": "Restart the worker if the queue is too long, and tell #ops.",
    "default": "The default port is 8080 [1].",
    "do if the queue": "Restart the worker with `make restart-worker`, then write to #ops [1].",
    "Review this change": "mean.py:3: an empty list now returns 0, which hides bugs in callers. Raise an error.",
    "Which exception": "ValueError, with the text `mean of no values`.",
    "commit message": "Return 0 as the mean of an empty list",
    "Who wrote this": '{"name": "Ada", "email": "ada@example.org"}',
}
"""What the scripted model answers, by a part of the question."""


def answer(request: Request) -> Answer:
    """Answer as the guides show it."""
    return Answer(next((text for part, text in ANSWERS.items() if part in request.last), "Noted."))


def steps(page: str) -> Iterator[tuple[str, list[str] | None]]:
    """Yield the commands of `page`, each with the lines that it has to print; None where the page shows none."""
    text = (FOLDER / f"{page}.md").read_text().partition("\n## Recipes\n")[0]  # these have tests of their own
    for not_run, kind, block in _BLOCK.findall(text):
        if not_run:
            continue
        if kind == "sh":
            yield block, None
            continue
        _, *commands = re.split(r"^\$ ", block, flags=re.MULTILINE)
        for command, _, output in (one.partition("\n") for one in commands):
            yield command, output.splitlines()


def constant(text: str) -> str:
    """Return `text` with what differs from run to run made the same."""
    for pattern, name in _CONSTANTS:
        text = re.sub(pattern, name, text)
    return text.strip()


def check(shown: str, wanted: list[str], command: str) -> None:
    """Check that `shown` is the lines `wanted`, in which `...` means any lines."""
    parts = "\n".join(["", *wanted]).split("\n...\n")
    pattern = ".*".join(re.escape(constant(part)) for part in parts)
    assert re.fullmatch(pattern, constant(shown), re.DOTALL), f"{command}\n\nprints:\n{shown}"


def run(chat: Chat, command: str) -> str:
    """Return what `command` prints at a terminal."""
    assert chat.forks is not None
    env = {**chat.home.env, "PATH": f"{Path(chat.forks.command()[0]).parent}:{chat.home.env['PATH']}"}
    with closing(Terminal(["bash", "-c", command], env=env, cwd=chat.home.work, size=SIZE)) as tty:
        tty.exit_code()
        return tty.text().replace(str(chat.home.root), "~")


def converse(chat: Chat, command: str, wanted: list[str]) -> str:
    """Return what a conversation shows in which the lines of `wanted` after `> ` are typed."""
    _, *turns = re.split(r"^> ", "\n".join(wanted), flags=re.MULTILINE)
    argv = [str(EXECUTABLE), *shlex.split(command)[1:]]
    with closing(Terminal(argv, env=chat.home.env, cwd=chat.home.work, size=SIZE, forks=chat.forks)) as tty:
        for line, _, output in (turn.partition("\n") for turn in turns):
            tty.wait_for_prompt()
            tty.send_line(line)
            last = constant(output.strip().rpartition("\n")[2])
            tty.wait_for(lambda shown, line=line, last=last: last in constant(shown.partition(f"> {line}\n")[2]))  # type: ignore[misc]
        tty.exit_code()
        return tty.text()


@pytest.fixture
def guide(chat: Chat, fake: FakeOpenAI) -> Chat:
    """Give a program with the scripted model, in a home that git knows."""
    fake.default = answer
    chat.home.env["CHATCLI_MODEL"] = "openai:gpt-5-mini"
    chat.home.env["CHATCLI_SEMANTIC"] = "0"  # an extra that the quickstart does not install
    for who in ("AUTHOR", "COMMITTER"):
        chat.home.env.update({f"GIT_{who}_NAME": "Ada", f"GIT_{who}_EMAIL": "ada@example.org"})
    return chat


@pytest.mark.parametrize("page", GUIDES)
def test_a_guide_prints_what_it_shows(guide: Chat, page: str) -> None:
    for command, wanted in steps(page):
        if wanted is None:
            result = guide.shell(f"set -euo pipefail\n{command}", timeout=180, forks=True)
            assert result.returncode == 0, f"{command}\n{result}"
        elif any(line.startswith("> ") for line in wanted):
            check(converse(guide, command, wanted), wanted, command)
        else:
            check(run(guide, command), wanted, command)
