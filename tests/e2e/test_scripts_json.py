"""What `chat` prints as JSON, against the schemas that it ships; and `chat config`."""

import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from chatcli.cli.schemas import NAMES, read_schema
from chatcli.models.local.weights import QWEN
from tests.conftest import KEY
from tests.e2e.checks import assert_reported
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Drop, Hang, Stall, Step, StreamError, rate_limited, server_error

ENDS = ("turn_finished", "turn_interrupted", "turn_failed")


@pytest.fixture
def validate(chat: Chat) -> Any:
    """Give what holds a value against the schema of a name, as the program prints it."""

    def against(name: str, value: Any) -> None:
        schema = chat("config", "schema", name).json()
        Draft202012Validator.check_schema(schema)
        Draft202012Validator(schema).validate(value)

    return against


def test_answers_and_failures_follow_their_schemas(chat: Chat, fake: FakeOpenAI, validate: Any) -> None:
    validate("answer", chat("--json", "hello").json())
    fake.default = server_error()
    validate("failure", chat("--json", "--timeout", "1", "hello").json())
    validate("failure", chat("--json", "-m", "local:nothing", "hello").json())
    fake.default = Drop("Half")
    validate("failure", chat("--json", "hello").json())


def test_threads_follow_their_schemas(chat: Chat, fake: FakeOpenAI, validate: Any) -> None:
    validate("threads", chat("threads", "list", "--json").json())
    chat("-t", "sky", "hello")
    validate("threads", chat("threads", "list", "--json").json())
    validate("threads", chat("threads", "list", "--cost", "--json").json())
    validate("usage", chat("usage", "--json").json())
    validate("thread", chat("threads", "show", "sky", "--json").json())
    validate("search", chat("threads", "search", "hello", "--json").json())
    exported = chat("threads", "export", "sky", "--format", "json", "-o", "sky.json")
    assert exported.returncode == 0, exported
    validate("export", json.loads((chat.home.work / "sky.json").read_text()))
    validate("imported", chat("threads", "import", "sky.json", "--json").json())


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("models", ["models", "list"]),
        ("roles", ["roles", "list"]),
        ("role", ["roles", "show", "translator"]),
        ("keys", ["keys", "list"]),
        ("config", ["-v", "language=Spanish", "config", "show"]),
        ("doctor", ["doctor"]),
    ],
)
def test_what_sub_commands_print_follows_its_schema(
    chat: Chat, fake: FakeOpenAI, validate: Any, name: str, command: list[str]
) -> None:
    printed = chat(*command, "--json").json()
    assert printed
    validate(name, printed)


@pytest.mark.parametrize(
    "step",
    [
        Answer("Fine."),
        Drop("Half", "reset"),
        Drop("Half", "end"),
        StreamError("Half"),
        rate_limited("0"),
        Stall("Half"),
    ],
    ids=lambda step: type(step).__name__,
)
def test_every_line_is_an_event_and_the_last_one_alone_ends_the_turn(
    chat: Chat, fake: FakeOpenAI, validate: Any, step: Step
) -> None:
    fake.default = step
    events = chat("--timeout", "1", "--format", "jsonl", "hello").events()
    schema = chat("config", "schema", "event").json()
    for event in events:
        Draft202012Validator(schema).validate(event)
    assert [event["type"] in ENDS for event in events] == [False] * (len(events) - 1) + [True]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("step", [Hang(), Stall("Half")], ids=["before", "amid"])
def test_a_signal_ends_the_events_in_order(chat: Chat, fake: FakeOpenAI, number: signal.Signals, step: Step) -> None:
    fake.default = step
    running = chat.start("--format", "jsonl", "hello")
    fake.wait_for_requests(1)
    if isinstance(step, Stall):
        running.wait_for_output("Half")  # each line is there as soon as it happens
    running.signal(number)
    result = running.finish()
    assert result.returncode == 130, result
    assert [event["type"] for event in result.events()][-1] == "turn_interrupted"


