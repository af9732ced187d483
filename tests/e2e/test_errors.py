"""Failures: the exit code, two lines at most, and nothing lost."""

import json
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import KEY
from tests.e2e.checks import assert_reported
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import (
    Answer,
    Drop,
    Endless,
    Fail,
    Garbage,
    Hang,
    Stall,
    Step,
    StreamError,
    content_filtered,
    context_too_long,
    out_of_credit,
    rate_limited,
    server_error,
    unauthorized,
    unknown_model,
)

GRAPHS = Path(__file__).parent.parent / "sample_graphs"
NO_THREADS = """
import threading
name = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else "_start_new_thread"  # 3.13
started, start = [], getattr(threading, name)
def start_few(*arguments, **options):
    if len(started) >= {allowed}:
        raise RuntimeError("can't start new thread")
    started.append(1)
    return start(*arguments, **options)
setattr(threading, name, start_few)
"""
"""A sitecustomize.py: what Python does where the user has as many processes as they may have."""

REFUSALS: dict[str, tuple[Step, int]] = {
    "a refused key": (unauthorized(), 3),
    "a refused key that the server repeats": (unauthorized(KEY), 3),
    "an unknown model": (unknown_model(), 4),
    "a context too long": (context_too_long(), 4),
    "a content filter": (content_filtered(), 4),
    "a persistent rate limit": (rate_limited(retry_after="0"), 75),
    "a failing server": (server_error(500), 75),
    "a bad gateway": (server_error(502), 75),
    "a web page": (Garbage(), 2),
    "no event stream": (Garbage(b"It works!", "text/plain"), 75),
}
BREAKS: dict[str, Step] = {
    "a reset": Drop("Half an ans", "reset"),
    "a cut": Drop("Half an ans", "cut"),
    "a clean end": Drop("Half an ans", "end"),
    "an error event": StreamError("Half an ans"),
}


def test_a_refusal_has_its_exit_code_and_its_question_waits_in_the_thread(
    chat: Chat, fake: FakeOpenAI, subtests: pytest.Subtests
) -> None:
    for name, (step, code) in REFUSALS.items():
        with subtests.test(name):
            fake.default = step
            result = chat("-t", "work", f"What about {name}?")
            assert_reported(result, code)
            assert result.stdout == ""

    fake.default = Answer("Fine.")
    assert chat("-t", "work", "And now?").stdout == "Fine.\n"
    asked = "\n".join(text for role, text in fake.requests[-1].messages if role == "user")
    for question in [*(f"What about {name}?" for name in REFUSALS), "And now?"]:
        assert asked.count(question) == 1


def test_a_broken_answer_is_kept_as_a_partial_one(chat: Chat, fake: FakeOpenAI, subtests: pytest.Subtests) -> None:
    for name, step in BREAKS.items():
        with subtests.test(name):
            fake.default = step
            result = chat("-t", "work", f"What about {name}?")
            assert_reported(result, 75)
            assert result.stdout == "Half an ans\n"

    assert [(message["content"], message["interrupted"]) for message in chat.messages("work")] == [
        stored for name in BREAKS for stored in ((f"What about {name}?", False), ("Half an ans", True))
    ]
    fake.default = Answer("Fine.")
    assert chat("-t", "work", "Go on.").stdout == "Fine.\n"
    assert fake.requests[-1].messages[-2:] == [("assistant", "Half an ans"), ("user", "Go on.")]


EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
DELTA = b'data: {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "%b"}}]}\n\n'
BRINGS_NOTHING: dict[str, Step] = {
    "comments": Endless(EVENTS, b": waiting\n\n"),
    "half a comment": Endless(EVENTS + b": ", b"x"),
    "empty pieces": Endless(EVENTS, DELTA % b""),
    "interim statuses": Endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "comments after a text": Endless(EVENTS + DELTA % b"Half", b": waiting\n\n"),
}


