"""The embedded model as a first-time user has it: no key, no setting."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatcli.models.local.weights import QWEN, SMOLLM
from tests.e2e.forkserver import ForkServer
from tests.e2e.program import Chat, Home
from tests.e2e.terminal import Terminal
from tests.models.local.processes import servers_in, stop_servers
from tests.models.local.shared_cache import cached

pytestmark = pytest.mark.local_model


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, weights_cache: Path, forks: ForkServer) -> Iterator[Chat]:
    """Give a home whose cache has the weights already; its server stays from test to test."""
    home = Home.below(tmp_path_factory.mktemp("local"))
    cache = next(folder for folder in weights_cache.parents if folder.name == "chatcli").parent
    home.env["XDG_CACHE_HOME"] = str(cache)
    program = Chat(home, forks)
    # The smaller one, as if it had been chosen earlier: the cache may have the larger one too.
    _state_folder(program).mkdir(parents=True)
    (_state_folder(program) / "model").write_text(QWEN.name)
    yield program
    program.close()
    stop_servers(_state_folder(program))


def _state_folder(chat: Chat) -> Path:
    return Path(chat.home.env["XDG_STATE_HOME"]) / "chatcli" / "local"


def _server_pid(chat: Chat) -> int:
    (pid,) = servers_in(_state_folder(chat))
    return pid


def test_three_processes_started_at_once_share_one_server_and_answer_in_words(local: Chat) -> None:
    running = [local.start("--max-tokens", "10", "Name a colour.") for _ in range(3)]
    results = [process.finish(180) for process in running]
    for result in results:
        assert result.returncode == 0, result
        assert any(character.isalpha() for character in result.stdout), result
        assert "Traceback" not in result.stderr
    assert len(servers_in(_state_folder(local))) == 1


def test_a_name_is_remembered_in_its_thread_only(local: Chat) -> None:
    same_words = ("--temperature", "0", "--max-tokens", "20")
    assert local("-t", "abc123", *same_words, "Hi! I'm Bob.").returncode == 0
    asked = local("-t", "abc123", *same_words, "What's my name?")
    assert asked.returncode == 0, asked
    assert "Bob" in asked.stdout
    stranger = local("-t", "abc234", *same_words, "What's my name?")
    assert stranger.returncode == 0, stranger
    assert "Bob" not in stranger.stdout


def test_json_names_the_model_and_its_tokens(local: Chat) -> None:
    turn = local("--json", "--max-tokens", "8", "Count from one to one hundred.").json()
    assert turn["model"].startswith("local:")
    assert turn["finish_reason"] == "length"
    assert turn["usage"]["output_tokens"] == 8


def test_a_pipe_beyond_the_context_is_refused(local: Chat) -> None:
    result = local("Summarise this.", input="A sentence of eight words is repeated here. " * 5000)
    assert result.returncode == 4, result
    assert result.stdout == ""


def test_ctrl_c_stops_the_answer_and_the_server_serves_on(local: Chat) -> None:
    running = local.start("--format", "jsonl", "-t", "story", "Tell me a long story about the sea.")
    running.wait_for_output("text_delta", 120)
    server = _server_pid(local)
    running.signal(signal.SIGINT)
    assert running.finish().returncode == 130
    assert local("-t", "story", "--max-tokens", "10", "Go on.").returncode == 0
    assert _server_pid(local) == server


def test_a_server_killed_in_mid_answer_costs_the_rest_of_that_answer_only(local: Chat) -> None:
    running = local.start("--format", "jsonl", "-t", "crash", "Tell me a long story about the sea.")
    running.wait_for_output("text_delta", 120)
    os.kill(_server_pid(local), signal.SIGKILL)
    result = running.finish(60)
    assert result.returncode == 75, result
    assert "Traceback" not in result.stderr
    partial = local.messages("crash")[1]
    assert partial["interrupted"] is True
    assert partial["content"] == result.events()[-1]["content"] != ""

    again = local("-t", "crash", "--max-tokens", "10", "Go on.")
    assert again.returncode == 0, again
    assert again.stdout.strip()


def test_the_conversation_works_in_a_terminal_without_any_key(local: Chat) -> None:
    mark = Path(local.home.env["XDG_STATE_HOME"]) / "chatcli" / "local-chosen"
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()  # as after the first start
    tty = Terminal(
        ["chat", "-t", "tty", "--temperature", "0", "--max-tokens", "20"],
        env=local.home.env,
        cwd=local.home.work,
        forks=local.forks,
    )
    try:
        tty.wait_for_prompt()
        tty.send_line("Hi! I'm Bob.")
        tty.wait_for(lambda text: "\n>" in text.partition("I'm Bob.")[2])
        tty.wait_for_prompt()
        tty.send_line("What's my name?")
        tty.wait_for(lambda text: "Bob" in text.partition("my name?")[2])
        tty.wait_for_prompt()
        tty.send_key("ctrl-d")
        assert tty.exit_code() == 0
    finally:
        tty.close()


def test_a_schema_is_a_grammar_to_the_local_model(local: Chat) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "population": {"type": "integer"}},
        "required": ["city", "population"],
        "additionalProperties": False,
    }
    (local.home.work / "city.json").write_text(json.dumps(schema))
    result = local("--schema", "city.json", "Tell me about Paris, the capital of France.", timeout=180)
    assert result.returncode == 0, result
    assert set(result.json()) == {"city", "population"}


def test_with_tools_it_answers_about_itself_and_from_documents(local: Chat, tmp_path: Path) -> None:
    (tmp_path / "setup.md").write_text("# Setup\n\nThe service listens on port 8080.\n")
    asked = local("--tools", "Wer hat dich gemacht?")
    assert asked.stdout.startswith(f"Ich bin {QWEN.title}, ein Sprachmodell von {QWEN.maker}."), asked
    # The server takes a grammar, by which it cites, only without tools. The small model reads them sooner.
    cached(SMOLLM)
    words = ("-m", f"local:{SMOLLM.name}", "--max-tokens", "20", "--tools", "--docs", str(tmp_path))
    asked = local(*words, "Which port does the service listen on?", env={"XDG_STATE_HOME": str(tmp_path)}, timeout=180)
    stop_servers(tmp_path / "chatcli" / "local")
    assert asked.returncode == 0, asked


def test_a_script_is_a_conversation_with_the_local_model(local: Chat) -> None:
    played = local(
        "--script",
        "-",
        "--temperature",
        "0",
        "--max-tokens",
        "20",
        input="Hi! I'm Bob.\nWhat's my name?\n",
        timeout=180,
    )
    assert played.returncode == 0, played
    assert played.stdout.startswith("User: Hi! I'm Bob.\nAI: ")
    assert "Bob" in played.stdout.rpartition("AI: ")[2]


def test_the_tutorials_conversations_go_on_without_a_key(local: Chat) -> None:
    short = ("--temperature", "0", "--max-tokens", "20")
    assert local("-t", "sea", "--role", "pirate", *short, "Hi! I'm Jim.").returncode == 0
    assert "Jim" in local("-t", "sea", *short, "What is my name?").stdout
    spanish = local("--role", "translator", "-v", "language=Spanish", *short, "Good morning, my friend!")
    assert any(word in spanish.stdout.lower() for word in ("buen", "amig", "hola")), spanish
    joke = local("--format", "jsonl", *short, "Tell me a joke.").events()
    assert sum(event["type"] == "text_delta" for event in joke) > 5


def test_trimming_forgets_the_name_but_keeps_the_question(local: Chat) -> None:
    short = ("-t", "trimmed", "--temperature", "0", "--max-tokens", "20")
    assert local(*short, "Hi! I'm Bob, and I like vanilla ice cream. " * 4).returncode == 0
    assert local(*short, "What is 2 + 2?").returncode == 0
    asked = local(*short, "--context-tokens", "190", "Which sum did I ask you for?")
    assert "2" in asked.stdout, asked
    name = local(*short, "--context-tokens", "140", "What is my name?")
    assert "Bob" not in name.stdout, name


def test_a_file_of_ones_own_answers_beside_the_other_model(local: Chat) -> None:
    weights = cached(SMOLLM)
    own = local.home.work / "my-model.gguf"
    own.write_bytes(weights.read_bytes() + b"\0")  # no copy of a known model any more
    assert local("models", "pull", str(own)).returncode == 0
    turn = local("--json", "-m", "local:my-model.gguf", "--max-tokens", "8", "Name a colour.").json()
    assert turn["model"] == "local:my-model"
    assert turn["content"]
    assert len(servers_in(_state_folder(local))) == 2
    named = {"CHATCLI_LOCAL_MODEL": str(own)}
    turn = local("--json", "--max-tokens", "8", "Name a colour.", env=named).json()
    assert turn["model"] == "local:my-model"
    assert "local:my-model" in local("models", "list").stdout
    assert local("models", "remove", "local:my-model").returncode == 0
    assert local("-m", "local:my-model", "hello").returncode == 2
    assert own.exists()
