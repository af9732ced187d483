"""`chat --url URL`: the app of a real LangGraph server behind the same command."""

import os
import secrets
import shutil
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home
from tests.langgraph_server import OtherProgram, start_server, stop_server


@pytest.fixture
def thread() -> str:
    """Give the name of a thread that no other test uses: the server is shared."""
    return f"name {secrets.token_hex(4)}"


def statuses(other: OtherProgram, thread: str) -> list[str]:
    """Return how the runs on the thread stand, the newest first."""
    named = other.client.threads.search(metadata={"chatcli_thread": thread})
    return [run["status"] for row in named for run in other.client.runs.list(row["thread_id"])]


def test_a_thread_goes_on_from_another_machine(
    at_server: Chat, alone_on_server: None, langgraph_server: str, thread: str, tmp_path: Path
) -> None:
    first = at_server("-t", thread, "Hello?")
    assert (first.returncode, first.stdout) == (0, "You said: Hello? (message 1, somebody)\n"), first
    elsewhere = Chat(Home.below(tmp_path / "elsewhere"))
    second = elsewhere("--url", f"{langgraph_server}/", "-c", "--json", "Still there?")
    answer = second.json()
    assert (answer["thread_id"], answer["model"], answer["messages_in_thread"]) == (thread, "langgraph:echo", 4)
    assert answer["content"] == "You said: Still there? (message 3, somebody)"
    assert not any(path.name == "threads.db" for path in [*at_server.home.files(), *elsewhere.home.files()])


def test_a_conversation_in_the_terminal(
    at_server: Chat, terminal: OpenTerminal, other: OtherProgram, thread: str
) -> None:
    tty = terminal("-t", thread, "--url", at_server.home.env["CHATCLI_URL"])
    tty.wait_for_prompt()
    tty.send_line("One?")
    tty.wait_for("You said: One? (message 1")
    tty.wait_for_prompt()
    tty.send_line("Speak slowly")
    tty.wait_for("and so on and")
    tty.send_key("ctrl-c")
    tty.wait_for_prompt()
    assert statuses(other, thread)[0] == "interrupted"
    tty.send_line("Go on?")
    tty.wait_for("(message 5")
    tty.wait_for_prompt()
    tty.send_line("/undo 2")
    tty.clear_prompt("Speak slowly")
    tty.send_line("Two?")
    tty.wait_for("You said: Two? (message 3")
    tty.wait_for_prompt()
    tty.send_line("/history")
    shown = tty.wait_for("you are here")
    assert [line in shown for line in ("* 1", "| Speak slowly", "| Go on?", "Two?")] == [True] * 4
    tty.wait_for_prompt()
    tty.send_line("/tree")
    tty.wait_for(lambda _: "arrows move" in tty.screen() and "Go on? (mes" in tty.screen())
    tty.send_key("escape")
    for refused in (
        "/tree summary 2",
        "/model openai:gpt-5-mini",
        "/system Be brief",
        "/role pirate",
        "/context",
        "/compact",
    ):
        tty.wait_for_prompt()
        tty.send_line(refused)
        tty.wait_for(lambda text, line=refused: "of its own" in text.rpartition(f"> {line}")[2])  # type: ignore[misc]
    tty.wait_for_prompt()
    tty.send_line("/exit")
    assert tty.exit_code() == 0
    assert f"chat --url {at_server.home.env['CHATCLI_URL']} --thread '{thread}'" in tty.text()
    assert [m["content"] for m in at_server.messages(thread) if m["role"] == "user"] == ["One?", "Two?"]


def test_the_run_of_a_killed_process_goes_on_and_the_next_question_waits_for_it(
    at_server: Chat, other: OtherProgram, thread: str
) -> None:
    running = at_server.start("-t", thread, "--format", "jsonl", "Speak slowly")
    running.wait_for_output("and")
    running.signal(signal.SIGKILL)
    running.finish()
    following = at_server.start("-t", thread, "--format", "jsonl", "Next?")
    following.wait_for_output("another client's run is on this thread")
    (there,) = other.client.threads.search(metadata={"chatcli_thread": thread})
    (run,) = [one for one in other.client.runs.list(there["thread_id"]) if one["status"] == "running"]
    other.client.runs.cancel(there["thread_id"], run["run_id"], wait=True)
    assert "You said: Next?" in following.finish().stdout


def test_a_run_that_a_restarted_server_has_lost_is_a_connection_error(chat: Chat, tmp_path: Path, weekly: bool) -> None:
    if not weekly:
        pytest.skip("starts a server twice: tried once a week")
    server = start_server(tmp_path)
    url = (tmp_path / "address").read_text()
    try:
        running = chat.start("--url", url, "--timeout", "120", "-t", "t", "--format", "jsonl", "Speak slowly")
        running.wait_for_output("and")
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        shutil.rmtree(tmp_path / "app" / ".langgraph_api", ignore_errors=True)  # what it would know the run by
        server = start_server(tmp_path, int(url.rpartition(":")[2]))
        lost = running.finish()
    finally:
        stop_server(server)
    assert lost.returncode == 75
    assert f"the LangGraph server {url} no longer knows the run" in lost.stderr


def test_an_approval_is_a_documented_outcome(at_server: Chat, thread: str) -> None:
    asked = at_server("--assistant", "approve", "-t", thread, "--format", "jsonl", "Send it.")
    assert asked.returncode == 0, asked
    request, end = asked.events()[-2:]
    assert request["payload"] == {"question": "Send it?", "to": "bob@example.org"}
    assert end["finish_reason"] == "interrupt"
    resumed = at_server("-t", thread, "--resume-with", '{"yes": true}')
    assert resumed.stdout == "The answer was {'yes': True}.\n"


