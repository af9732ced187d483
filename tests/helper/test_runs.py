"""A run in the helper's child is the run that was asked for."""

import re
from threading import Event

import pytest

from tests.conftest import KEY
from tests.e2e.forkserver import ForkServer
from tests.e2e.program import Chat, Result
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Gated, Step, context_too_long, unauthorized
from tests.helper.conftest import Helped

ALONE = {"CHATCLI_HELPER": "0"}


def same(result: Result) -> Result:
    """Blank what differs from run to run, and join the deltas, which are as long as the machine is slow."""
    blank = re.compile(r'"(thread_id|checkpoint_id)": "[^"]+"|"elapsed_ms": \d+|thread [0-9a-f]{8}|\d+\.\d s')
    stdout = re.sub(r'"\}\n\{"type": "text_delta", "text": "', "", blank.sub("", result.stdout))
    return Result(result.returncode, stdout, blank.sub("", result.stderr))


def test_a_one_shot_is_run_by_a_child_of_the_helper(helped: Helped, server: FakeOpenAI) -> None:
    gate = Event()
    server.script(Gated("the beginning", gate, " and the end"))
    running = helped.start("hello")
    running.wait_for_output("the beginning")
    assert len(helped.children()) == 1
    gate.set()
    assert running.finish().stdout == "the beginning and the end\n"


@pytest.mark.parametrize(
    "words",
    [
        ("hello",),
        ("--json", "hello"),
        ("--format", "jsonl", "hello"),
        ("--color", "always", "-m", "gpt-5", "what", "is", "*this*?"),
        ("-s", "Be brief.", "-q", "hello"),
        ("--no-save", "hello"),
        ("--unknown-option", "hello"),
        ("--temperature", "hot", "hello"),
        ("-t", "", "hello"),
        ("-f", "missing.txt", "hello"),
        ("-m", "nobody:nothing", "hello"),
        ("--debug", "-m", "anthropic:claude-sonnet-4-5", "hello"),
        ("  ",),
    ],
    ids=" ".join,
)
def test_it_says_and_returns_the_same(
    helped: Helped, server: FakeOpenAI, forks: ForkServer, words: tuple[str, ...]
) -> None:
    alone = Chat(helped.home, forks)(*words, env=ALONE)
    child = helped(*words)
    if alone.returncode != 0 and "--debug" in words:
        alone, child = (Result(run.returncode, "", run.stderr.splitlines()[0]) for run in (alone, child))
    assert same(child) == same(alone)
    assert [request.body for request in server.requests[1:]] == [request.body for request in server.requests[:1]]


@pytest.mark.parametrize(("step", "code"), [(unauthorized(), 3), (context_too_long(), 4)], ids=["401", "too long"])
def test_a_failure_has_its_exit_code(helped: Helped, server: FakeOpenAI, step: Step, code: int) -> None:
    server.default = step
    assert helped("hello").returncode == code


def test_it_works_in_the_folder_that_it_was_asked_in(helped: Helped, server: FakeOpenAI) -> None:
    (helped.home.work / "notes.txt").write_text("the text of the notes")
    assert helped("-f", "notes.txt", "sum up").returncode == 0
    assert "the text of the notes" in server.requests[-1].last


def test_it_answers_from_documents(helped: Helped, server: FakeOpenAI) -> None:
    (helped.home.work / "setup.md").write_text("Run `make frobnicate` to begin.\n")
    gate = Event()
    server.script(Gated("Run it ", gate, "[1]."))
    running = helped.start("-t", "documents", "--docs", "setup.md", "How do I frobnicate?")
    running.wait_for_output("Run it")
    assert len(helped.children()) == 1
    gate.set()
    assert running.finish().stdout == "Run it [1].\n\n[1] setup.md:1-1\n"
    server.default = Answer("Run it [1].")
    alone = helped.forked("-t", "documents", "How do I frobnicate?", env=ALONE)
    assert alone.stdout.endswith("\n\n[1] setup.md:1-1\n")
    assert helped("--docs", "missing", "hello").returncode == 2


