"""Programs that builders make with the library, at a terminal, in a pipe, and as a command of their own."""

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from chatcli.helper.eligible import is_supported
from tests.e2e.forkserver import ForkServer, NoForks
from tests.e2e.program import Chat, Home, Result
from tests.e2e.terminal import Terminal
from tests.fakes.openai_server import FakeOpenAI
from tests.waiting import WAIT_SECONDS

EXAMPLE = Path(__file__).parent.parent / "example_app"
IMPORTED = (
    "import sys, chatcli; print(sorted(set(sys.modules) & {'typing', 'asyncio', 'dataclasses', 'langgraph', 'rich'}))"
)
THREE_LINES = """\
import sys, chatcli
def reply(message, history): yield f"You said {message.strip()}, "; yield f"after {len(history)} messages."
sys.exit(chatcli.run(reply))
"""
FAILS = """\
import sys, chatcli
def factory(): raise OSError("no model here")
try:
    chatcli.run(factory)
except ValueError as error:
    print("ValueError:", error)
"""
EACH = """\
import contextlib, io, json, shlex
from my_agent.cli import main
done = []
for line in {lines}:
    with contextlib.redirect_stderr(io.StringIO()) as stderr:
        code = main(shlex.split(line)[1:])
    done.append([code, stderr.getvalue()])
print(json.dumps(done))
"""
"""Runs each of `lines` in one process; prints their exit codes and errors."""
SIGNALS = """\
import signal, sys, chatcli
def handler(number, frame): pass
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(number, handler)
code = chatcli.run(lambda message, history: "an answer")
print(code, [signal.getsignal(number) is handler for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)])
"""


class Programs:
    """Runs Python programs, and the example's command `my-agent`, in a home."""

    def __init__(self, home: Home, site: Path, forks: ForkServer) -> None:
        self.home = home
        self._forks = forks
        self._python = Chat(home, forks, executable=sys.executable)
        self._open = ExitStack()
        self._command = home.root / "bin" / "my-agent"
        self._command.parent.mkdir()
        self._command.write_text(f"#!{sys.executable}\nimport sys\nfrom my_agent.cli import main\nsys.exit(main())\n")
        self._command.chmod(0o755)
        home.env["PATH"] = f"{self._command.parent}:{home.env['PATH']}"
        home.env["PYTHONPATH"] = _python_path(site)

    def python(self, text: str, *, piped: str | None = None) -> Result:
        return self._python("-c", text, input=piped)

    def agent(self, line: str) -> Result:
        """Run `my-agent LINE`."""
        return self._python(str(self._command), *shlex.split(line))

    def shell(self, line: str) -> Result:
        """Run a line of shell, whose programs import all that they need."""
        return self._python.shell(line)

    def terminal(self, argv: Sequence[str]) -> Terminal:
        """Run `my-agent ...` or `python ...` in a terminal."""
        if argv[0] == "my-agent":
            argv = [sys.executable, str(self._command), *argv[1:]]
        opened = Terminal(argv, env=self.home.env, cwd=self.home.work, forks=self._forks)
        self._open.callback(opened.close)
        return opened

    def close(self) -> None:
        self._open.close()


def _python_path(site: Path) -> str:
    return f"{EXAMPLE}:{site}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with what the installation of `my-agent` leaves."""
    site = tmp_path_factory.mktemp("site")
    package = site / "my_agent-1.2.3.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: my-agent\nVersion: 1.2.3\n")
    (package / "entry_points.txt").write_text("[console_scripts]\nmy-agent = my_agent.cli:main\n")
    return site