def test_one_document_holds_all_schemas(chat: Chat, fake: FakeOpenAI) -> None:
    schema = chat("config", "schema").json()
    assert {"answer", "failure", "event", "threads", "thread"} < set(schema["$defs"])
    Draft202012Validator(schema).validate(chat("--json", "hello").json())
    assert_reported(chat("config", "schema", "nonsense"), 2)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("models", ["models"]),
        ("roles", ["roles", "list"]),
        ("role", ["roles", "show", "translator"]),
        ("keys", ["keys", "list"]),
        ("config", ["config"]),
        ("doctor", ["doctor"]),
        ("threads", ["threads"]),
        ("thread", ["threads", "show", "sky"]),
        ("search", ["threads", "search", "hello"]),
        ("models", ["config", "schema", "models"]),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_jsonl_is_one_value_a_line_and_json_the_same_as_one_value(
    chat: Chat, fake: FakeOpenAI, name: str, command: list[str]
) -> None:
    chat("-t", "sky", "hello")
    whole = chat("--format", "json", *command).json()
    lines = chat("--format", "jsonl", *command).events()
    stated = [whole.pop("format"), lines[0].pop("format")] if name == "config" else []
    assert [one["value"] for one in stated] in ([], ["json", "jsonl"])
    assert lines
    if command[0] == "doctor":  # how large the store is, and so on
        whole, lines = ([finding["subject"] for finding in found] for found in (whole, lines))
    assert lines == (whole if isinstance(whole, list) else [whole])
    by_variable = chat(*command, env={"CHATCLI_FORMAT": "jsonl"})
    assert len(by_variable.events()) == len(lines)


def test_doctor_keeps_to_the_format_though_the_settings_are_wrong(chat: Chat) -> None:
    result = chat("--format", "jsonl", "doctor", env={"CHATCLI_TEMPERATURE": "hot"})
    assert result.returncode == 1
    assert [(event["subject"], event["state"]) for event in result.events()] == [("settings", "problem")]


def test_the_settings_in_effect_are_what_is_used_and_say_where_they_come_from(chat: Chat, fake: FakeOpenAI) -> None:
    config = chat.home.root / ".config" / "chatcli" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('quiet = true\nmax_steps = 7\n[aliases]\nmonkey = "local"\n')
    _fetch_small_weights(chat)
    env = {"CHATCLI_TOOLS": "0", "CHATCLI_FILE": '["a.txt", "b.png"]', "OPENAI_BASE_URL": "", "NO_COLOR": "1"}
    shown = chat("--timeout", "9", "config", "--json", env=env).json()
    default = {"value": None, "source": "default"}
    store = f"sqlite:///{chat.home.env['XDG_DATA_HOME']}/chatcli/threads.db"
    assert {name: (one["value"], one["source"]) for name, one in shown.items() if one != default} == {
        "no_save": (False, "default"),
        "node": ([], "default"),
        "auto": (False, "default"),
        "greeting": (True, "default"),
        "sandbox": (True, "default"),
        "header": ({}, "default"),
        "model": ("openai:gpt-5-mini", "default"),
        "aliases": ({"monkey": "local"}, "config file"),
        "langflow_url": ("http://localhost:7860", "default"),
        "tweak": ({}, "default"),
        "context": ({}, "default"),
        "configurable": ({}, "default"),
        "input": ({}, "default"),
        "var": ({}, "default"),
        "auto_compact": (False, "default"),
        "format": ("json", "option"),
        "store": (store, "default"),
        "quiet": (True, "config file"),
        "color": ("never", "environment NO_COLOR"),
        "theme": ("auto", "default"),
        "code_theme": ("auto", "default"),
        "editing_mode": ("emacs", "default"),
        "plain": (False, "default"),
        "file": (["a.txt", "b.png"], "environment CHATCLI_FILE"),
        "docs": ([], "default"),
        "semantic": (True, "default"),
        "no_instructions": (False, "default"),
        "no_memory": (False, "default"),
        "share_memory": (False, "default"),
        "recall": (False, "default"),
        "titles": ("auto", "default"),
        "allow_private_urls": (False, "default"),
        "timeout": (9, "option"),
        "tools": (False, "environment CHATCLI_TOOLS"),
        "mcp": ({}, "default"),
        "allow": ([], "default"),
        "yes": (False, "default"),
        "max_steps": (7, "config file"),
        "tool_timeout": (9, "option"),
        "helper": (False, "environment CHATCLI_HELPER"),
        "notify": ("auto", "default"),
        "notify_after": (10, "default"),
        "debug": (False, "default"),
        "local_model": (f"{chat.home.env['XDG_CACHE_HOME']}/chatcli/models/{QWEN.file_name}", "default"),
        "openai_api_key": ("***", "environment OPENAI_API_KEY"),
    }
    lines = chat("config", "--all", env=env).stdout.splitlines()[1:]
    words = {line.split()[0]: line.split(None, 1)[1] for line in lines}
    rows = {name: " ".join(words[name].split()) for name in ("tools", "file", "thread", "var", "quiet", "timeout")}
    assert rows == {
        "tools": "off environment CHATCLI_TOOLS",
        "file": "a.txt, b.png environment CHATCLI_FILE",
        "thread": "none default",
        "var": "none default",
        "quiet": "on config file",
        "timeout": "120 default",
    }
    chosen = chat("config", env=env)
    set_lines = [line for line in lines if not line.endswith(" default")]
    assert [line.split() for line in chosen.stdout.splitlines()[1:]] == [line.split() for line in set_lines]
    assert lines[: len(set_lines)] == set_lines
    told = chat("config", env={**env, "CHATCLI_QUIET": "0"}).stderr
    assert f"{len(lines) - len(set_lines)} other settings have their defaults; `chat config --all`" in told
    assert chat("config", "show", "--all", env=env).stdout.splitlines()[1:] == lines
    assert chat("config", "--all", "--json", env=env).json() == chat("config", "show", "--json", env=env).json()


