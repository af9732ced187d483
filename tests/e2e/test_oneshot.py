"""One question, one answer, one process."""

from pathlib import Path

import pytest

from chatcli.errors import ExitCode
from tests.e2e.checks import assert_reported
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, TokenCount, server_error, unauthorized

CLOSED = "error: the output can't be written: standard output is closed\n"
LONG_TEXT = "".join(f"line {number} of a long answer\n" for number in range(10_000))


@pytest.mark.executable
def test_the_answer_alone_stands_on_stdout_ended_by_one_newline(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(Answer("Because of *Rayleigh* scattering."))
    result = chat("why is the sky blue?")
    assert result.returncode == 0, result
    assert result.stdout == "Because of *Rayleigh* scattering.\n"
    assert fake.requests[0].last == "why is the sky blue?"


def test_an_answer_that_ends_with_a_newline_gets_no_second_one(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(Answer("two\nlines\n"))
    assert chat("q").stdout == "two\nlines\n"


def test_unquoted_words_are_one_question(chat: Chat, fake: FakeOpenAI) -> None:
    chat("why", "is", "the sky", "blue?")
    assert fake.requests[0].last == "why is the sky blue?"


def test_a_pipe_alone_is_the_question(chat: Chat, fake: FakeOpenAI) -> None:
    result = chat(input="why is the sky blue?\n")
    assert result.returncode == 0, result
    assert fake.requests[0].last.strip() == "why is the sky blue?"


def test_a_question_comes_before_the_labelled_text_of_the_pipe_and_both_are_whole(chat: Chat, fake: FakeOpenAI) -> None:
    chat("review", "this", input=LONG_TEXT)
    sent = fake.requests[0].last
    assert sent.startswith("review this")
    start = sent.index(LONG_TEXT.strip())
    label = sent[len("review this") : start]
    assert label.startswith("\n")
    assert label.strip()
    assert len(fake.requests[0].messages) == 1


@pytest.mark.parametrize(("words", "piped"), [((), ""), ((), " \n\t\n"), (("",), None), (("  ",), None)])
def test_nothing_to_ask_is_a_usage_error(
    chat: Chat, fake: FakeOpenAI, words: tuple[str, ...], piped: str | None
) -> None:
    result = chat(*words, input=piped)
    assert result.returncode == 2, result
    assert result.stdout == ""
    assert result.stderr != ""
    assert fake.requests == []


def test_resuming_without_a_terminal_says_how_to_name_the_thread(chat: Chat, fake: FakeOpenAI) -> None:
    refused = chat("--resume", input="")
    assert_reported(refused, 2)
    assert "or name the thread: chat --thread ID" in refused.stderr


def test_an_empty_pipe_does_not_spoil_a_question(chat: Chat, fake: FakeOpenAI) -> None:
    assert chat("hello", input="").returncode == 0
    assert fake.requests[0].last == "hello"


def test_bytes_that_are_no_text_are_replaced_and_reported(chat: Chat, fake: FakeOpenAI) -> None:
    result = chat("what is this?", input=b"caf\xe9 \xff\xfe")
    assert result.returncode == 0, result
    assert "caf\ufffd \ufffd\ufffd" in fake.requests[0].last
    assert "UTF-8" in result.stderr


@pytest.mark.executable
def test_text_of_any_script_passes_unharmed(chat: Chat, fake: FakeOpenAI) -> None:
    text = "Grüße, 世界, \U0001f600, שלום"
    result = chat(input=text)
    assert fake.requests[0].last == text
    assert result.stdout == f"You said: {text}\n"


def test_a_pipe_that_cannot_fit_is_refused_and_not_cut(chat: Chat, fake: FakeOpenAI) -> None:
    result = chat("--context-tokens", "200", "review this", input=LONG_TEXT)
    assert result.returncode == 4, result
    assert result.stderr.startswith("error: ")
    assert fake.requests == []


def test_a_closed_standard_input_is_no_obstacle(chat: Chat, fake: FakeOpenAI) -> None:
    result = chat.shell("chat hello <&-")
    assert (result.returncode, result.stdout, result.stderr) == (0, "You said: hello\n", "")


def test_a_reader_that_leaves_early_is_no_error(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(Answer(LONG_TEXT, chunks=500))
    result = chat.shell("chat -q go | head -1; exit ${PIPESTATUS[0]}")
    assert (result.returncode, result.stdout, result.stderr) == (0, "line 0 of a long answer\n", "")


@pytest.mark.parametrize("command", ["chat --help", "chat threads list", "chat --json hello"])
def test_no_reader_at_all_is_no_error(chat: Chat, fake: FakeOpenAI, command: str) -> None:
    result = chat.shell(f"{command} | true; exit ${{PIPESTATUS[0]}}")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    "place",
    [pytest.param("2> /dev/full", marks=pytest.mark.linux, id="full"), pytest.param("2> >(true)", id="no reader")],
)
def test_an_error_that_can_not_be_written_keeps_its_exit_code(chat: Chat, fake: FakeOpenAI, place: str) -> None:
    assert chat.shell(f"chat --nonsense {place}").returncode == 2
    fake.default = unauthorized()
    assert chat.shell(f"chat hello {place}").returncode == 3
    told = chat.shell(f"chat --json hello {place}")
    assert (told.returncode, told.json()["error"]["code"]) == (3, "auth")


@pytest.mark.linux
def test_an_output_that_takes_nothing_is_reported_in_a_line(chat: Chat, fake: FakeOpenAI) -> None:
    result = chat.shell("chat hello > /dev/full")
    assert result.returncode == 1, result
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("error: ")


@pytest.mark.parametrize(
    "command", ["--version", "--help", "models", "threads list --json", "config path", "--json hi"]
)
def test_an_output_that_takes_nothing_is_a_failure_of_every_command(chat: Chat, fake: FakeOpenAI, command: str) -> None:
    if command.startswith("threads"):
        chat("hello")
    closed = chat.shell(f"chat {command} >&-")
    assert (closed.returncode, closed.stderr) == (1, CLOSED)
    if Path("/dev/full").exists():  # Linux
        full = chat.shell(f"chat {command} > /dev/full")
        reason = CLOSED.replace("standard output is closed", "No space left on device")
        assert (full.returncode, full.stderr) == (1, reason)


@pytest.mark.parametrize("command", ["--version", "--json hi"])
def test_without_standard_error_the_exit_code_is_the_same(chat: Chat, fake: FakeOpenAI, command: str) -> None:
    assert chat.shell(f"chat {command} >&- 2>&-").returncode == 1
    assert chat.shell(f"chat {command} <&- 2>&-").returncode == 0


def test_a_closed_output_that_nothing_is_written_to_is_no_failure(chat: Chat, fake: FakeOpenAI) -> None:
    chat("-t", "work", "hello")
    result = chat.shell("chat threads delete work >&- <&-")
    assert (result.returncode, result.stderr) == (0, "")
    assert chat.shell("chat threads show work >&-").returncode == 2
    assert chat.shell("chat --json threads show work >&-").returncode == 2  # the code says more than the loss


@pytest.mark.parametrize("empty", [":", "echo", "printf ' \\n\\n'"])
def test_an_empty_pipe_is_warned_of_and_the_question_is_asked(chat: Chat, fake: FakeOpenAI, empty: str) -> None:
    result = chat.shell(f"{empty} | chat 'commit message'", forks=True)
    assert (result.returncode, result.stdout) == (0, "You said: commit message\n")
    assert result.stderr == "warning: nothing came through the pipe; the question is asked without it\n"
    assert chat.shell(f"{empty} | chat -q 'commit message'", forks=True).stderr == ""
    assert chat.shell(f"{empty} | chat", forks=True).returncode == 2


@pytest.mark.parametrize("stdin", ["< /dev/null", "<&-"])
def test_an_input_that_is_no_pipe_is_not_warned_of(chat: Chat, fake: FakeOpenAI, stdin: str) -> None:
    assert chat.shell(f"chat 'commit message' {stdin}", forks=stdin != "<&-").stderr == ""


def test_a_closed_output_costs_the_sight_of_the_answer_only(chat: Chat, fake: FakeOpenAI) -> None:
    result = chat.shell("chat -t work hello >&-")
    assert (result.returncode, result.stderr) == (1, CLOSED)
    assert [message["content"] for message in chat.messages("work")] == ["hello", "You said: hello"]


def test_words_that_are_no_utf8_are_replaced(chat: Chat, fake: FakeOpenAI) -> None:
    result = chat.shell(r"chat $'caf\xe9'")
    assert result.returncode == 0, result
    assert fake.requests[0].last == "caf\ufffd"


@pytest.mark.parametrize(
    "env",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}],
    ids=["output", "locale"],
)
def test_a_terminal_that_knows_ascii_only_costs_characters_and_not_the_answer(
    chat: Chat, fake: FakeOpenAI, env: dict[str, str]
) -> None:
    fake.script(Answer("grüne 世界 end"))
    result = chat("Grüße", env=env)
    assert result.returncode == 0, result
    assert result.stdout.endswith(" end\n")
    assert fake.requests[0].last == "Grüße"


