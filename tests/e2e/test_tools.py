"""The model acts with the built-in tools: what runs, what is refused, and what is left when it is cut short."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.checks import valid_events
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home, has_ended
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Calls, Request, call
from tests.waiting import wait_until


def test_the_model_reads_files_of_the_current_folder_and_nothing_outside(
    chat: Chat, home: Home, fake: FakeOpenAI
) -> None:
    (home.work / "notes.txt").write_text("the password is swordfish\n")
    (home.root / "secret.txt").write_text("nobody may read this")
    (home.work / "way_out").symlink_to(home.root / "secret.txt")
    (home.work / ".env").write_text("# TOKEN=1")
    paths = ("notes.txt", "way_out", "../secret.txt", ".env")
    fake.script(
        Calls([("read_file", {"path": path}) for path in paths], text="Let me look."), Answer("It says swordfish.")
    )
    done = chat("--tools", "--format", "jsonl", "what does notes.txt say?")
    assert done.returncode == 0, done
    assert fake.requests[0].tools == [
        *("read_file", "list_files", "search_files", "write_file", "edit_file", "fetch_url", "run_shell", "remember"),
    ]
    read, *refused = fake.requests[1].results
    assert read == "the password is swordfish\n"
    assert ["outside of the current folder" in result for result in refused] == [True, True, False]
    assert "needs the user's approval" in refused[2]
    valid_events(done.events())
    kinds = [event["type"] for event in done.events()]
    assert kinds.count("tool_call_started") == kinds.count("tool_call_finished") == 4
    assert done.events()[-1]["content"] == "Let me look.\n\nIt says swordfish."
    assert done.events()[-1]["finish_reason"] == "stop"


def test_without_a_user_to_ask_only_what_a_rule_allows_runs(chat: Chat, home: Home, fake: FakeOpenAI) -> None:
    commands = ("echo one", "echo two > file", "touch file")
    fake.script(Calls([("run_shell", {"command": command}) for command in commands]), Answer("done"))
    done = chat("--tools", "--allow", "run_shell:echo *", "go")
    assert done.returncode == 0, done
    assert done.stdout == "done\n"
    assert fake.requests[1].results[0] == "one"
    assert all("needs the user's approval" in result for result in fake.requests[1].results[1:])
    assert not (home.work / "file").exists()
    assert "--allow 'run_shell:touch file' or --yes" in done.stderr
    fake.script(call("run_shell", command="touch file; echo $OPENAI_API_KEY."), Answer("done"))
    assert chat("--tools", "--yes", "go").returncode == 0
    assert fake.requests[-1].results == ["."]
    assert (home.work / "file").exists()


def test_a_command_gets_no_variable_that_is_not_known_to_be_harmless(chat: Chat, fake: FakeOpenAI) -> None:
    keys = {
        **dict.fromkeys(("OLLAMA_API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "LANGSMITH_API_KEY"), "k"),
        **dict.fromkeys(("LANGGRAPH_API_KEY", "PGPASSWORD", "MY_OWN_TOKEN", "GITHUB_TOKEN"), "k"),
        **dict.fromkeys(("SSH_AUTH_SOCK", "DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"), "/tmp/x"),
        "BASH_ENV": "/tmp/x",
        "HTTPS_PROXY": "http://me:secret@proxy",
        "CHATCLI_STORE": "memory:",
    }
    harmless = {
        "VIRTUAL_ENV": "/venv",
        "EDITOR": "vi",
        "LC_ALL": "C.UTF-8",
        "http_proxy": "http://proxy",
        "NO_PROXY": "127.0.0.1",
    }
    fake.script(call("run_shell", command="env"), Answer("done"))
    assert chat("--tools", "--yes", "--no-save", "go", env={**keys, **harmless}).returncode == 0
    got = dict(line.split("=", 1) for line in fake.requests[1].results[0].splitlines())
    assert not set(keys) & set(got)
    assert harmless.items() <= got.items()
    assert {"PATH", "HOME", "LANG", "TERM"} <= set(got)


def test_bad_arguments_are_a_result_for_the_model_and_ask_nobody(chat: Chat, home: Home, fake: FakeOpenAI) -> None:
    lone, deep, huge = '"\\ud800"', "[" * 900 + "]" * 900, "1" + "0" * 400
    bad: list[tuple[str, Any]] = [
        *(("read_file", {"path": path}) for path in ("a\0b", "a" * 5000, ["x"], 5, None)),
        *((tool, f'{{"path": {lone}}}') for tool in ("read_file", "list_files", "search_files")),
        *(
            ("read_file", f'{{"path": "x", "first_line": {line}}}')
            for line in (huge, "1e999", "NaN", deep, '"x"', lone)
        ),
        ("read_file", f'{{"path": "x", {lone}: 1}}'),
        ("run_shell", f'{{"command": {lone}}}'),
        ("run_shell", {"command": {"a": 1}}),
        ("list_files", {"path": "a\0b"}),
        ("search_files", {"pattern": "x", "path": "a" * 5000}),
        ("fetch_url", f'{{"url": "http://{lone[1:-1]}"}}'),
        ("f\ud800", {}),
    ]
    fake.script(Calls(bad), Answer("I see."), Answer("again"))
    done = chat("--tools", "--thread", "work", "--json", "go")
    assert done.returncode == 0, done
    assert done.json()["content"] == "I see."
    assert "nobody can be asked" not in done.stderr
    results = fake.requests[1].results
    assert len(results) == len(bad)
    expected = ("can't be read", "Not run: the arguments", "There is no tool")
    assert [result for result in results if not any(part in result for part in expected)] == []
    # The thread can be stored, sent and shown.
    assert chat("--thread", "work", "more").stdout == "again\n"
    assert chat.messages("work")
    assert chat("threads", "export", "work", "--format", "json").returncode == 0


def test_a_call_that_fails_when_it_runs_is_a_result_too(chat: Chat, home: Home, fake: FakeOpenAI) -> None:
    Path(os.fsdecode(os.fsencode(home.work) + b"/\xff")).touch()
    bad = [
        ("run_shell", {"command": "echo a\0b"}),
        ("fetch_url", {"url": "http://["}),
        ("fetch_url", {"url": "http://a\0b/"}),
        ("search_files", {"pattern": "(" * 5000}),
        ("list_files", {}),
    ]
    fake.script(Calls(bad), Answer("I see."))
    assert chat("--tools", "--yes", "go").stdout == "I see.\n"
    assert len(fake.requests[1].results) == len(bad)
    assert fake.requests[1].results[-1] == "\N{REPLACEMENT CHARACTER}"


def test_calls_run_side_by_side_and_the_model_sees_which_failed_or_hung(chat: Chat, fake: FakeOpenAI) -> None:
    for name in ("there", "back"):
        os.mkfifo(chat.home.work / name)
    fake.script(
        Calls(
            [
                # Each of these two waits for the other: one after the other, both would be killed.
                ("run_shell", {"command": "echo hello >there; cat back"}),
                ("run_shell", {"command": "cat there >/dev/null; echo met >back; exit 4"}),
                ("run_shell", {"command": "echo before; sleep 60"}),
                ("run_shell", '{"command": "no end'),
                ("fly", {"height": 3}),
                ("read_file", {"file": "x"}),
            ]
        ),
        Answer("I see."),
    )
    done = chat("--tools", "--yes", "--tool-timeout", "5", "--json", "go")
    assert done.json()["content"] == "I see.", done
    results = fake.requests[1].results
    assert results[:3] == ["met", "[exit code 4]", "before\n[killed after 5 seconds]"]
    assert "not a JSON object" in results[3]
    assert "no tool fly" in results[4]
    assert "path" in results[5]


def test_the_model_is_stopped_after_so_many_steps(chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = lambda request: call("list_files")
    done = chat("--tools", "--max-steps", "2", "--format", "jsonl", "go")
    assert done.returncode == 0, done
    assert len(fake.requests) == 4
    assert "limit of 2 steps" in fake.requests[3].results[-1]
    assert any("--max-steps" in event["text"] for event in done.events() if event["type"] == "notice")
    assert done.events()[-1]["type"] == "turn_finished"
    fake.default = Answer("fine")
    assert chat("--continue", "and now?").stdout == "fine\n"


def test_ctrl_c_stops_a_tool_and_leaves_a_thread_that_goes_on(chat: Chat, home: Home, fake: FakeOpenAI) -> None:
    fake.script(call("run_shell", command="sleep 60 & echo $! > pid; sleep 61"), Answer("welcome back"))
    running = chat.start("--tools", "--yes", "--thread", "work", "--format", "jsonl", "go")
    running.wait_for_output("tool_call_started")
    sleeping = _written_process(home.work / "pid")
    running.signal(signal.SIGINT)
    assert running.finish().returncode == 130
    wait_until(lambda: has_ended(sleeping))
    assert chat("--thread", "work", "are you there?").stdout == "welcome back\n"
    assert _unpaired(fake.requests[-1]) == []
    assert fake.requests[-1].messages[-1] == ("user", "are you there?")


def test_a_process_killed_with_a_tool_running_leaves_a_thread_that_goes_on(
    chat: Chat, home: Home, fake: FakeOpenAI
) -> None:
    fake.script(call("run_shell", command="echo $$ > pid; exec sleep 62"), Answer("welcome back"))
    running = chat.start("--tools", "--yes", "--thread", "work", "go")
    sleeping = _written_process(home.work / "pid")
    running.signal(signal.SIGKILL)
    running.finish()
    wait_until(lambda: has_ended(sleeping))
    assert chat("--thread", "work", "are you there?").stdout == "welcome back\n"
    assert _unpaired(fake.requests[-1]) == []


@pytest.mark.parametrize("line", ["CHATCLI_YES=1", "CHATCLI_ALLOW=run_shell"])
@pytest.mark.parametrize("trust", ["", "1"])
def test_a_folder_can_let_no_tool_run_unasked(chat: Chat, home: Home, fake: FakeOpenAI, line: str, trust: str) -> None:
    (home.work / ".env").write_text(line)
    fake.script(call("run_shell", command="touch ran"), Answer("done"))
    done = chat("--tools", "go", env={"CHATCLI_TRUST": trust})
    assert done.returncode == 0, done
    assert line.partition("=")[0] in done.stderr
    assert "needs the user's approval" in fake.requests[-1].results[-1]
    assert not (home.work / "ran").exists()


def test_a_folder_can_switch_on_no_servers(chat: Chat, home: Home, fake: FakeOpenAI) -> None:
    (home.work / ".env").write_text("CHATCLI_MCP=servers.json\nCHATCLI_TOOLS=1\n")
    done = chat("go")
    assert done.returncode == 0, done
    assert "CHATCLI_MCP, CHATCLI_TOOLS" in done.stderr
    assert fake.requests[0].tools == []


def test_no_tool_is_offered_unless_it_is_switched_on(chat: Chat, fake: FakeOpenAI) -> None:
    assert chat("go").returncode == 0
    assert fake.requests[0].tools == []


def _unpaired(request: Request) -> list[str]:
    """Give the IDs of calls without a result, and of results without a call."""
    messages = request.body["messages"]
    calls = {each["id"] for message in messages for each in message.get("tool_calls", [])}
    return sorted(calls ^ {message["tool_call_id"] for message in messages if message["role"] == "tool"})


def _written_process(file: Path) -> psutil.Process:
    """Wait until the number of a process stands in `file`, and return the process."""
    wait_until(lambda: file.exists() and file.read_text().endswith("\n"))
    return psutil.Process(int(file.read_text()))


def test_off_a_terminal_a_file_is_written_only_with_yes(chat: Chat, home: Home, fake: FakeOpenAI) -> None:
    write = [
        ("write_file", {"path": "a/notes.txt", "content": "hello\n"}),
        ("write_file", {"path": ".env", "content": "x"}),
    ]
    fake.script(Calls(write), Answer("done"))
    done = chat("--tools", "--allow", "*", "--allow", "write_file", "go")
    assert done.returncode == 0, done
    assert "the call of write_file was refused, as nobody can be asked: --yes allows it" in done.stderr
    assert list(home.work.iterdir()) == []
    fake.script(Calls(write), Answer("done"))
    done = chat("--tools", "--yes", "--json", "go")
    assert done.returncode == 0, done
    assert (home.work / "a" / "notes.txt").read_text() == "hello\n"
    assert not (home.work / ".env").exists()
    assert fake.requests[-1].results[0] == "Wrote a/notes.txt."
    assert "may hold secrets" in fake.requests[-1].results[1]


def test_a_write_that_waits_is_answered_by_another_run_which_shows_what_changed(
    terminal: OpenTerminal, chat: Chat, home: Home, fake: FakeOpenAI
) -> None:
    fake.script(call("write_file", path="a.txt", content="new\n"), Answer("done"))
    window = terminal("--tools", "-t", "work", "go")
    window.wait_for("y once, e edit, n no")
    window.send_key("ctrl-c")
    assert window.exit_code() == 0
    (home.work / "a.txt").write_text("meanwhile\n")
    again = chat("--tools", "-t", "work", "--resume-with", "approve")
    assert "error: what was shown is not what would be done now" in again.stderr
    assert "-meanwhile\n+new\n" in again.stderr
    assert (home.work / "a.txt").read_text() == "meanwhile\n"
    assert chat("--tools", "-t", "work", "--resume-with", "approve").stdout == "done\n"
    assert (home.work / "a.txt").read_text() == "new\n"