@pytest.fixture(scope="module")
def forks(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """Give what runs `python` without the time of chatcli's imports."""
    env = Home.below(tmp_path_factory.mktemp("forks")).env | {"PYTHONPATH": _python_path(site)}
    server = ForkServer(env, "python") if is_supported() else NoForks()
    yield server
    server.close()


@pytest.fixture
def programs(home: Home, site: Path, forks: ForkServer) -> Iterator[Programs]:
    made = Programs(home, site, forks)
    yield made
    made.close()


def test_importing_the_package_imports_nothing_heavy(programs: Programs) -> None:
    assert programs.shell(f"{sys.executable} -c {shlex.quote(IMPORTED)}").stdout == "[]\n"
    names = programs.python("from chatcli import *; import chatcli; print(callable(run), *dir(chatcli))").stdout.split()
    assert names[0] == "True"
    assert {"__version__", "ask", "command", "run", "stream", "Answer", "TextDelta", "TurnError"} <= set(names)


def test_the_help_of_a_program_needs_no_graph(programs: Programs) -> None:
    code = "import sys; from my_agent.cli import main; main([sys.argv[1]]); print('langgraph' in sys.modules)"
    for option in ("--help", "--version"):
        shown = programs.shell(f"{sys.executable} -c {shlex.quote(code)} {option}").stdout
        assert shown.startswith(("Usage: my-agent", "my-agent 1.2.3"))
        assert shown.endswith("False\n")


def test_three_lines_are_a_conversation_at_a_terminal(programs: Programs) -> None:
    terminal = programs.terminal([sys.executable, "-c", THREE_LINES])
    terminal.wait_for_prompt()
    terminal.send_line("hello")
    terminal.wait_for("You said hello, after 0 messages.")
    terminal.wait_for_prompt()
    terminal.send_line("again")
    terminal.wait_for("You said again, after 2 messages.")
    terminal.wait_for_prompt()
    terminal.send_key("ctrl-d")
    terminal.wait_for("This conversation is the thread ")
    assert terminal.process.wait(WAIT_SECONDS) == 0
    assert "chat" not in terminal.text()


def test_three_lines_answer_what_comes_through_a_pipe(programs: Programs) -> None:
    answer = programs.python(THREE_LINES, piped="hello\n")
    assert answer == Result(0, "You said hello, after 0 messages.\n", "")
    empty = programs.python(THREE_LINES)
    assert (empty.returncode, empty.stdout, empty.stderr) == (2, "", "error: the prompt is empty\n")


def test_a_model_in_place_of_a_graph_is_the_plain_chat(programs: Programs, fake: FakeOpenAI) -> None:
    text = "import sys, chatcli; sys.exit(chatcli.run(model='openai:gpt-4o-mini', thread='abc'))"
    answer = programs.python(text, piped="hello")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.strip()
    assert programs.shell("chat threads show abc").stdout.startswith("User: hello")
    wrong = programs.python(text.replace("openai:gpt-4o-mini", "anthropic:claude-sonnet-4-5"), piped="hello")
    assert (wrong.returncode, wrong.stdout) == (3, "")


def test_a_factory_that_fails_is_a_value_error_before_any_prompt(programs: Programs) -> None:
    failed = "ValueError: the graph 'factory' can't be loaded: OSError: no model here (<string>, line 2)"
    answer = programs.python(FAILS, piped="hello")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith("ValueError: the graph 'factory' can't be loaded: OSError: no model here")
    terminal = programs.terminal([sys.executable, "-c", FAILS])
    assert terminal.process.wait(WAIT_SECONDS) == 0
    terminal.wait_for(failed.partition(" (")[0])
    assert "> " not in terminal.text()


def test_run_restores_the_signal_handlers_of_its_caller(programs: Programs) -> None:
    assert programs.python(SIGNALS, piped="hi").stdout == "an answer\n0 [True, True, True]\n"


def test_a_program_of_its_own_answers_in_scripts(programs: Programs) -> None:
    one = programs.agent("-t abc hello there")
    assert one == Result(0, "Question 1 of friend: hello there\n", "")
    assert programs.shell("echo more | my-agent -t abc | tr a-z A-Z").stdout == "QUESTION 2 OF FRIEND: MORE\n"
    assert programs.shell("my-agent --json -c last | jq -r .content").stdout == "Question 3 of friend: last\n"
    listed = json.loads(programs.agent("threads list --json").stdout)
    assert [thread["thread_id"] for thread in listed] == ["abc"]
    assert (programs.home.root / ".local/share/my-agent/threads.db").exists()
    assert not (programs.home.root / ".local/share/chatcli").exists()
    assert programs.agent("-- threads").stdout == "Question 1 of friend: threads\n"
    assert programs.agent("--context user=Ann hi").stdout == "Question 1 of Ann: hi\n"


def test_a_program_of_its_own_has_only_what_makes_sense_for_it(programs: Programs) -> None:
    help_ = programs.agent("--help").stdout
    assert help_.startswith("Usage: my-agent [OPTIONS]")
    assert "Talk with my agent." in help_
    assert "chat " not in help_.replace("of chatcli", "")
    given = []
    for option in (
        "--model",
        "--base-url",
        "--system",
        "--role",
        "--tools",
        "--graph",
        "--url",
        "--helper",
        "--schema",
    ):
        assert option not in help_
        given.append(f"my-agent {option} x hi")
    refused = programs.python(EACH.format(lines=given)).json()
    assert [line[0] for line in refused] == [2] * len(given)
    assert all("No such option" in line[1] and "See `my-agent --help`." in line[1] for line in refused)
    assert programs.agent("--version").stdout == "my-agent 1.2.3\n"
    for word in ("models", "roles", "keys", "trust"):  # words of a prompt
        assert f"\n  {word} " not in help_
    assert programs.agent("models").stdout == "Question 1 of friend: models\n"
    assert programs.agent("threads show nothing").stderr.endswith("See `my-agent threads list`.\n")
    assert "model" not in json.loads(programs.agent("config show --json").stdout)


def test_a_program_of_its_own_ignores_what_is_set_for_chat(programs: Programs) -> None:
    for name, value in (("MODEL", "local"), ("URL", "http://localhost:1"), ("STORE", "memory:"), ("THREAD", "x")):
        programs.home.env[f"CHATCLI_{name}"] = value
    (programs.home.work / ".env").write_text("OPENAI_API_KEY=sk-foreign\nCHATCLI_MODEL=local\n")
    assert programs.agent("-t mine hi") == Result(0, "Question 1 of friend: hi\n", "")
    assert programs.agent("-t mine hi").stdout == "Question 2 of friend: hi\n"


def test_a_program_of_its_own_asks_and_is_answered(programs: Programs) -> None:
    asked = programs.agent("-t abc forget")
    assert asked.returncode == 0
    assert "my-agent --thread abc --resume-with JSON" in asked.stderr
    assert programs.agent("-t abc --resume-with no").stdout == "The answer was no.\n"


def test_a_program_of_its_own_is_a_conversation_at_a_terminal(programs: Programs) -> None:
    terminal = programs.terminal(["my-agent"])
    terminal.wait_for_prompt()
    terminal.send_line("hello")
    terminal.wait_for("Question 1 of friend: hello")
    terminal.wait_for_prompt()
    terminal.send_line("/config")  # it has no model
    terminal.wait_for("other settings have their defaults")
    terminal.wait_for_prompt()
    terminal.send_key("ctrl-d")
    terminal.wait_for("Resume this conversation with: my-agent --thread ")
    assert terminal.process.wait(WAIT_SECONDS) == 0
    again = shlex.split(terminal.text().rpartition("with: ")[2])
    resumed = programs.terminal(again)
    resumed.wait_for("Question 1 of friend: hello")
    resumed.wait_for_prompt()
    resumed.send_line("more")
    resumed.wait_for("Question 2 of friend: more")


def test_a_shell_completes_a_program_of_its_own(programs: Programs) -> None:
    # Typer looks for the shell among the parents: with a command behind it, bash stays one.
    shown = programs.shell("bash -c 'my-agent --show-completion; true'").stdout
    assert "_MY_AGENT_COMPLETE=complete_bash" in shown
    programs.agent("-t abcdef hi")

    def complete(*words: str) -> list[str]:
        quoted = shlex.quote("\n".join(["my-agent", *words]))
        line = f"COMP_WORDS={quoted} COMP_CWORD={len(words)} _MY_AGENT_COMPLETE=complete_bash my-agent"
        return programs.shell(line).stdout.split()

    assert "--thread" in complete("--th")
    assert complete("--mode") == []
    assert complete("--thread", "abc") == ["abcdef"]
    assert complete("mod") == []
    assert complete("thr") == ["threads"]


def test_a_program_of_its_own_starts_no_helper(programs: Programs) -> None:
    programs.home.env["CHATCLI_HELPER"] = "1"
    before = programs.home.files()
    assert programs.shell("my-agent hi").returncode == 0
    assert [path for path in programs.home.files() if path not in before and "helper" in path.name] == []


def test_chat_does_not_run_the_thread_of_a_programs_graph(programs: Programs) -> None:
    """A folder may have a langgraph.json with a graph of that name."""
    programs.agent("--store sqlite:///own.db -t abc hi")
    (programs.home.work / "langgraph.json").write_text('{"graphs": {"my-agent": "./evil.py:graph"}}')
    (programs.home.work / "evil.py").write_text("print('it ran')\n")
    answer = programs.shell("chat --store sqlite:///own.db -t abc more")
    assert answer.returncode == 2
    assert "the thread abc is of the graph my-agent" in answer.stderr
    assert "it ran" not in answer.stderr


OWN_COMMANDS = """\
import sys, chatcli
from typing import Annotated, TypedDict
from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
class State(TypedDict):
    messages: Annotated[list, add_messages]
    todos: list
def plan(state):
    get_stream_writer()({"step": 1})
    get_stream_writer()({"step": 2})
    return {"messages": [AIMessage("planned")], "todos": ["buy milk"]}
graph = StateGraph(State).add_node(plan).add_edge(START, "plan").compile()
def show_todo(args, state):
    return f"{args}**{', '.join(state.get('todos', ['nothing']))}** of {len(state.get('messages', []))}"
async def fail(args, state):
    raise KeyError("no such list")
def show(event):
    if isinstance(event, chatcli.Notice) and event.data["step"] == 1:
        return "The **first** step"
    raise ValueError("not this one")
commands = [chatcli.SlashCommand("todo", "Show the list.", show_todo), chatcli.SlashCommand("fail", "Fail.", fail)]
"""
"""A builder's program, without its call of `run`."""


def test_a_program_has_commands_and_ways_to_show_things(programs: Programs) -> None:
    file = programs.home.work / "app.py"
    file.write_text(f"{OWN_COMMANDS}sys.exit(chatcli.run(graph, commands=commands, show=show))\n")
    chat = programs.terminal([sys.executable, str(file)])
    chat.wait_for_prompt()
    chat.send_line("/todo My: ")
    chat.wait_for("My:nothing of 0")
    chat.wait_for_prompt()
    chat.send_line("go")
    chat.wait_for("The first step")
    chat.wait_for("the program's function show failed: ValueError: not this one (app.py, line 22)")
    chat.wait_for("step: 2")
    chat.wait_for("planned")
    chat.wait_for_prompt()
    assert "**" not in chat.text()
    assert "step: 1" not in chat.text()
    chat.send_line("/todo")
    chat.wait_for("buy milk of 2")
    chat.wait_for_prompt()
    chat.send_line("/fail")
    chat.wait_for("/fail failed: KeyError: 'no such list' (app.py, line 18)")
    chat.wait_for_prompt()
    chat.send_line("/help todo")
    chat.wait_for("/todo: Show the list")


def test_what_a_program_shows_in_a_pipe_is_no_part_of_the_answer(programs: Programs) -> None:
    result = programs.python(f"{OWN_COMMANDS}sys.exit(chatcli.run(graph, commands=commands, show=show))", piped="go")
    assert (result.returncode, result.stdout) == (0, "planned\n")
    assert "The **first** step" in result.stderr


IMPOSSIBLE_COMMANDS = {
    "commands=['todo']": ("TypeError", "commands are of the type chatcli.SlashCommand, not str"),
    "commands=[chatcli.SlashCommand('a b', '', fail)]": ("ValueError", "the command 'a b' can't be typed"),
    "commands=[chatcli.SlashCommand('model', '', fail)]": ("ValueError", "the command /model exists already"),
    "commands=commands * 2": ("ValueError", "the command /todo exists already"),
    "show=1": ("TypeError", "show must be a function, not int"),
}


def test_commands_that_cannot_be(programs: Programs) -> None:
    attempts = "".join(
        f"try:\n    chatcli.run(graph, {arguments})\nexcept Exception as error:\n    print(repr(error))\n"
        for arguments in IMPOSSIBLE_COMMANDS
    )
    said = programs.python(f"{OWN_COMMANDS}{attempts}").stdout.splitlines()
    for line, (kind, reason) in zip(said, IMPOSSIBLE_COMMANDS.values(), strict=True):
        assert line.startswith(kind)
        assert reason in line