def test_json_is_one_object_of_the_whole_turn(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(Answer("Blue.", usage=TokenCount(prompt=21, completion=3)))
    result = chat("--json", "-t", "sky", "-m", "openai:gpt-fake", "why?")
    assert result.returncode == 0, result
    turn = result.json()
    assert turn.pop("checkpoint_id")
    assert turn.pop("elapsed_ms") > 0
    assert turn == {
        "thread_id": "sky",
        "model": "openai:gpt-fake",
        "role": "assistant",
        "content": "Blue.",
        "finish_reason": "stop",
        "interrupted": False,
        "usage": {"input_tokens": 21, "output_tokens": 3, "total_tokens": 24},
        "messages_in_context": 1,
        "messages_in_thread": 2,
    }


def test_json_shows_when_the_answer_was_cut_by_its_limit(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(Answer("Because of", finish_reason="length"))
    assert chat("--json", "why?").json()["finish_reason"] == "length"


def test_json_of_a_failure_is_one_object_too(chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = server_error()
    result = chat("--json", "-t", "sky", "why?")
    assert result.returncode == 75, result
    failure = result.json()
    assert failure["thread_id"] == "sky"
    assert failure["error"]["code"] == "network"
    assert failure["error"]["retryable"] is True
    assert failure["error"]["message"] in result.stderr


def test_json_of_a_usage_error_is_one_object_too(chat: Chat, fake: FakeOpenAI) -> None:
    for arguments, env in (
        (("--json",), {}),
        (("--format=json",), {}),
        ((), {"CHATCLI_FORMAT": "json"}),
    ):
        result = chat(*arguments, "-m", "local:nothing", "why?", env=env)
        assert result.returncode == 2, result
        assert result.json()["error"]["code"] == "usage"


def test_jsonl_is_an_event_a_line_and_one_of_them_ends_the_turn(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(Answer("Because of scattering.", chunks=3))
    events = chat("--format", "jsonl", "why?").events()
    kinds = [event["type"] for event in events]
    assert kinds[0] == "turn_started"
    assert kinds[-1] == "turn_finished"
    assert sum(kind in ("turn_finished", "turn_interrupted", "turn_failed") for kind in kinds) == 1
    assert set(kinds[1:-1]) == {"text_delta"}
    deltas = [event["text"] for event in events if event["type"] == "text_delta"]
    assert "".join(deltas) == events[-1]["content"] == "Because of scattering."


def test_jsonl_of_a_failure_ends_with_the_failure(chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = server_error()
    result = chat("--format", "jsonl", "why?")
    assert result.returncode == 75, result
    kinds = [event["type"] for event in result.events()]
    assert (kinds[0], kinds[-1]) == ("turn_started", "turn_failed")


def test_quiet_leaves_the_answer_alone(chat: Chat, fake: FakeOpenAI) -> None:
    result = chat("-q", "hello", input=b"\xff")
    assert result.returncode == 0, result
    assert result.stderr == ""
    assert result.stdout.startswith("You said: hello")


def test_options_of_the_request_are_sent(chat: Chat, fake: FakeOpenAI) -> None:
    chat(
        *("-m", "openai:gpt-other", "--system", "Be brief.", "--temperature", "0.25", "--max-tokens", "50"),
        "hello",
    )
    request = fake.requests[0]
    assert request.messages == [("system", "Be brief."), ("user", "hello")]
    assert request.body["model"] == "gpt-other"
    assert request.body["temperature"] == 0.25
    limits = [request.body.get(name) for name in ("max_tokens", "max_completion_tokens")]
    assert 50 in limits


def test_the_environment_sets_what_options_do_and_options_win(chat: Chat, fake: FakeOpenAI) -> None:
    env = {"CHATCLI_MODEL": "openai:gpt-env", "CHATCLI_TEMPERATURE": "0.5"}
    chat("--temperature", "0", "hello", env=env)
    assert fake.requests[0].body["model"] == "gpt-env"
    assert fake.requests[0].body["temperature"] == 0


def test_the_config_file_sets_what_options_do(chat: Chat, fake: FakeOpenAI) -> None:
    config = chat.home.root / ".config" / "chatcli" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('model = "openai:gpt-config"\n')
    chat("hello")
    assert fake.requests[0].body["model"] == "gpt-config"


def test_a_question_that_is_a_subcommand_goes_after_two_dashes(chat: Chat, fake: FakeOpenAI) -> None:
    result = chat("--", "threads")
    assert result.stdout == "You said: threads\n", result
    assert fake.requests[0].last == "threads"


def test_options_may_follow_the_question(chat: Chat, fake: FakeOpenAI) -> None:
    chat("hello", "-m", "openai:gpt-late")
    assert fake.requests[0].last == "hello"
    assert fake.requests[0].body["model"] == "gpt-late"


@pytest.mark.executable
def test_help_lists_the_options(chat: Chat) -> None:
    result = chat("--help")
    assert (result.returncode, result.stderr) == (0, "")
    for option in ("--thread", "--continue", "--no-save", "--model", "--system", "--format", "--store"):
        assert option in result.stdout


def test_help_groups_the_options_and_ends_with_examples_and_exit_codes(chat: Chat) -> None:
    shown = chat("--help", env={"COLUMNS": "80"}).stdout
    sections = [line for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert sections == [
        *("Commands:", "Examples:"),
        *("Conversation:", "Model:", "Input:", "Output:", "Tools:", "Own graphs and servers:", "Other:"),
        "Exit codes:",
    ]
    assert max(map(len, shown.splitlines())) <= 80
    section = {name: text for name, _, text in (part.partition(":\n") for part in shown.split("\n\n"))}
    assert "--thread" in section["Conversation"]
    assert "--graph" in section["Own graphs and servers"]
    assert "--help" in section["Other"]
    assert len(section["Examples"].splitlines()) == 4
    assert [int(line.split()[0]) for line in section["Exit codes"].splitlines()] == [int(code) for code in ExitCode]


@pytest.mark.executable
def test_version_is_one_line(chat: Chat) -> None:
    result = chat("--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) == 1
    assert any(character.isdigit() for character in result.stdout)


def test_an_unknown_option_is_a_usage_error(chat: Chat, fake: FakeOpenAI) -> None:
    result = chat("--frobnicate", "hello")
    assert result.returncode == 2, result
    assert "--frobnicate" in result.stderr
    assert fake.requests == []


def test_colour_and_markdown_go_into_a_pipe_when_they_are_asked_for(chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = Answer("# Title\n\n**bold** `code`\n")
    plain = chat("go").stdout
    assert plain == "# Title\n\n**bold** `code`\n"
    for given in (chat("--color", "always", "go"), chat("go", env={"FORCE_COLOR": "1"})):
        assert "\x1b[1m" in given.stdout
        assert "**" not in given.stdout
        assert not any(moved in given.stdout for moved in ("\x1b[K", "\x1b[?", "\x1b[1A", "\r"))
    assert chat("go", env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).stdout == plain
    assert chat("--color", "never", "go", env={"FORCE_COLOR": "1"}).stdout == plain
