"""Retries after temporary failures."""

import email.utils
import time

import pytest

from tests.e2e.checks import assert_reported
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Drop, Step, rate_limited, server_error, unauthorized


@pytest.mark.parametrize("step", [rate_limited("0"), server_error(503), Drop("", "reset")])
def test_temporary_failures_are_retried_in_silence_off_a_terminal(chat: Chat, fake: FakeOpenAI, step: Step) -> None:
    fake.script(step, Answer("Fine."))
    result = chat("hello")
    assert (result.returncode, result.stdout, result.stderr) == (0, "Fine.\n", "")
    assert len(fake.requests) == 2


def test_a_date_in_retry_after_is_waited_for(chat: Chat, fake: FakeOpenAI) -> None:
    due = time.time() + 3
    fake.script(rate_limited(email.utils.formatdate(due, usegmt=True)), Answer("Fine."))
    assert chat("hello").stdout == "Fine.\n"
    assert time.time() >= int(due)


def test_a_wait_beyond_the_time_limit_is_not_begun(chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = rate_limited("3600")
    told = chat("hello")
    assert_reported(told, 75)
    assert "3600 seconds" in told.stderr
    assert_reported(chat("--timeout", "600", "hello"), 75)  # a wait that began would last longer than a test
    assert len(fake.requests) == 2


def test_attempts_end(chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = rate_limited("0")
    assert_reported(chat("hello"), 75)
    assert len(fake.requests) == 4


@pytest.mark.parametrize("step", [unauthorized(), Drop("Half", "reset")], ids=["refused", "amid an answer"])
def test_lasting_failures_are_not_retried(chat: Chat, fake: FakeOpenAI, step: Step) -> None:
    fake.default = step
    assert chat("hello").returncode != 0
    assert len(fake.requests) == 1


def test_jsonl_reports_a_retry(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(rate_limited("1"), Answer("Fine."))
    result = chat("--format", "jsonl", "hello")
    assert [event["type"] for event in result.events()][:2] == ["turn_started", "notice"]
    assert result.events()[1]["level"] == "info"


def test_a_terminal_shows_why_nothing_happens(terminal: OpenTerminal, fake: FakeOpenAI) -> None:
    fake.script(rate_limited("2"), Answer("Fine."))
    tty = terminal("hello")
    tty.wait_for("asking again in 2 s")
    tty.wait_for("Fine.")
    assert tty.exit_code() == 0
