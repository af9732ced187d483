"""What comes in through a pipe: large, slow, late, binary, and a terminal beside it."""

import sys

import pytest

from tests.e2e.checks import assert_reported, unfenced
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import EXECUTABLE, Chat
from tests.e2e.terminal import Terminal
from tests.fakes.openai_server import FakeOpenAI

MB = 2**20
MEASURED = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
open("used", "w").write(f"{used.ru_maxrss} {used.ru_utime + used.ru_stime}")
sys.exit(done.returncode)
"""
"""Notes how much memory and CPU time a program takes: as a child of the tests, it would begin with all of theirs."""


@pytest.mark.executable
def test_fifty_megabytes_are_refused_quickly_and_in_bounded_memory(chat: Chat, fake: FakeOpenAI) -> None:
    text = b"a line of a long log\n" * (50 * MB // 21)
    (chat.home.work / "log").write_bytes(text)
    result = chat.shell(f"{sys.executable} -c '{MEASURED}' chat -m openai:gpt-4o -t log 'sum it up' < log")
    assert_reported(result, 4)
    assert "tokens" in result.stderr
    assert "limit" in result.stderr
    assert fake.requests == []
    # The bytes, the text, and the prompt that holds it; the rest is the program itself.
    peak, seconds = map(float, (chat.home.work / "used").read_text().split())  # in kB or bytes
    assert peak < 600 * (MB if sys.platform == "darwin" else 1024), peak
    assert seconds < 20, seconds
    store = chat.home.root / ".local" / "share" / "chatcli" / "threads.db"
    assert not store.exists() or store.stat().st_size < MB


def test_a_writer_that_is_slow_and_pauses_is_waited_for(chat: Chat, fake: FakeOpenAI) -> None:
    writer = "for word in one two; do printf '%s\\n' $word; sleep 0.3; done; sleep 5; echo three"
    result = chat.shell(f"({writer}) | chat 'sum it up'", forks=True)
    assert result.returncode == 0, result
    assert unfenced(fake.requests[0].last) == "sum it up\n\n<stdin>\none\ntwo\nthree\n</stdin>"


@pytest.mark.parametrize("words", [["-"], ["-q", "-"], ["-", "-q"]])
def test_a_dash_is_a_pipe_without_a_prompt(chat: Chat, fake: FakeOpenAI, words: list[str]) -> None:
    result = chat(*words, input="why is the sky blue?\n")
    assert result.returncode == 0, result
    assert fake.requests[0].last == "why is the sky blue?\n"


def test_a_dash_after_two_dashes_is_a_prompt(chat: Chat, fake: FakeOpenAI) -> None:
    chat("--", "-")
    assert fake.requests[0].last == "-"


def test_a_dash_without_input_is_an_empty_prompt(chat: Chat, fake: FakeOpenAI) -> None:
    assert_reported(chat("-"), 2)
    assert fake.requests == []


@pytest.mark.parametrize("options", [["-f", "-"], ["--script", "-"], ["-t", "work", "--resume-with", "yes"]])
def test_a_dash_beside_another_use_of_stdin_is_refused(chat: Chat, fake: FakeOpenAI, options: list[str]) -> None:
    assert_reported(chat(*options, "-", input="hello"), 2)
    assert fake.requests == []


def test_a_dash_at_a_terminal_reads_until_ctrl_d(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal("-")
    tty.wait_for("Ctrl-D")
    tty.send("two\n")
    tty.send("lines\n")
    tty.send_key("ctrl-d")
    tty.wait_for("You said: two")
    assert tty.exit_code() == 0
    assert fake.requests[0].last == "two\nlines\n"


def test_binary_input_is_replaced_and_reported_and_sent_whole(chat: Chat, fake: FakeOpenAI) -> None:
    result = chat("what is it?", input=bytes(range(256)) * 4)
    assert result.returncode == 0, result
    assert "UTF-8" in result.stderr
    assert fake.requests[0].last.count("\0") == 4


def test_a_conversation_after_a_pipe_reads_the_keyboard(chat: Chat, fake: FakeOpenAI) -> None:
    command = f"echo 'piped text' | {EXECUTABLE} -i 'start here'"
    tty = Terminal(["/bin/sh", "-c", command], env=chat.home.env, cwd=chat.home.work)
    try:
        tty.wait_for("You said: start here")
        tty.wait_for_prompt()
        tty.send_line("typed by hand")
        tty.wait_for("You said: typed by hand")
        tty.wait_for_prompt()
        tty.send_key("ctrl-d")
        assert tty.exit_code() == 0
    finally:
        tty.close()
    assert unfenced(fake.requests[0].last) == "start here\n\n<stdin>\npiped text\n</stdin>"
    assert fake.requests[1].last == "typed by hand"


def test_a_reader_that_leaves_early_ends_jsonl_quietly(chat: Chat, fake: FakeOpenAI) -> None:
    result = chat.shell("chat --format jsonl hello | head -1; exit ${PIPESTATUS[0]}")
    assert (result.returncode, result.stderr) == (0, "")
    assert len(result.events()) == 1
