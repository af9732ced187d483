"""The shell blocks of README.md and the manual, run as they stand there."""

import re
import subprocess
from pathlib import Path

import pytest

from chatcli import manual
from tests.attachments.samples import picture
from tests.e2e.program import Chat, Result
from tests.e2e.test_guides import GUIDES
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Request, server_error

README = Path(__file__).parents[2] / "README.md"
PAGES = {"README": README} | {topic: Path(manual.__file__).parent / f"{topic}.md" for topic in manual.TOPICS}
_RECIPE = re.compile(r"^### ([^\n]+)\n\n```(sh|make)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_BLOCK = re.compile(r"^(<!-- not run: [^\n]+ -->\n)?```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_RECIPES, _NEXT = "\n## Recipes\n", "\n## "


def _recipes() -> dict[str, str]:
    section = PAGES["guide-scripts"].read_text().partition(_RECIPES)[2].partition(_NEXT)[0]
    return {title: text for title, _, text in _RECIPE.findall(section)}


def _blocks(page: str) -> list[str]:
    """Return the shell blocks of a page that no comment excludes; the recipes have tests of their own."""
    before, _, recipes = PAGES[page].read_text().partition(_RECIPES)
    text = before + _NEXT.join(recipes.split(_NEXT)[1:])
    return [block for not_run, block in _BLOCK.findall(text) if not not_run]


RECIPES = _recipes()


def answer(request: Request) -> Answer:
    """Answer with JSON where a schema asks for it."""
    if "response_format" in request.body:
        return Answer('{"name": "Ada", "email": "ada@example.org"}')
    return Answer("Teach the parser to count")


@pytest.fixture
def work(chat: Chat, fake: FakeOpenAI) -> Path:
    """Give a folder that has all that the recipes speak of."""
    fake.default = answer
    folder = chat.home.work
    (folder / "app.log").write_text("10:00 started\n10:01 out of memory\n" * 300)
    (folder / "letter.txt").write_text("Dear all,\n...\nAda <ada@example.org>\n")
    (folder / "notes.txt").write_text("Buy milk.\n")
    (folder / "docs").mkdir()
    for name in ("one", "two"):
        (folder / "docs" / f"{name}.md").write_text(f"# {name}\n")
    (folder / "chart.png").write_bytes(picture())
    chat.home.env.update(
        {f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    )
    for command in (
        "init -q -b main",
        "commit -q --allow-empty -m start",
        "switch -q -c branch",
        "add letter.txt",
        "commit -q -m letter",
        "add app.log",
    ):
        _git(folder, command, chat.home.env)
    return folder


def _git(folder: Path, command: str, env: dict[str, str]) -> str:
    done = subprocess.run(["git", *command.split()], cwd=folder, env=env, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def run(chat: Chat, title: str) -> Result:
    return chat.shell(f"set -euo pipefail\n{RECIPES[title]}", forks=True)


def test_there_are_six() -> None:
    assert len(RECIPES) == 6


@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page) and page not in GUIDES])
def test_the_shell_blocks_of_a_page_run(chat: Chat, fake: FakeOpenAI, work: Path, page: str) -> None:
    blocks = _blocks(page)
    if page == "README":  # what a newcomer runs first is run by the installed executable
        first = chat.shell(blocks[0].splitlines()[0])
        assert first.returncode == 0, first
    for block in blocks:
        result = chat.shell(f"set -euo pipefail\n{block}", timeout=180, forks=True)
        assert result.returncode == 0, f"{block}\n{result}"
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("title", [title for title in RECIPES if title != "A step of a Makefile"])
def test_a_recipe_works(chat: Chat, fake: FakeOpenAI, work: Path, title: str) -> None:
    result = run(chat, title)
    assert result.returncode == 0, result
    assert result.stderr == ""
    assert fake.requests


def test_the_cron_job_remembers(chat: Chat, fake: FakeOpenAI, work: Path) -> None:
    for _ in range(2):
        run(chat, "A cron job that remembers yesterday")
    assert len(fake.requests[1].messages) == 3
    assert len((work / "load.log").read_text().splitlines()) == 2


def test_a_makefile_keeps_no_half_file(chat: Chat, fake: FakeOpenAI, work: Path) -> None:
    (work / "Makefile").write_text(RECIPES["A step of a Makefile"])
    assert chat.shell("make -s docs/one.de.md", forks=True).returncode == 0
    assert (work / "docs" / "one.de.md").read_text() == "Teach the parser to count\n"
    fake.default = server_error()
    assert chat.shell("CHATCLI_TIMEOUT=1 make -s docs/two.de.md", forks=True).returncode != 0
    assert not (work / "docs" / "two.de.md").exists()


def test_trying_again_ends_where_it_cannot_help(chat: Chat, fake: FakeOpenAI, work: Path) -> None:
    fake.key = "another"
    [loop] = [block for block in _blocks("guide-scripts") if block.startswith("until")]
    assert chat.shell(loop, forks=True).returncode == 1
    assert not fake.requests  # the list of models was refused


def test_a_script_is_printed_by_speaker(chat: Chat, fake: FakeOpenAI, work: Path) -> None:
    lines = run(chat, "A conversation written down").stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["User", "AI", "User", "AI"]
