"""`chat --url URL threads`, and what a server that can't be used comes to."""

import json
import re
import secrets

from tests.e2e.program import Chat, Home, Result
from tests.langgraph_server import OtherProgram


def test_threads_are_managed_on_the_server(at_server: Chat, other: OtherProgram, home: Home) -> None:
    thread_id, name = other.thread("One?", "Two?"), f"fork-{secrets.token_hex(4)}"
    assert at_server("threads", "rename", thread_id, "Numbers").returncode == 0
    assert at_server("threads", "fork", thread_id, name).stdout == f"{name}\n"
    titles = {thread["thread_id"]: thread["title"] for thread in at_server("threads", "list", "--json").json()}
    assert titles[thread_id] == titles[name] == "Numbers"
    assert [message["content"] for message in at_server.messages(name)][::2] == ["One?", "Two?"]
    document = at_server("threads", "export", name, "--format", "json").stdout
    assert [message["role"] for message in json.loads(document)["messages"]] == ["user", "assistant"] * 2
    assert at_server("threads", "delete", thread_id, name).returncode == 0
    (home.work / "thread.json").write_text(document)
    refused = at_server("threads", "import", "thread.json")
    assert refused.returncode == 2
    assert_one_failure(refused, "imported")


def test_a_dead_server_is_reported_at_once(chat: Chat) -> None:
    result = chat("--url", "http://127.0.0.1:9", "threads", "list")
    assert (result.returncode, result.stdout) == (75, "")
    assert_one_failure(result, "can't be reached")


def test_the_key_is_sent_and_never_shown(at_server: Chat) -> None:
    assert at_server("threads", env={"LANGGRAPH_API_KEY": "lg-test-0c9e71"}).returncode == 0
    refused = at_server("threads", env={"LANGSMITH_API_KEY": "lg-wrong-77aa"})
    assert refused.returncode == 3
    assert_one_failure(refused, "does not accept the key")
    shown = at_server("--debug", "config", env={"LANGGRAPH_API_KEY": "lg-wrong-77aa"})
    assert "lg-wrong" not in refused.stderr + shown.stdout + shown.stderr


def test_an_untrusted_env_file_sends_no_key_to_its_own_server(chat: Chat, home: Home, langgraph_server: str) -> None:
    env_file = home.work / ".env"
    env_file.write_text(f"CHATCLI_URL={langgraph_server}\n")
    here = chat("threads", env={"LANGSMITH_API_KEY": "lg-wrong-1234"})
    assert here.returncode == 0  # the server would refuse the key
    assert "lg-wrong" not in here.stderr
    env_file.write_text(f"CHATCLI_URL={langgraph_server}\nLANGGRAPH_API_KEY=lg-wrong-77aa\n")
    assert chat("threads").returncode == 0
    assert chat("trust", "--yes").returncode == 0
    assert chat("threads").returncode == 3  # asked for once it is trusted


def assert_one_failure(result: Result, text: str) -> None:
    lines = result.stderr.splitlines()
    assert 1 <= len(lines) <= 2, result
    assert text in lines[0]
    assert not re.search("Traceback|httpx", result.stderr)
