"""A conversation in a terminal."""

import signal
from threading import Event

import pytest

from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home
from tests.e2e.test_focus import reports
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Gated, Stall, bob, server_error
from tests.waiting import WAIT_SECONDS


@pytest.mark.executable
def test_a_conversation_and_how_to_resume_it(chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    fake.default = bob
    tty = terminal("-t", "abc123")
    tty.wait_for_prompt()
    tty.send_line("Hi! I'm Bob.")
    tty.wait_for("Your name is Bob.")
    tty.wait_for_prompt()
    tty.send_line("What's my name?")
    tty.wait_for(lambda text: text.count("Your name is Bob.") == 2)
    tty.wait_for_prompt()
    tty.send_key("ctrl-d")
    assert tty.exit_code() == 0
    assert tty.lines()[-1] == "Resume this conversation with: chat --thread abc123"
    assert tty.settings() == tty.settings_before

    again = terminal("--thread", "abc123")
    again.wait_for_prompt()
    again.send_line("And now?")
    fake.wait_for_requests(3)  # the past answers are on the screen already
    assert [text for role, text in fake.requests[-1].messages if role == "user"] == [
        "Hi! I'm Bob.",
        "What's my name?",
        "And now?",
    ]


def test_an_answer_shows_while_it_arrives(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    gate = Event()
    fake.script(Gated("The first half", gate, " and the second."))
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("go")
    tty.wait_for("The first half")
    gate.set()
    tty.wait_for("The first half and the second.")


@pytest.mark.executable
def test_what_is_typed_before_the_prompt_appears_is_not_lost(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal()
    tty.send_line("early")
    tty.wait_for("You said: early")
    assert [request.last for request in fake.requests] == ["early"]


@pytest.mark.executable
@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (("/hel\t",), "> /help"),
        (("\x1b[200~one\ntwo\x1b[201~", "\r"), "You said: one\n"),
        (("/help\r",), "/rename"),
        (("/exit\r",), None),
        (("gone\x03", "\x03", "\x03"), None),
        (("\x04",), None),
    ],
    ids=["tab", "paste", "command", "exit", "ctrl-c", "ctrl-d"],
)
def test_keys_that_are_pressed_as_soon_as_the_prompt_stands(
    fake: FakeOpenAI, terminal: OpenTerminal, typed: tuple[str, ...], shown: str | None
) -> None:
    """What handles lines is imported behind the prompt; no key may find that it is not there yet."""
    tty = terminal()
    tty.wait_for(lambda text: ">" in text)
    for keys in typed:
        tty.send(keys)
    if shown is None:
        assert tty.exit_code() == 0
    else:
        tty.wait_for(shown)


def test_an_empty_line_asks_nothing(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("")
    tty.send_line("   ")
    tty.send_line("hello")
    tty.wait_for("You said: hello")
    assert [request.last for request in fake.requests] == ["hello"]


def test_help_lists_the_commands_and_exit_leaves(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("/help")
    tty.wait_for("/exit")
    tty.wait_for_prompt()
    listed = tty.text().partition("> /help")[2]
    for command in ("/help", "/exit", "/new", "/thread", "/model", "/clear"):
        assert command in listed
    tty.send_line("/exit")
    assert tty.exit_code() == 0
    assert fake.requests == []
    assert tty.settings() == tty.settings_before


def test_new_starts_another_thread_and_thread_goes_back(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal("-t", "first")
    tty.wait_for_prompt()
    tty.send_line("one")
    tty.wait_for("You said: one")
    tty.wait_for_prompt()
    tty.send_line("/new")
    tty.wait_for_prompt()
    tty.send_line("two")
    tty.wait_for("You said: two")
    assert fake.requests[-1].messages == [("user", "two")]
    tty.wait_for_prompt()
    tty.send_line("/thread first")
    tty.wait_for_prompt()
    tty.send_line("three")
    tty.wait_for("You said: three")
    assert [text for _, text in fake.requests[-1].messages] == ["one", "You said: one", "three"]
    tty.wait_for_prompt()
    tty.send_key("ctrl-d")
    tty.exit_code()
    assert "chat --thread first" in tty.lines()[-1]


def test_model_chooses_the_model_of_the_next_answer(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal("-m", "openai:gpt-fake")
    tty.wait_for_prompt()
    tty.send_line("/model openai:gpt-other")
    tty.wait_for_prompt()
    tty.send_line("hello")
    tty.wait_for("You said: hello")
    assert fake.requests[-1].body["model"] == "gpt-other"
    tty.wait_for_prompt()
    tty.send_line("/model local:nothing")
    tty.wait_for("unknown local model")
    tty.wait_for_prompt()
    tty.send_line("still there?")
    tty.wait_for("You said: still there?")
    assert fake.requests[-1].body["model"] == "gpt-other"


def test_clear_empties_the_screen_and_keeps_the_thread(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("one")
    tty.wait_for("You said: one")
    tty.wait_for_prompt()
    tty.send_line("/clear")
    tty.wait_for(lambda _: "You said: one" not in tty.screen())
    tty.wait_for_prompt()
    tty.send_line("two")
    tty.wait_for("You said: two")
    assert [text for _, text in fake.requests[-1].messages] == ["one", "You said: one", "two"]


def test_a_misspelt_command_is_not_sent_and_the_nearest_one_is_named(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("/thraed abc")
    tty.wait_for(lambda text: "/thread" in text.replace("/thraed", ""))
    tty.wait_for_prompt()
    tty.send_line("//etc/passwd is a file")
    tty.wait_for("You said: /etc/passwd is a file")
    assert [request.last for request in fake.requests] == ["/etc/passwd is a file"]


def test_ctrl_c_stops_the_answer_and_nothing_else(chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    fake.script(Stall("Half an ans"))
    tty = terminal("-t", "work")
    tty.wait_for_prompt()
    tty.send_line("the first question")
    tty.wait_for("Half an ans")
    tty.send_key("ctrl-c")
    fake.wait_for_disconnects(1)
    tty.wait_for_prompt()
    tty.send_line("go on")
    tty.wait_for("You said: go on")
    assert fake.requests[-1].messages == [
        ("user", "the first question"),
        ("assistant", "Half an ans"),
        ("user", "go on"),
    ]
    tty.wait_for_prompt()
    tty.send_key("ctrl-d")
    assert tty.exit_code() == 0
    assert chat.messages("work")[1]["interrupted"] is True


def test_a_failed_turn_is_reported_and_the_conversation_goes_on(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    fake.default = server_error()
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("the first question")
    tty.wait_for("error: ")
    tty.wait_for_prompt()
    fake.default = Answer("Fine.")
    tty.send_line("and now?")
    shown = tty.wait_for("Fine.")
    assert "Traceback" not in shown
    assert "the first question" in "".join(text for _, text in fake.requests[-1].messages)


def test_ctrl_c_clears_the_line_and_leaves_when_pressed_twice_on_an_empty_one(
    fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    tty = terminal()
    tty.wait_for_prompt()
    tty.send("a draft")
    tty.wait_for_prompt("a draft")
    tty.send_key("ctrl-c")
    tty.wait_for_prompt()
    tty.send_line("a question")
    tty.wait_for("You said: a question")
    assert [request.last for request in fake.requests] == ["a question"]
    tty.wait_for_prompt()
    tty.send_key("ctrl-c")
    tty.wait_for_prompt()
    tty.send_key("ctrl-c")
    assert tty.exit_code() == 0
    assert tty.settings() == tty.settings_before


def test_a_pasted_newline_does_not_send(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal()
    tty.wait_for_prompt()
    tty.paste("def f():\n    return 1\n\nf()\n/exit")
    tty.wait_for("/exit")
    assert fake.requests == []
    tty.send_key("enter")
    tty.wait_for("You said: def f():")
    assert [request.last for request in fake.requests] == ["def f():\n    return 1\n\nf()\n/exit"]


def test_alt_enter_and_ctrl_j_make_a_new_line(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal()
    tty.wait_for_prompt()
    tty.send("one")
    tty.send_key("alt-enter")
    tty.send("two")
    tty.send_key("ctrl-j")
    tty.send("three")
    tty.wait_for("three")
    tty.send_key("enter")
    tty.wait_for("You said: one")
    assert [request.last for request in fake.requests] == ["one\ntwo\nthree"]


def test_what_is_typed_while_an_answer_arrives_is_not_lost(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    gate = Event()
    fake.script(Gated("The first half", gate, " and the second."))
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("one")
    tty.wait_for("The first half")
    tty.send_line("two")
    tty.send("thr")
    gate.set()
    tty.wait_for("You said: two")
    tty.wait_for_prompt("thr")
    tty.send_line("ee")
    tty.wait_for("You said: three")
    assert [request.last for request in fake.requests] == ["one", "two", "three"]


@pytest.mark.executable
def test_a_kill_leaves_the_terminal_as_it_was(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal()
    tty.wait_for_prompt()
    assert tty.settings() != tty.settings_before
    tty.signal(signal.SIGTERM)
    assert tty.exit_code() == 130
    assert tty.settings() == tty.settings_before
    assert tty.raw.rindex(b"\x1b[?2004l") > tty.raw.rindex(b"\x1b[?2004h")  # bracketed paste is off
    assert reports(tty) == ["h", "l"]


def test_a_kill_in_mid_answer_keeps_the_partial_one(chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    fake.script(Stall("Half an ans"))
    tty = terminal("-t", "work")
    tty.wait_for_prompt()
    tty.send_line("the first question")
    tty.wait_for("Half an ans")
    tty.signal(signal.SIGTERM)
    assert tty.exit_code() == 130
    assert tty.settings() == tty.settings_before
    assert [message["content"] for message in chat.messages("work")] == ["the first question", "Half an ans"]


def test_control_sequences_of_an_answer_do_not_reach_the_terminal(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    fake.script(Answer("safe \x1b]52;c;aGFja2Vk\x07 and \x1b[2J\x1b[31msound", chunks=20))
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("go")
    tty.wait_for("sound")
    assert b"\x1b]52" not in tty.raw
    assert "safe" in tty.screen()


def test_the_conversation_goes_on_after_a_pipe(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal("-i", "read this", piped="the piped text")
    tty.wait_for("You said: read this")
    tty.wait_for_prompt()
    tty.send_line("second")
    tty.wait_for("You said: second")
    assert fake.requests[0].last.startswith("read this")
    assert "the piped text" in fake.requests[0].last
    assert fake.requests[1].last == "second"
    tty.wait_for_prompt()
    tty.send_key("ctrl-d")
    assert tty.exit_code() == 0
    assert tty.settings() == tty.settings_before


@pytest.mark.executable
def test_a_terminal_that_is_closed_in_mid_answer_leaves_the_partial_one(
    chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    fake.script(Stall("Half an ans"))
    tty = terminal("-t", "work")
    tty.wait_for_prompt()
    tty.send_line("the first question")
    tty.wait_for("Half an ans")
    tty.hang_up()
    assert tty.process.wait(WAIT_SECONDS) == 130
    assert [message["content"] for message in chat.messages("work")] == ["the first question", "Half an ans"]


def test_no_save_keeps_the_history_of_lines_out_of_the_home_too(
    home: Home, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    tty = terminal("--no-save")
    tty.wait_for_prompt()
    tty.send_line("a secret")
    tty.wait_for("You said: a secret")
    tty.wait_for_prompt()
    tty.send_key("ctrl-d")
    assert tty.exit_code() == 0
    assert "Resume" not in tty.text()
    assert home.files() == []


def test_a_line_of_an_earlier_session_comes_back_with_up(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    earlier = terminal()
    earlier.wait_for_prompt()
    earlier.send_line("a question")
    earlier.wait_for("You said: a question")
    later = terminal()
    later.wait_for_prompt()
    later.send_key("up")
    later.wait_for_prompt("a question")


def test_a_narrow_window_and_a_resize_do_no_harm(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal(size=(30, 10))
    tty.wait_for_prompt()
    tty.resize(60, 20)
    tty.send_line("hello")
    tty.wait_for("You said: hello")
    tty.wait_for_prompt()
    tty.send_key("ctrl-d")
    assert tty.exit_code() == 0