def _fetch_small_weights(chat: Chat) -> None:
    """Put a file of the right size where a download would be, so that `local` means the same on every machine."""
    file = Path(chat.home.env["XDG_CACHE_HOME"]) / "chatcli" / "models" / QWEN.file_name
    file.parent.mkdir(parents=True)
    file.touch()
    os.truncate(file, QWEN.size)


@pytest.mark.parametrize(
    ("env", "args", "expected"),
    [
        ({"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}, [], {"model": "local:qwen2.5-coder-0.5b", "timeout": 600}),
        ({"OPENAI_BASE_URL": ""}, ["-m", "gpt-x"], {"model": "openai:gpt-x", "timeout": 120}),
        ({"CHATCLI_NO_SAVE": "1"}, [], {"store": "memory:"}),
        ({"CHATCLI_STORE": "sqlite:///here.db"}, [], {"store": "sqlite:///{work}/here.db"}),
        ({"CHATCLI_TIMEOUT": "7"}, [], {"tool_timeout": 7}),
        ({}, ["--no-tools"], {"tools": False}),
        ({"ACCESSIBLE": "1"}, [], {"plain": True}),
        ({"CHATCLI_MODEL": "nonsense:x", "OPENAI_BASE_URL": ""}, [], {"model": "nonsense:x"}),
        ({}, ["--url", "http://localhost:1"], {"store": None, "model": None}),
    ],
    ids=lambda value: " ".join(value) if value else "none",
)
def test_what_is_shown_as_in_effect(
    chat: Chat, fake: FakeOpenAI, env: dict[str, str], args: list[str], expected: dict[str, Any]
) -> None:
    _fetch_small_weights(chat)
    shown = chat(*args, "config", "show", "--json", env=env).json()
    for name, value in expected.items():
        wanted = value.format(work=chat.home.work) if isinstance(value, str) else value
        assert shown[name]["value"] == wanted


@pytest.mark.parametrize("command", [["config"], ["config", "--json"], ["doctor"], ["models"], ["hello"]])
def test_no_key_of_a_url_is_shown(chat: Chat, fake: FakeOpenAI, command: list[str]) -> None:
    url = "http://sk-as-name:sk-password@127.0.0.1:9/sk-no/v1?api_key=sk-query&sig=sk-signature&a=b"
    for variable in ("CHATCLI_BASE_URL", "OPENAI_BASE_URL", "CHATCLI_URL"):
        env = {
            variable: url,
            "CHATCLI_TWEAK": '{"OpenAI": {"api_key": "sk-tweak"}}',
            "CHATCLI_VAR": "token=sk-variable",
        }
        result = chat("--timeout", "1", *command, env=env)
        shown = result.stdout + result.stderr
        assert shown
        for secret in ("name", "password", "query", "signature", "tweak", "variable"):
            assert f"sk-{secret}" not in shown, shown


def test_the_settings_in_effect_are_shown_without_their_secrets(chat: Chat, fake: FakeOpenAI) -> None:
    env = {"CHATCLI_BASE_URL": "http://me:hunter2@localhost:8000/v1", "CHATCLI_TEMPERATURE": "0.5"}
    for args in (("config",), ("config", "show"), ("config", "show", "--json"), ("--json", "config", "show")):
        result = chat("-t", "sky", *args, env=env) if args[0] == "config" else chat(*args, env=env)
        assert result.returncode == 0, result
        assert KEY not in result.stdout
        assert "hunter2" not in result.stdout
        assert "0.5" in result.stdout
    shown = chat("-t", "sky", "config", "show", "--json", env=env).json()
    assert (shown["thread"]["value"], shown["openai_api_key"]["value"]) == ("sky", "***")
    assert shown["base_url"] == {"value": "http://***@localhost:8000/v1", "source": "environment CHATCLI_BASE_URL"}
    assert "schema" in shown


@pytest.mark.parametrize("group", ["threads", "models", "roles", "keys", "config"])
def test_a_group_that_lists_by_itself_prints_json_too(chat: Chat, fake: FakeOpenAI, group: str) -> None:
    command = "show" if group == "config" else "list"
    listed = chat("--json", group, command).json()
    assert chat(group, "--json").json() == listed
    assert chat(group, "--json", command).json() == listed


def test_the_config_file_is_edited_and_checked(chat: Chat) -> None:
    path = chat("config", "path").stdout.strip()
    assert path == str(chat.home.root / ".config" / "chatcli" / "config.toml")
    edited = chat("config", "edit", env={"EDITOR": "sh -c 'echo temperature = 0.5 >> $0'"})
    assert edited.returncode == 0, edited
    assert chat("config", "show", "--json").json()["temperature"]["value"] == 0.5
    broken = chat("config", "edit", env={"VISUAL": "sh -c 'echo temprature = 1 >> $0'"})
    assert_reported(broken, 2)
    assert_reported(chat("config", "show"), 2)
    assert chat("config", "edit", env={"EDITOR": "sed -i.before '$d'"}).returncode == 0
    assert_reported(chat("config", "edit", env={"EDITOR": "no-such-editor"}), 2)


def test_the_schemas_are_valid_themselves() -> None:
    for name in NAMES:
        Draft202012Validator.check_schema(read_schema(name))


def test_weights_that_are_not_here_are_listed_with_what_there_is_to_fetch(chat: Chat) -> None:
    def listed() -> dict[str, dict[str, Any]]:
        return {model["model"]: model for model in chat("models", "list", "--json").json()}

    smallest = listed()["local:smollm2-135m"]
    assert (smallest["source"], smallest["download_bytes"]) == ("can be fetched (98 MB)", 98_362_432)
    assert "can be fetched (98 MB)" in chat("models", "list").stdout
    weights = Path(chat.home.env["XDG_CACHE_HOME"]) / "chatcli" / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    weights.parent.mkdir(parents=True, exist_ok=True)
    with weights.open("wb") as file:
        file.truncate(98_362_432)
    smallest = listed()["local:smollm2-135m"]
    assert (smallest["source"], smallest["download_bytes"]) == ("on this machine", 0)


@pytest.mark.parametrize("content", [None, "hello"])
def test_a_file_that_is_no_local_model_is_refused_before_anything_is_stored(chat: Chat, content: str | None) -> None:
    path = Path(chat.home.env["XDG_CACHE_HOME"]) / "own.gguf"
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    result = chat("-m", "local", "-t", "refused", "hi", env={"CHATCLI_LOCAL_MODEL": str(path)})
    assert result.returncode == 2, result
    assert "CHATCLI_LOCAL_MODEL" in result.stderr
    assert chat("threads", "show", "refused").returncode != 0


def test_a_setting_is_set_and_unset_by_name(chat: Chat) -> None:
    config = chat.home.root / ".config" / "chatcli" / "config.toml"
    done = chat("config", "set", "theme", "dark")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"theme is dark in {config}\n", "")
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    overridden = chat("config", "set", "temperature", "0.5", env={"CHATCLI_TEMPERATURE": "1"})
    assert overridden.returncode == 0
    assert overridden.stderr == "note: environment CHATCLI_TEMPERATURE sets it too, and goes before the file\n"
    elsewhere = chat("config", "set", "model", "openai:gpt-fake", env={"CHATCLI_BASE_URL": "http://localhost:1"})
    assert "environment CHATCLI_BASE_URL names a server" in elsewhere.stderr
    before = config.read_bytes()
    for words in (
        ["set", "temperature", "-1"],
        ["set", "modle", "local"],
        ["set", "model", "opneai:x"],
        ["set", "role", "nobody"],
        ["set", "store", "nowhere"],
        ["set", "aliases.local", "openai:x"],
        ["set", "openai_api_key", "sk-0123456789abcdef"],
        ["unset", "quiet"],
        ["unset", "nonsense"],
    ):
        refused = chat("config", *words)
        assert_reported(refused, 2)
        assert "sk-0123456789abcdef" not in refused.stderr
    assert config.read_bytes() == before
    secret = chat("config", "set", "store", "postgresql://me:hunter2@localhost/db")
    assert "hunter2" not in secret.stdout + secret.stderr
    for key in ("store", "model", "temperature", "theme"):
        assert chat("config", "unset", key).returncode == 0
    assert config.read_text() == ""