def test_the_environment_is_the_one_of_now(helped: Helped, server: FakeOpenAI) -> None:
    server.key = None
    with FakeOpenAI() as other:
        env = {"OPENAI_BASE_URL": other.base_url, "OPENAI_API_KEY": "sk-other", "CHATCLI_SYSTEM": "Be brief."}
        assert helped("hello", env=env).returncode == 0
        assert other.requests[0].key == "sk-other"
        assert other.requests[0].messages[0] == ("system", "Be brief.")
    server.key = KEY
    assert server.requests == []
    assert helped("hello").returncode == 0
    assert server.requests[0].messages[0][0] == "user"


def test_a_pipe_goes_in_and_out(helped: Helped, server: FakeOpenAI) -> None:
    server.script(Answer("word " * 50_000))
    whole = helped.shell('yes "a long line of text" | head -5000 | chat "review this" | wc -w')
    assert whole.stdout.strip() == "50000", whole
    assert server.requests[-1].last.count("a long line of text") == 5000
    server.script(Answer("word " * 50_000, chunks=500))
    cut = helped.shell('chat "talk" | head -c 4; echo "${PIPESTATUS[0]}"')
    assert cut.stdout == "word0\n", cut


def test_a_thread_goes_on_through_processes_of_both_kinds(helped: Helped, server: FakeOpenAI) -> None:
    for number, (run, env) in enumerate([(helped, {}), (helped.forked, ALONE), (helped, {})]):
        assert run("-t", "both", f"question {number}", env=env).returncode == 0
    assert [text for role, text in server.requests[-1].messages if role == "user"] == [
        "question 0",
        "question 1",
        "question 2",
    ]
    assert helped("-c", "--json", "and now").json()["thread_id"] == "both"


def test_several_run_at_the_same_time(helped: Helped, server: FakeOpenAI) -> None:
    gate = Event()
    server.script(*[Gated("a", gate, "b")] * 3)
    running = [helped.start(f"question {number}") for number in range(3)]
    for run in running:
        run.wait_for_output("a")
    assert len(helped.children()) == 3
    gate.set()
    assert [run.finish().stdout for run in running] == ["ab\n"] * 3


def test_what_it_prints_is_coded_as_the_locale_says(helped: Helped, server: FakeOpenAI) -> None:
    server.script(Answer("naïve 漢字"), Answer("naïve 漢字"))
    assert helped("hello").stdout == "naïve 漢字\n"
    environment = {"PYTHONIOENCODING": "ascii"}  # of another interpreter than the helper's
    assert helped("hello", env=environment).stdout == "na?ve ??\n"


def test_the_socket_is_the_users_alone(helped: Helped) -> None:
    assert helped.folder.stat().st_mode & 0o777 == 0o700
    [path] = helped.folder.iterdir()
    assert path.is_socket()
    assert path.stat().st_mode & 0o777 == 0o600


def test_doctor_reports_it(helped: Helped) -> None:
    [found] = [finding for finding in helped.forked("doctor", "--json").json() if finding["subject"] == "helper"]
    assert found["state"] == "ok"
    assert f"process {helped.pid()}" in found["detail"]


@pytest.mark.parametrize("place", ["> /dev/full", ">&-"])
def test_an_output_that_takes_nothing_is_a_failure(helped: Helped, server: FakeOpenAI, place: str) -> None:
    result = helped.shell(f"chat hello {place}")
    assert result.returncode == 1
    assert result.stderr.startswith("error: the output can't be written: ")


def test_an_empty_pipe_is_warned_of(helped: Helped, server: FakeOpenAI) -> None:
    assert helped.shell(": | chat hello").stderr.startswith("warning: nothing came through the pipe")
    assert helped.shell("chat hello < /dev/null").stderr == ""
