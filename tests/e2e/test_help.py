"""`chat help` and `/help TOPIC`: the manual, at a terminal and in a pipe."""

import pytest

from chatcli.manual import TOPICS, read_page
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI


def test_the_topics_are_listed(chat: Chat) -> None:
    result = chat("help")
    assert result.returncode == 0
    *lines, last = result.stdout.splitlines()
    assert len(lines) < 23
    assert max(map(len, lines)) < 80
    assert set(TOPICS) <= set(result.stdout.split())
    assert last == "chat help TOPIC shows a page."


def test_the_topics_are_listed_for_programs(chat: Chat) -> None:
    assert [row["topic"] for row in chat("--json", "help").json()] == list(TOPICS)


def test_a_page_in_a_pipe_is_its_markdown(chat: Chat) -> None:
    result = chat("help", "trust")
    assert result.stdout == read_page("trust")
    assert "not run" not in result.stdout
    assert result.stderr == ""


def test_colours_may_be_asked_for_in_a_pipe(chat: Chat) -> None:
    shown = chat("--color", "always", "help", "trust").stdout
    assert "\x1b[" in shown
    assert "**Who attacks.**" not in shown


def test_the_manual_is_there_when_the_config_file_is_wrong(chat: Chat) -> None:
    file = chat.home.root / ".config" / "chatcli" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("nonsense = [")
    assert chat("help", "settings").stdout == read_page("settings")


def test_an_unknown_topic_is_a_usage_error(chat: Chat) -> None:
    result = chat("help", "postgres")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == ["error: the manual has no topic 'postgres'", "Nearest: postgresql."]


def test_help_is_no_question(chat: Chat, fake: FakeOpenAI) -> None:
    chat("help")
    assert not fake.requests
    chat("--", "help")
    assert [request.last for request in fake.requests] == ["help"]


def test_a_long_page_goes_through_the_pager(chat: Chat, terminal: OpenTerminal) -> None:
    pager = chat.home.work / "pager"
    pager.write_text('#!/bin/sh\necho "pager $1: $LESS"\ntail -n 3\n')
    pager.chmod(0o755)
    tty = terminal("help", "trust", env={"PAGER": f"{pager} 'a b'"})
    tty.wait_for("pager a b: FRX")
    assert tty.exit_code() == 0
    text = tty.text()
    assert "takes seconds to read" in text
    assert "Who attacks" not in text


@pytest.mark.parametrize("pager", ["", "no-such-program"])
def test_without_a_pager_the_page_is_printed(terminal: OpenTerminal, pager: str) -> None:
    tty = terminal("help", "trust", env={"PAGER": pager}, size=(100, 20))
    tty.wait_for("takes seconds to read")
    assert tty.exit_code() == 0


def test_a_page_that_fits_needs_no_pager(terminal: OpenTerminal) -> None:
    tty = terminal("help", "postgresql", env={"PAGER": "false"}, size=(100, 60))
    tty.wait_for("at the first use")
    assert tty.exit_code() == 0


def test_a_pager_that_is_left_early_is_no_failure(terminal: OpenTerminal) -> None:
    tty = terminal("help", "settings", env={"PAGER": "true"})
    assert tty.exit_code() == 0
    assert "error" not in tty.text()


def test_a_page_in_the_conversation(terminal: OpenTerminal, fake: FakeOpenAI) -> None:
    tty = terminal(size=(100, 60))
    tty.wait_for_prompt()
    tty.send_line("/help postgresql")
    tty.wait_for("on the server")
    tty.send_line("/help nonsense")
    tty.wait_for("no topic 'nonsense'")
    assert not [request for request in fake.requests if "help" in request.last]


def test_a_mistyped_sub_command_is_asked_about_on_a_terminal(
    terminal: OpenTerminal, chat: Chat, fake: FakeOpenAI
) -> None:
    asked = "`? [y/N: send as a question]"
    tty = terminal("threadz", "list")
    tty.wait_for(f"did you mean `chat threads list{asked}")
    tty.send_line("y")
    assert tty.exit_code() == 0
    tty = terminal("modles")
    tty.wait_for(f"did you mean `chat models{asked}")
    tty.send_key("ctrl-d")
    assert tty.exit_code() == 130
    assert not fake.requests
    tty = terminal("dcotor")
    tty.wait_for(f"did you mean `chat doctor{asked}")
    tty.send_line("")
    assert tty.exit_code() == 0
    assert terminal("thread", "the", "needle").exit_code() == 0
    assert chat("threadz").returncode == 0
    assert [request.last for request in fake.requests] == ["dcotor", "thread the needle", "threadz"]
