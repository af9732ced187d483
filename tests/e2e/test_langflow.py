"""A Langflow flow as a user has it: `chat -m langflow:FLOW`, against a scripted server."""

import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from jsonschema import Draft202012Validator

from chatcli.cli.schemas import read_schema
from tests.e2e.checks import assert_reported
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home
from tests.fakes.langflow_server import FLOW_ID, KEY, FakeLangflow, Reply, end, streamed
from tests.fakes.openai_server import FakeOpenAI

PARROT = ("-m", "langflow:parrot")


@pytest.fixture
def langflow(home: Home) -> Iterator[FakeLangflow]:
    with FakeLangflow() as server:
        home.env["LANGFLOW_URL"] = f"{server.url}/"
        home.env["LANGFLOW_API_KEY"] = KEY
        yield server


def test_a_turn_runs_the_flow_in_a_session_of_the_thread(chat: Chat, langflow: FakeLangflow) -> None:
    first = chat(*PARROT, "-t", "abc", "--json", "Hi! I'm Bob.")
    assert first.returncode == 0, first
    answer = first.json()
    Draft202012Validator(read_schema("answer")).validate(answer)
    assert answer["content"] == "You said: Hi! I'm Bob."
    assert answer["langflow"] == {"session_id": "abc", "sender": "Machine", "text": answer["content"]}
    assert answer["usage"] == {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
    assert answer["messages_in_context"] == 1
    # In another process the thread goes on with its flow and its session, and sends nothing of what was said.
    events = chat("-t", "abc", "--format", "jsonl", "What's my name?").events()
    for event in events:
        Draft202012Validator(read_schema("event")).validate(event)
    assert "".join(event["text"] for event in events if event["type"] == "text_delta") == "You said: What's my name?"
    assert events[-1]["langflow"]["session_id"] == "abc"
    run, again = langflow.runs
    assert (run.flow, run.query, run.headers["x-api-key"]) == ("parrot", {"stream": ["true"]}, KEY)
    assert "authorization" not in run.headers
    assert run.body == {
        "input_value": "Hi! I'm Bob.",
        "input_type": "chat",
        "output_type": "chat",
        "session_id": "abc",
    }
    assert again.body == {**run.body, "input_value": "What's my name?"}


def test_documents_are_not_for_a_flow(chat: Chat, langflow: FakeLangflow, fake: FakeOpenAI, home: Home) -> None:
    (home.work / "setup.md").write_text("Run `make frobnicate` to begin.")
    assert chat("-m", "gpt-4o-mini", "-t", "abc", "--docs", "setup.md", "How do I frobnicate?").returncode == 0
    other = chat(*PARROT, "-t", "abc", "How do I frobnicate?")
    assert other.stdout == "You said: How do I frobnicate?\n"
    assert "documents are not used" in other.stderr
    assert_reported(chat("-t", "abc", "--docs", "setup.md", "hello"), 2)
    assert len(langflow.runs) == 1
    chat("-m", "gpt-4o-mini", "-t", "abc", "How do I frobnicate?")
    assert "make frobnicate" in str(fake.requests[-1].messages)


def test_tweaks_and_files_go_along(chat: Chat, langflow: FakeLangflow, home: Home) -> None:
    (home.work / "notes.txt").write_text("the cat is grey")
    tweaks = ("--tweak", "Language Model.temperature=0.2", "--tweak", "Prompt-x1.template=a=b", "--tweak", "A.b=[1]")
    assert chat("-m", f"langflow:{FLOW_ID}", *tweaks, "-f", "notes.txt", "the cat?").returncode == 0
    (run,) = langflow.runs
    assert run.flow == FLOW_ID
    assert run.body["tweaks"] == {
        "Language Model": {"temperature": 0.2},
        "Prompt-x1": {"template": "a=b"},
        "A": {"b": [1]},
    }
    assert run.body["input_value"].startswith("the cat?")
    assert "the cat is grey" in run.body["input_value"]
    assert chat(*PARROT, "hi", env={"CHATCLI_TWEAK": '{"A": {"b": 1}}'}).returncode == 0
    assert langflow.runs[-1].body["tweaks"] == {"A": {"b": 1}}
    assert_reported(chat(*PARROT, "--tweak", "temperature=1", "hi"), 2)
    refused = chat(*PARROT, "--temperature", "1", "hi")
    assert_reported(refused, 2)
    assert "--tweak COMPONENT.temperature" in refused.stderr


@pytest.mark.parametrize(
    ("tweak", "words"),
    [
        ("Lamp.color=red", ("no component Lamp", "Language Model", "LanguageModel-x1")),
        (
            "Language Model.colour=red",
            ("Language Model in the flow parrot has no field colour", "temperature, model_name"),
        ),
        ("LanguageModel-x1.code=1", ("has no field code",)),
    ],
)
def test_a_tweak_of_what_is_not_there_is_refused_before_the_flow_runs(
    chat: Chat, langflow: FakeLangflow, tweak: str, words: tuple[str, ...]
) -> None:
    refused = chat(*PARROT, "-t", "abc", "--tweak", "A.b=1", "--tweak", tweak, "hi")
    assert_reported(refused, 2)
    assert all(each in refused.stderr for each in words), refused
    assert langflow.runs == []
    assert chat("threads", "list", "--json").json() == []
    assert_reported(chat(*PARROT, "--tweak", "A.b=1", "hi", env={"LANGFLOW_API_KEY": "wrong-key-5512"}), 3)
    assert_reported(chat(*PARROT, "--tweak", "A.b=1", "hi", env={"LANGFLOW_URL": "http://127.0.0.1:9"}), 75)
    assert_reported(chat("-m", "langflow:nowhere", "--tweak", "A.b=1", "hi"), 4)


def test_a_flow_that_takes_over_a_thread_is_reported_once(chat: Chat, langflow: FakeLangflow, fake: FakeOpenAI) -> None:
    untold = "does not know the earlier messages"
    assert untold not in chat(*PARROT, "-t", "new", "hi").stderr
    openai = ("-m", "openai:gpt-fake")
    assert chat("-t", "abc", *openai, "Hi! I'm Bob.").returncode == 0
    assert untold in chat("-t", "abc", *PARROT, "What's my name?").stderr
    assert untold not in chat("-t", "abc", "And now?").stderr
    # It has not heard what others answer in between either.
    assert chat("-t", "abc", *openai, "Hi! I'm Jim.").stderr == ""
    events = chat("-t", "abc", *PARROT, "--format", "jsonl", "What's my name?").events()
    assert [untold in event["text"] for event in events if event["type"] == "notice"] == [True]


def test_a_key_that_is_missing_or_refused_and_a_flow_that_is_not_there(chat: Chat, langflow: FakeLangflow) -> None:
    refused = chat(*PARROT, "--debug", "hi", env={"LANGFLOW_API_KEY": "wrong-key-5512"})
    assert refused.returncode == 3
    assert "refused the key" in refused.stderr
    assert "wrong-key-5512" not in refused.stdout + refused.stderr
    missing = chat(*PARROT, "hi", env={"LANGFLOW_API_KEY": ""})
    assert_reported(missing, 3)
    assert "LANGFLOW_API_KEY" in missing.stderr
    unknown = chat("-m", "langflow:parrott", "hi")
    assert_reported(unknown, 4)
    assert "chat models langflow" in unknown.stderr
    langflow.key = None
    assert chat(*PARROT, "hi", env={"LANGFLOW_API_KEY": ""}).returncode == 0


def test_the_flows_of_the_server_are_listed(chat: Chat, langflow: FakeLangflow) -> None:
    listed = chat("models", "langflow", "--json").json()
    Draft202012Validator(read_schema("flows")).validate(listed)
    names = ["langflow:parrot", "langflow:11111111-2222-4333-8444-555555555555"]
    assert [flow["model"] for flow in listed] == names
    assert "Parrot" in chat("models", "langflow").stdout
    assert [m["model"] for m in chat("models", "list", "--json").json() if m["source"] == "Langflow"] == names
    assert_reported(chat("models", "langflow", env={"LANGFLOW_API_KEY": ""}), 3)
    assert_reported(chat("models", "langflow", env={"LANGFLOW_URL": "http://127.0.0.1:9"}), 75)
    assert_reported(chat("-m", "langflow:", "hi"), 2)


def test_an_untrusted_dotenv_does_not_send_the_key_to_its_own_langflow(
    chat: Chat, langflow: FakeLangflow, home: Home
) -> None:
    Path(home.work, ".env").write_text(f"LANGFLOW_URL={home.env.pop('LANGFLOW_URL')}\n")
    config = home.root / ".config" / "chatcli" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('langflow_url = "http://127.0.0.1:9"\n')  # which a trusted .env would go before
    assert chat(*PARROT, "hi").returncode == 75
    assert chat("models", "langflow").returncode == 75
    assert not langflow.runs
    with Path(home.work, ".env").open("a") as file:
        file.write(f"LANGFLOW_API_KEY={home.env.pop('LANGFLOW_API_KEY')}\n")
    assert chat("trust", "--yes").returncode == 0
    assert chat(*PARROT, "hi").returncode == 0


def test_ctrl_c_closes_the_connection_and_keeps_what_had_arrived(chat: Chat, langflow: FakeLangflow) -> None:
    langflow.script.append(Reply([*streamed(["Half", " of"], "", "a")[:3], end("a", "Half of it")], gate=Event()))
    running = chat.start(*PARROT, "-t", "a", "hi")
    running.wait_for_output("Half of")
    running.signal(signal.SIGINT)
    assert running.finish().returncode == 130
    langflow.wait_for_disconnects(1)
    assert [(m["role"], m["content"]) for m in chat.messages("a")] == [("user", "hi"), ("assistant", "Half of")]
    assert chat("-t", "a", "--json", "again").json()["langflow"]["session_id"] == "a"


def test_going_back_begins_a_new_session_and_says_so(
    terminal: OpenTerminal, chat: Chat, langflow: FakeLangflow
) -> None:
    tty = terminal(*PARROT, "-t", "tree", "--system", "Be brief.")
    tty.wait_for_prompt()
    tty.send_line("one")
    langflow.wait_for_runs(1)
    tty.wait_for_prompt()
    assert "the system prompt is not sent" in tty.text()
    assert "context" not in tty.text().splitlines()[-1]
    tty.send_line("two")
    langflow.wait_for_runs(2)
    tty.wait_for_prompt()
    tty.send_line("/undo")
    tty.wait_for("new session")
    tty.clear_prompt("two")
    for number, line in enumerate(("three", "four", "/retry"), 3):
        tty.wait_for_prompt()
        tty.send_line(line)
        langflow.wait_for_runs(number)
    tty.wait_for_prompt()
    assert tty.text().count("new session") == 2
    sessions = [run.body["session_id"] for run in langflow.runs]
    assert sessions[:4] == ["tree", "tree", "tree-3", "tree-3"]
    assert sessions[4] not in sessions[:4]
    tty.send_line("/compact")
    tty.wait_for("keeps the conversation itself")
    tty.send_line("/exit")
    assert tty.exit_code() == 0
    assert chat("-t", "tree", "--json", "five").json()["langflow"]["session_id"] == sessions[4]
    forked = chat("threads", "fork", "tree", "copy")
    assert "new session" in forked.stderr
    assert forked.stdout == "copy\n"
    assert chat("-t", "copy", "six").returncode == 0
    assert langflow.runs[-1].body["session_id"] == "copy"