def test_what_fails_is_one_failure(at_server: Chat, thread: str) -> None:
    failed = at_server("-t", thread, "--json", "Please fail")
    assert (failed.returncode, failed.json()["error"]["code"]) == (1, "internal")
    assert "ValueError: the app can't answer that" in failed.stderr
    dead = at_server("--url", "http://127.0.0.1:9", "--json", "Hello?")
    assert (dead.returncode, dead.json()["error"]["retryable"]) == (75, True)
    assert "can't be reached" in dead.stderr
    assert len(dead.stderr.splitlines()) <= 2
    nobody = at_server("--assistant", "nobody", "Hello?")
    assert nobody.returncode == 2
    assert "echo, approve" in nobody.stderr
    wrong = at_server("Hello?", env={"LANGGRAPH_API_KEY": "lg-wrong-77aa"})
    assert wrong.returncode == 3
    assert "(message 1, key-holder)" in at_server("Hello?", env={"LANGGRAPH_API_KEY": "lg-test-0c9e71"}).stdout


def test_the_doctor_looks_at_the_server(at_server: Chat) -> None:
    healthy = at_server("doctor")
    assert "its assistants: echo, approve" in healthy.stdout
    ill = at_server("--url", "http://127.0.0.1:9", "doctor")
    assert ill.returncode == 1
    assert "can't be reached" in ill.stdout


def test_a_breakpoint_on_the_server(at_server: Chat, thread: str) -> None:
    stopped = at_server("-t", thread, "--assistant", "paused", "--json", "Hello?")
    assert (stopped.returncode, stopped.json()["finish_reason"]) == (0, "breakpoint"), stopped
    assert "stopped at a breakpoint before second" in stopped.stderr
    assert at_server("-t", thread, "Another?").returncode == 2
    rest = at_server("-t", thread, "--resume-with", "null", "--json")
    assert (rest.json()["content"], rest.json()["finish_reason"]) == ("counted 1", "stop"), rest
    assert at_server("-t", thread, "--json", "Another?").json()["finish_reason"] == "breakpoint"


def test_the_state_of_a_thread_on_the_server(at_server: Chat, terminal: OpenTerminal, thread: str) -> None:
    at_server("-t", thread, "--assistant", "paused", "Hello?")
    shown = at_server("threads", "show", thread, "--state", "--json")
    assert shown.json()["state"] == {"count": 1}, shown
    tty = terminal("-t", thread)
    tty.wait_for_prompt()
    for line, answer in (
        ("/state", "count"),
        ('/state count="many"', "which is of the type int"),
        ('/state files={"a.md": "text"}', "files is now"),
        ("/state count=5", "count is now 5"),
        ("/undo", "one"),
        ("/state count", "1"),
        ("/state count=7", "count is now 7"),
        ("/state watch", "shown"),
        ("/continue", "counted 7"),
    ):
        tty.send_line(line)
        tty.wait_for(lambda text, line=line, answer=answer: answer in text.partition(f"> {line}")[2])  # type: ignore[misc]
        tty.wait_for_prompt()
    tty.send_line("/exit")
    assert tty.exit_code() == 0
    assert at_server("threads", "show", thread, "--state", "--json").json()["state"] == {
        "count": 7,
        "files": {"a.md": "text"},
    }


def test_values_beside_the_messages_reach_the_app(at_server: Chat, thread: str) -> None:
    valued = ("--assistant", "valued", "-t", thread)
    given = ("--context", "name=7", "--input", "language=Welsh")
    assert at_server(*valued, *given, "hi").stdout == "7, ('7', None), in Welsh\n"
    assert at_server("-t", thread, "again").stdout == "7, ('7', None), in Welsh\n"  # the thread remembers them
    more = at_server("-t", thread, "--configurable", "extra=x y", "--input", "language=8", "again")
    assert more.stdout == "7, ('7', 'x y'), in 8\n"
    assert at_server("-t", thread, "again").stdout == "7, ('7', 'x y'), in 8\n"
    assert at_server(*valued, "--configurable", "name=9", "--context", "name=9", "hi").stdout.startswith("9, ")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--context", "nam=7"), ("context has no field nam", "Did you mean name?")),
        (("--context", "name=7", "--input", "tongue=Welsh"), ("input has no field tongue", "language")),
        (("--input", "messages=[]"), ("takes the question",)),
        (("--configurable", "thread_id=7"), ("is set by chat itself",)),
        (("--context", "name=7", "--configurable", "name=8"), ("one value of name",)),
        (("--input", "language=Welsh"), ("context needs the field name", "--context name=VALUE")),
        (("--context", "name=7"), ("input needs the field language", "--input language=VALUE")),
    ],
)
def test_values_that_do_not_fit_an_app_are_usage_errors(
    at_server: Chat, thread: str, given: tuple[str, ...], words: tuple[str, ...]
) -> None:
    refused = at_server("--assistant", "valued", "-t", thread, *given, "hi")
    assert refused.returncode == 2, refused
    assert all(word in refused.stderr for word in words), refused.stderr


def test_set_gives_an_app_values(at_server: Chat, terminal: OpenTerminal, thread: str) -> None:
    tty = terminal("-t", thread, "--url", at_server.home.env["CHATCLI_URL"], "--assistant", "valued")
    tty.wait_for_prompt()
    for typed in ("name=7", "input.language=Welsh"):
        tty.send_line(f"/set {typed}")
        tty.wait_for(f"\n{typed}\n")
        tty.wait_for_prompt()
    tty.send_line("hi")
    tty.wait_for("7, ('7', None), in Welsh")