def test_a_stream_that_brings_nothing_ends_with_the_timeout(
    chat: Chat, fake: FakeOpenAI, subtests: pytest.Subtests
) -> None:
    for name, step in BRINGS_NOTHING.items():
        with subtests.test(name):
            fake.default = step
            result = chat("--timeout", "1", "hi")
            assert_reported(result, 75)
            assert "did not answer in time" in result.stderr
    assert len(fake.requests) <= len(BRINGS_NOTHING)  # nothing is tried again


def test_a_text_puts_the_timeout_off(chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = Answer("word " * 30, chunks=30, delay=0.15)
    assert chat("--timeout", "4", "hi").stdout == "word " * 30 + "\n"


def test_an_answer_far_beyond_max_tokens_ends(chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = Endless(EVENTS, DELTA % (b"x" * 10_000))
    result = chat("--max-tokens", "50", "hi")
    assert_reported(result, 4)
    assert "does not end its answer" in result.stderr
    assert "--max-tokens" in result.stderr
    assert 50_000 < len(result.stdout) < 200_000
    fake.default = Answer("y" * 60_000, chunks=10)  # reasoning and other characters have room
    assert chat("--max-tokens", "50", "hi").returncode == 0


def test_another_protocol_is_named_and_asked_once(chat: Chat, fake: FakeOpenAI) -> None:
    for greeting in ("SSH-2.0-OpenSSH_9.2p1\r\n", "220 mail.example ESMTP\r\n\r\n"):
        fake.greeting = greeting
        for model in ([], ["-m", "openai:gpt-fake"]):  # the first asks for the list of models
            result = chat(*model, "hi")
            assert_reported(result, 2)
            assert "not an HTTP server" in result.stderr
    assert len(fake.requests) == 4


def test_a_question_is_not_redirected_to_another_server(chat: Chat, fake: FakeOpenAI) -> None:
    with FakeOpenAI() as other:
        for status in (301, 302, 307, 308):
            fake.default = Fail(status, {}, {"Location": f"{other.base_url}/chat/completions"})
            result = chat("hi")
            assert_reported(result, 2)
            assert f"redirects to {other.base_url}" in result.stderr
        assert other.requests == []
    assert len(fake.requests) == 4


SAID_OTHERWISE: dict[str, tuple[Step, int, str]] = {
    "LM Studio": (
        Fail(400, {"error": "Try to load the model with a larger context length, or provide a shorter input"}),
        4,
        "does not fit the context",
    ),
    "an error as a text": (Fail(400, {"error": "the model is not loaded"}), 4, "the model is not loaded"),
    "FastAPI": (Fail(403, {"detail": "Not authenticated"}), 3, "Not authenticated"),
    "a refusal": (
        Garbage(
            b'data: {"choices": [{"index": 0, "delta": {"role": "assistant", "refusal": "I can not"}}]}\n\n'
            b'data: {"choices": [{"index": 0, "delta": {"refusal": " help."}}]}\n\n'
            b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n',
            "text/event-stream",
        ),
        4,
        "I can not help.",
    ),
    "an error event with a status": (
        Garbage(b'data: {"error": {"message": "bad parameter", "code": 400}}\n\n', "text/event-stream"),
        4,
        "bad parameter",
    ),
    "an error under status 200": (
        Fail(200, {"error": {"message": "the model is not loaded", "code": 400}}),
        4,
        "the model is not loaded",
    ),
    "an error under status 200, without a code": (Fail(200, {"detail": "no worker is free"}), 75, "no worker is free"),
    "a refused key under status 200": (Fail(200, unauthorized().body), 3, "Incorrect API key"),
}


def test_an_unusual_stream_is_a_whole_answer(chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = Garbage(
        b'data: {"choices": [{"index": 0, "delta": {"content": [{"type": "text", "text": "Fi"}]}}]}\n\n'
        b'data: {"choices": [{"index": 0, "delta": {"content": "ne."}}]}\n\n'
        b'data: {"choices": [{"index": 0, "delta": null, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n',
        "text/event-stream",
    )
    result = chat("What now?")
    assert (result.stdout, result.stderr) == ("Fine.\n", "")


def test_an_answer_that_was_not_streamed_is_taken_whole(chat: Chat, fake: FakeOpenAI) -> None:
    message = {"role": "assistant", "content": "Fine."}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    fake.default = Fail(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage})
    answer = chat("--json", "What now?").json()
    assert (answer["content"], answer["finish_reason"], answer["usage"]["total_tokens"]) == ("Fine.", "stop", 5)


UNKNOWN = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
USAGES: dict[str, tuple[object, dict[str, int]]] = {
    "fractions": (
        {"prompt_tokens": 5.6, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 0.1}},
        {"input_tokens": 6, "output_tokens": 2, "total_tokens": 8},
    ),
    "more than can be": ({"prompt_tokens": 10**30, "completion_tokens": 10**400, "total_tokens": -1}, UNKNOWN),
    "words": ({"prompt_tokens": "many", "completion_tokens": None}, UNKNOWN),
    "no object": ("many", UNKNOWN),
    "details that are no object": (
        {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "prompt_tokens_details": "none"},
        {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
    ),
}


def test_no_answer_is_lost_to_its_usage(
    chat: Chat, fake: FakeOpenAI, subtests: pytest.Subtests, tmp_path: Path
) -> None:
    schema = tmp_path / "any.json"
    schema.write_text('{"type": "object"}')
    for name, (usage, read) in USAGES.items():
        with subtests.test(name):
            choice = {"index": 0, "delta": {"content": "{}"}, "finish_reason": "stop"}
            chunk = {"choices": [choice], "usage": usage}
            fake.default = Garbage(f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode(), "text/event-stream")
            for options in ((), ("--schema", str(schema))):
                answer = chat("--json", *options, "What now?").json()
                assert (answer["content"], answer["usage"]) == ("{}", read)


def test_errors_of_servers_in_other_forms_are_reported(chat: Chat, fake: FakeOpenAI, subtests: pytest.Subtests) -> None:
    for name, (step, code, words) in SAID_OTHERWISE.items():
        with subtests.test(name):
            fake.default = step
            result = chat("What now?")
            assert_reported(result, code)
            assert words in result.stderr


def test_a_rate_limit_that_ends_is_waited_for(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(rate_limited(retry_after="1"), Answer("Fine."))
    assert chat("hello").stdout == "Fine.\n"
    first, second = fake.requests
    assert second.arrived - first.arrived >= 1


def test_an_account_without_credit_is_reported_at_once(chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = out_of_credit()
    result = chat("hello")
    assert_reported(result, 75)
    assert "billing of the account" in result.stderr
    assert len(fake.requests) == 1


def test_a_missing_key_is_reported_with_its_variable(chat: Chat) -> None:
    result = chat("-m", "openai:gpt-fake", "hello")
    assert_reported(result, 3)
    assert "OPENAI_API_KEY" in result.stderr


def test_a_refused_connection_is_temporary(chat: Chat, fake: FakeOpenAI) -> None:
    with socket.socket() as bound:  # bound and not listening: nobody else can take the port
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
        result = chat("--base-url", url, "-t", "work", "hello")
    assert_reported(result, 75)
    assert [message["content"] for message in chat.messages("work")] == ["hello"]


@pytest.mark.parametrize("step", [Hang(), Stall("")], ids=["no answer", "silence in mid-answer"])
def test_a_timeout_is_temporary(chat: Chat, fake: FakeOpenAI, step: Step) -> None:
    fake.default = step
    assert_reported(chat("--timeout", "0.5", "hello"), 75)


@pytest.mark.parametrize("name", ["nobody:gpt", "local:nothing", ""])
def test_an_unknown_model_name_is_a_usage_error(chat: Chat, name: str) -> None:
    assert_reported(chat("-m", name, "hello", env={"OPENAI_API_KEY": KEY}), 2)


@pytest.mark.parametrize(
    "options",
    [
        ("--temperature", "hot"),
        ("--temperature", "inf"),
        ("--context-tokens", "-1"),
        ("--timeout", "0"),
        ("--format", "yaml"),
        ("--base-url", "http://localhost:99999/v1"),
        ("--base-url", "http:///v1"),
    ],
    ids=" ".join,
)
def test_an_impossible_value_is_a_usage_error(chat: Chat, fake: FakeOpenAI, options: tuple[str, str]) -> None:
    result = chat(*options, "hello")
    assert result.returncode == 2, result
    assert options[0] in result.stderr
    assert "Traceback" not in result.stderr
    assert fake.requests == []


def test_a_wrong_value_that_is_no_option_is_named_with_its_place(chat: Chat, fake: FakeOpenAI) -> None:
    config = chat.home.root / ".config" / "chatcli" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('temperature = "hot"\n')
    assert_reported(done := chat("hello"), 2)
    assert "It stands in config.toml: `chat config set temperature VALUE`" in done.stderr
    (chat.home.work / ".env").write_text("CHATCLI_TEMPERATURE=warm\n")
    done = chat("hello", env={"CHATCLI_TRUST": "1"})
    assert "It stands in the .env of this folder: CHATCLI_TEMPERATURE." in done.stderr
    done = chat("hello", env={"CHATCLI_TEMPERATURE": "cold"})
    assert "It stands in the variable CHATCLI_TEMPERATURE." in done.stderr
    assert fake.requests == []


def test_an_unreadable_config_file_is_a_usage_error(chat: Chat, fake: FakeOpenAI) -> None:
    config = chat.home.root / ".config" / "chatcli" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("model = \n")
    assert_reported(chat("hello"), 2)
    config.write_text('modell = "openai:gpt"\n')
    assert_reported(chat("hello"), 2)


def _folder(path: Path) -> None:
    path.mkdir()


def _no_database(path: Path) -> None:
    path.write_bytes(b"This is no database. " * 100)


def _foreign_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE checkpoints (mine TEXT)")
        connection.execute("INSERT INTO checkpoints VALUES ('precious')")
    connection.close()


@pytest.mark.parametrize("make", [_folder, _no_database, _foreign_database])
def test_what_is_no_store_is_refused_and_left_alone(
    chat: Chat, fake: FakeOpenAI, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "store.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    assert_reported(chat("--store", f"sqlite:///{path}", "hello"), 5)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert fake.requests == []


def test_a_store_where_nothing_can_be_written_is_refused(chat: Chat, fake: FakeOpenAI) -> None:
    folder = "/proc" if sys.platform == "linux" else "/System"
    assert_reported(chat("--store", f"sqlite:///{folder}/chatcli/store.db", "hello"), 5)
    assert fake.requests == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_store_is_refused_and_left_alone(chat: Chat, fake: FakeOpenAI, tmp_path: Path) -> None:
    folder = tmp_path / "stores"
    folder.mkdir()
    store = f"sqlite:///{folder}/store.db"
    chat("--store", store, "-t", "work", "hello")
    before = (folder / "store.db").read_bytes()
    (folder / "store.db").chmod(0o400)
    folder.chmod(0o500)
    result = chat("--store", store, "-t", "work", "again")
    folder.chmod(0o700)
    assert_reported(result, 5)
    assert (folder / "store.db").read_bytes() == before


def test_a_locked_store_is_reported_and_works_once_it_is_free(chat: Chat, fake: FakeOpenAI, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = f"sqlite:///{path}"
    chat("--store", store, "-t", "work", "hello")
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    locked = chat("--store", store, "-t", "work", "again")
    lock.execute("ROLLBACK")
    lock.close()
    assert_reported(locked, 5)
    assert chat("--json", "--store", store, "-t", "work", "finally").json()["messages_in_thread"] == 4


def test_a_full_disk_is_reported_and_what_was_stored_stays(chat: Chat, fake: FakeOpenAI) -> None:
    chat("-t", "work", "hello")
    full = chat.shell("ulimit -f 0; chat -t work again")  # no file may grow
    assert_reported(full, 5)
    assert [message["content"] for message in chat.messages("work")][:2] == ["hello", "You said: hello"]


@pytest.mark.executable
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "kill"])
def test_a_signal_in_mid_answer_keeps_the_partial_one(chat: Chat, fake: FakeOpenAI, number: signal.Signals) -> None:
    fake.script(Stall("Half an ans"))
    running = chat.start("--format", "jsonl", "-t", "work", "the first question")
    running.wait_for_output("Half an ans")
    running.signal(number)
    result = running.finish()
    assert result.returncode == 130, result
    assert "Traceback" not in result.stderr
    assert [event["type"] for event in result.events()].count("turn_interrupted") == 1
    assert result.events()[-1]["type"] == "turn_interrupted"
    fake.wait_for_disconnects(1)

    assert [(message["content"], message["interrupted"]) for message in chat.messages("work")] == [
        ("the first question", False),
        ("Half an ans", True),
    ]
    assert chat.forked("-t", "work", "go on").stdout == "You said: go on\n"
    assert ("assistant", "Half an ans") in fake.requests[-1].messages


def test_a_signal_before_the_answer_keeps_the_question(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(Hang())
    running = chat.start("-t", "work", "the first question")
    fake.wait_for_requests(1)
    running.signal(signal.SIGINT)
    assert running.finish().returncode == 130
    assert chat("-t", "work", "go on").returncode == 0
    assert "the first question" in "".join(text for _, text in fake.requests[-1].messages)


@pytest.mark.executable
def test_a_kill_in_mid_answer_keeps_the_question(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(Stall("Half an ans"))
    running = chat.start("--format", "jsonl", "-t", "work", "the first question")
    running.wait_for_output("Half an ans")
    running.signal(signal.SIGKILL)
    running.finish()
    assert chat.forked("-t", "work", "go on").returncode == 0
    sent = "".join(text for _, text in fake.requests[-1].messages)
    assert "the first question" in sent
    assert "go on" in sent


@pytest.mark.parametrize("written", [None, "no certificate"])
def test_certificates_that_can_not_be_used_are_named(chat: Chat, tmp_path: Path, written: str | None) -> None:
    file = tmp_path / "roots.pem"
    if written is not None:
        file.write_text(written)
    env = {"SSL_CERT_FILE": str(file), "OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "https://127.0.0.1:9/v1"}
    result = chat("-m", "openai:m", "What now?", env=env)
    assert_reported(result, 2)
    assert f"the certificates in {file} can't be " in result.stderr


def test_a_folder_that_was_removed_is_named(chat: Chat, fake: FakeOpenAI) -> None:
    result = chat.shell('mkdir gone; cd gone; rmdir ../gone; chat "What now?"')
    assert_reported(result, 2)
    assert "the current folder does not exist any more" in result.stderr


def test_debug_shows_where_a_failure_comes_from(chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = unknown_model()
    result = chat("--debug", "hello")
    assert result.returncode == 4, result
    assert "Traceback" in result.stderr
    assert KEY not in result.stderr


def test_debug_shows_no_password_where_no_turn_began(chat: Chat) -> None:
    result = chat("--debug", "--store", "postgresql://me:hunter2@127.0.0.1:1/chat", "threads", "list")
    assert result.returncode == 5, result
    assert "Traceback" in result.stderr
    assert "hunter2" not in result.stderr


@pytest.mark.executable
@pytest.mark.parametrize("allowed", [0, 1])
@pytest.mark.parametrize(
    "graph", [(), ("--graph", f"{Path(__file__).parent.parent / 'sample_graphs' / 'small.py'}:graph")]
)
def test_without_threads_one_line_says_so(chat: Chat, tmp_path: Path, graph: tuple[str, ...], allowed: int) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_THREADS.format(allowed=allowed))
    done = chat(*graph, "--no-helper", "hi", env={"PYTHONPATH": str(tmp_path)})
    assert_reported(done, 1)
    assert "no more threads or processes can be started" in done.stderr


def test_without_memory_one_line_says_so(chat: Chat, tmp_path: Path) -> None:
    (tmp_path / "large.py").write_text("def reply(message: str, history: list) -> str:\n    raise MemoryError\n")
    done = chat("--graph", f"{tmp_path / 'large.py'}:reply", "hi")
    assert_reported(done, 1)
    assert "there is not enough memory" in done.stderr
