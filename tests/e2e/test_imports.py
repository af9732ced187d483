"""What may be imported before anything is asked: a budget that no busy machine can blur."""

import sys

import pytest

from chatcli.cli.grammar.group import SUBCOMMANDS
from chatcli.runtime.deferred_packages import DEFERRED
from tests.bench.processes import Program, run_to_key
from tests.e2e.program import EXECUTABLE, Chat, Home
from tests.fakes.openai_server import FakeOpenAI

pytestmark = pytest.mark.executable

OWN = {"chatcli"}
TYPER = {"annotated_doc", "shellingham", "typer"}
THREADS = OWN | TYPER | {"platformdirs"}
_NO_PACKAGES = {"imported package", "org", "__main__", "sitecustomize", "usercustomize", "apport_python_hook"}
"""The report's head, what `copy` looks for in Jython, and what an installation may bring along."""
PROMPT = OWN | {"platformdirs", "prompt_toolkit", "wcwidth"}
BEHIND = {
    "chatcli.events",
    "chatcli.conversation.conversation",
    "chatcli.commands.registry",
    "chatcli.repl.handler",
    "sqlite3",
    "json",
}
"""What is imported behind the prompt, in a thread: the packages and modules that would keep it from appearing."""


WITH_TEMPLATES = {"langchain_core.prompts.base", "yaml"}
"""What langchain's own templates need, and a one-shot does not import."""
FOR_TRACES = {"langsmith.schemas", "requests.models", "urllib3"}
FOR_TOOLS = {"chatcli.tools.changes", "chatcli.tools.shell", "chatcli.tools.sandbox.confinement"}
FOR_LOCAL_MODELS = {"chatcli.graphs.chat.about_model"}
FOR_NOBODY = {"aiohttp"}


def _modules(report: str, end: str | None = None) -> list[str]:
    """Return the modules that `python -X importtime` reports, up to the module `end`."""
    names: list[str] = []
    for line in report.splitlines():
        if line.startswith("import time:") and line.count("|") == 2:
            names.append(line.rpartition("|")[2].strip())
        if end is not None and names and names[-1] == end:
            break
    return names


def _packages(names: list[str]) -> set[str]:
    """Return the top-level packages of the modules, less Python's own."""
    packages = {name.partition(".")[0] for name in names} - _NO_PACKAGES
    return {name for name in packages if name not in sys.stdlib_module_names and not name.startswith("_")}


@pytest.mark.parametrize(
    ("words", "budget"),
    [
        (["--version"], OWN | TYPER),
        (["--help"], OWN | TYPER),
        (["threads", "list"], THREADS),
        (["threads", "search", "sky", "--limit", "20"], THREADS),
        (["help", "trust"], THREADS),
    ],
    ids=[
        "--version",
        "--help",
        "threads list",
        "threads search",
        "help trust",
    ],  # the order of a set differs from process to process
)
def test_a_quick_command_imports_what_it_needs(chat: Chat, words: list[str], budget: set[str]) -> None:
    result = chat.shell(f"{sys.executable} -X importtime {EXECUTABLE} {' '.join(words)}")
    assert result.returncode == 0, result
    assert _packages(_modules(result.stderr)) == budget


@pytest.mark.parametrize("words", ["", "--thread work --no-memory"])
def test_the_first_prompt_imports_what_it_needs(home: Home, fake: FakeOpenAI, words: str) -> None:
    report = home.work / "imports"
    command = f"exec {sys.executable} -X importtime {EXECUTABLE} {words} 2>{report}"
    run_to_key(Program(["bash", "-c", command], home.env, home.work))
    imported = _modules(report.read_text(), end="concurrent.futures.thread")  # the rest is imported in that thread
    assert "chatcli.repl.prompt" in imported
    assert _packages(imported) <= PROMPT
    assert set(imported) & (BEHIND - {"sqlite3", "json"} if words else BEHIND) == set()


def test_a_one_shot_leaves_out_what_is_deferred(chat: Chat, fake: FakeOpenAI) -> None:
    # When a library begins to ask for these itself, a start takes up to a third longer: see `DEFERRED`.
    result = chat.shell(f"{sys.executable} -X importtime {EXECUTABLE} --no-helper -m openai:gpt-fake hi")
    assert result.returncode == 0, result
    imported = _modules(result.stderr)
    assert "openai.resources.chat.completions.completions" in imported
    deferred = {f"{package}.__init__" for package in DEFERRED}
    left_out = WITH_TEMPLATES | FOR_TRACES | FOR_TOOLS | FOR_LOCAL_MODELS | FOR_NOBODY | TYPER
    assert not (deferred | left_out) & set(imported)


def test_what_the_table_says_of_a_subcommand_is_what_it_says_of_itself(chat: Chat) -> None:
    for command in SUBCOMMANDS:
        shown = chat.forked(command.name or "", "--help").stdout
        assert (command.help or "").split()[0] in shown
