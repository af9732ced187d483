"""Roles and their variables, as a user has them: options, slash commands, files; and the tutorial's conversations."""

from pathlib import Path

import pytest

from tests.e2e.checks import assert_reported
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, bob


def system(fake: FakeOpenAI) -> str:
    """The system prompt of the newest request, empty without one."""
    return next((text for role, text in fake.requests[-1].messages if role == "system"), "")


def test_jim_and_the_pirate(chat: Chat, fake: FakeOpenAI) -> None:
    assert chat("-t", "jim", "--role", "Pirate", "Hi! I'm Jim.").returncode == 0
    assert "talk like a pirate" in system(fake)
    fake.default = bob
    assert chat("-t", "jim", "What is my name?").stdout == "Your name is Jim.\n"
    assert "talk like a pirate" in system(fake)


def test_spanish_by_variable_is_kept_by_the_thread_and_changed_in_it(chat: Chat, fake: FakeOpenAI) -> None:
    assert chat("-t", "es", "--role", "translator", "-v", "language=Spanish", "Hi! I'm Bob.").returncode == 0
    assert "in Spanish" in system(fake)
    assert chat("-t", "es", "And now?").returncode == 0
    assert "in Spanish" in system(fake)
    assert chat("-t", "es", "--var", "language=French", "And now?").returncode == 0
    assert "in French" in system(fake)


def test_what_is_wrong_with_a_role_is_named(chat: Chat, fake: FakeOpenAI) -> None:
    unknown = chat("--role", "pirat", "hello")
    assert_reported(unknown, 2)
    assert "pirate" in unknown.stderr
    variable = chat("--role", "translator", "-v", "langauge=Spanish", "hello")
    assert_reported(variable, 2)
    assert "langauge" in variable.stderr
    assert_reported(chat("-v", "language=Spanish", "hello"), 2)
    assert_reported(chat("--role", "translator", "-v", "language", "hello"), 2)
    assert_reported(chat("--role", "pirate", "--system", "Be brief.", "hello"), 2)
    assert not fake.requests


def test_a_variable_without_a_default_is_missing_by_name(chat: Chat, fake: FakeOpenAI, home: Home) -> None:
    write_role(home, "greeter.md", "Greet {name} in {{braces}}.")
    missing = chat("--role", "greeter", "hello")
    assert_reported(missing, 2)
    assert "name" in missing.stderr
    assert chat("--role", "greeter", "-v", "name=Bob", "hello").returncode == 0
    assert system(fake) == "Greet Bob in {braces}."


def test_braces_in_a_system_prompt_are_text(chat: Chat, fake: FakeOpenAI) -> None:
    assert chat("--system", "Use {braces} and {0} and }{.", "hello").returncode == 0
    assert system(fake) == "Use {braces} and {0} and }{."


def test_a_role_brings_its_model_and_temperature_unless_the_user_chose(
    chat: Chat, fake: FakeOpenAI, home: Home
) -> None:
    write_role(home, "cool.toml", 'system = "Be cool."\nmodel = "openai:gpt-cool"\ntemperature = 0.5\n')
    assert chat("-t", "a", "--role", "cool", "hello").returncode == 0
    assert (fake.requests[-1].body["model"], fake.requests[-1].body["temperature"]) == ("gpt-cool", 0.5)
    assert chat("--role", "cool", "-m", "openai:gpt-mine", "--temperature", "1", "hello").returncode == 0
    assert (fake.requests[-1].body["model"], fake.requests[-1].body["temperature"]) == ("gpt-mine", 1)


def test_the_thread_remembers_its_model(chat: Chat, fake: FakeOpenAI) -> None:
    assert chat("-t", "a", "-m", "openai:gpt-first", "hello").returncode == 0
    assert chat("-t", "a", "again").returncode == 0
    assert fake.requests[-1].body["model"] == "gpt-first"
    assert chat("-t", "a", "-m", "openai:gpt-second", "again").returncode == 0
    assert fake.requests[-1].body["model"] == "gpt-second"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b'system = "unclosed', "Unterminated"),
        (b'system = "x"\ncolour = "red"', "colour"),
        (b'system = "x\xff"', "utf-8"),
        (b'system = "a { b"', "braces"),
        (b'system = "a {b:{c}} {d!x}"', "braces"),
        (b'system = "x"\ntemperature = -1', "-1"),
        (b'system = "x"\ntemperature = true', "temperature"),
        (b'description = "x"', "system prompt"),
    ],
)
def test_a_broken_role_file_is_reported_with_the_reason(
    text: bytes, told: str, chat: Chat, fake: FakeOpenAI, home: Home
) -> None:
    write_role(home, "broken.toml", "")
    Path(home.env["XDG_CONFIG_HOME"], "chatcli", "roles", "broken.toml").write_bytes(text)
    result = chat("--role", "broken", "hello")
    assert_reported(result, 2)
    assert "broken.toml" in result.stderr
    assert told in result.stderr


def test_a_broken_role_file_does_not_hide_the_other_roles(chat: Chat, home: Home) -> None:
    write_role(home, "broken.md", '+++\ndescription = "x"\nNo end.')
    result = chat("roles", "list", "--json")
    assert result.returncode == 0, result
    assert "pirate" in {role["name"] for role in result.json()}
    assert "broken.md" in result.stderr
    assert "no end" in result.stderr


def test_a_role_file_may_begin_with_a_byte_order_mark(chat: Chat, fake: FakeOpenAI, home: Home) -> None:
    write_role(home, "brief.toml", '\ufeffsystem = "Be brief."')
    assert chat("--role", "brief", "hello").returncode == 0
    assert system(fake) == "Be brief."


def test_roles_are_listed_shown_and_deleted(chat: Chat, home: Home) -> None:
    names = {role["name"]: role for role in chat("roles", "list", "--json").json()}
    assert {"pirate", "translator", "reviewer", "commit", "shell", "explain"} <= set(names)
    assert names["translator"]["variables"] == {"language": "English"}
    assert "pirate" in chat("roles", "show", "PIRATE").stdout
    assert_reported(chat("roles", "delete", "pirate"), 2)
    edited = chat("roles", "edit", "pirate", env={"EDITOR": "touch"})
    assert edited.returncode == 0, edited
    assert chat("roles", "delete", "pirate").returncode == 0
    assert "pirate" in chat("roles").stdout


def test_a_role_is_changed_in_mid_thread(terminal: OpenTerminal, fake: FakeOpenAI) -> None:
    fake.default = Answer("Fine.")
    tty = terminal()
    tty.wait_for_prompt()
    tty.send("/role transl\t")
    tty.wait_for_prompt("/role translator")
    for line in ("", "/set language=French", "hello"):
        tty.send_line(line)
    fake.wait_for_requests(1)
    assert "in French" in system(fake)
    tty.send_line("/system You are {plain}.")
    tty.send_line("hello")
    fake.wait_for_requests(2)
    assert system(fake) == "You are {plain}."


def write_role(home: Home, name: str, text: str) -> None:
    folder = Path(home.env["XDG_CONFIG_HOME"]) / "chatcli" / "roles"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def test_the_hint_for_a_missing_variable_works_in_a_conversation(
    terminal: OpenTerminal, fake: FakeOpenAI, home: Home
) -> None:
    write_role(home, "brief.toml", 'system = "Be {how}."')
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("/role brief")
    tty.wait_for("in a conversation: /role brief")
    tty.wait_for_prompt()
    tty.send_line('/role brief how="very brief"')
    tty.wait_for("role brief with how=very brief")
