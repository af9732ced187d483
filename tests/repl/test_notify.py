"""When a user who looks elsewhere is called, and what is sent to which terminal."""

import pytest

from chatcli.errors import NetworkError
from chatcli.events import (
    STOPPED,
    WAITING,
    ApprovalRequested,
    Event,
    Notice,
    TurnFailed,
    TurnFinished,
    TurnInterrupted,
    Usage,
)
from chatcli.repl.notify import news, notification


def finished(reason: str) -> TurnFinished:
    return TurnFinished("t", "", "openai:m", "Hi.", reason, Usage(), 0, 1, 1)


FAILED = TurnFailed("t", "openai:m", "", NetworkError("down"))
INTERRUPTED = TurnInterrupted("t", "", "openai:m", "", 0)


@pytest.mark.parametrize(
    ("last", "seconds", "text"),
    [
        (finished("stop"), 10.1, "the answer is complete"),
        (finished("length"), 3600, "the answer is complete"),
        (finished("stop"), 10, ""),
        (FAILED, 11, "the answer failed"),
        (FAILED, 9, ""),
        (finished(WAITING), 0.1, "a question waits for you"),
        (finished(STOPPED), 0.1, "a question waits for you"),
        (ApprovalRequested("1", {}), 0.1, "a question waits for you"),
        (INTERRUPTED, 60, ""),
        (Notice("a command"), 60, ""),
        (None, 60, ""),
    ],
)
def test_news_are_an_answer_that_took_long_and_any_question(last: Event | None, seconds: float, text: str) -> None:
    assert news(last, seconds, 10) == text


OSC_9 = "\x1b]9;chat: done\x1b\\"
OSC_777 = "\x1b]777;notify;chat;done\x1b\\"


@pytest.mark.parametrize(
    ("environment", "sequence"),
    [
        ({"TERM_PROGRAM": "iTerm.app", "TERM": "xterm-256color"}, OSC_9),
        ({"LC_TERMINAL": "iTerm2"}, OSC_9),
        ({"TERM_PROGRAM": "WezTerm"}, OSC_777),
        ({"TERM_PROGRAM": "ghostty"}, OSC_777),
        ({"TERM": "xterm-kitty"}, OSC_777),
        ({"TERM": "foot-extra"}, OSC_777),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7600"}, OSC_777),
        ({"TERM": "xterm-256color"}, ""),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, ""),
        ({"TERM": "screen", "STY": "1.tty", "KITTY_WINDOW_ID": "1"}, ""),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "tmux", "TMUX": "/tmp/tmux,1,0"}, ""),
        (
            {"TERM_PROGRAM": "tmux", "TMUX": "/tmp/tmux,1,0", "KITTY_WINDOW_ID": "1"},
            "\x1bPtmux;\x1b\x1b]777;notify;chat;done\x1b\x1b\\\x1b\\",
        ),
    ],
)
def test_each_terminal_gets_the_sequence_that_it_knows(environment: dict[str, str], sequence: str) -> None:
    assert notification("chat", "done", environment) == sequence


@pytest.mark.parametrize("environment", [{"TERM": "xterm-kitty"}, {"LC_TERMINAL": "iTerm2"}])
def test_no_text_ends_the_sequence_or_begins_another(environment: dict[str, str]) -> None:
    hostile = "a\x1b]52;c;eA==\x07\x1b\\\x9c\x9d\x90;b\r\n\u202e" + "x" * 10_000
    sent = notification("chat", hostile, environment)
    head, inside, end = sent[:2], sent[2:-2], sent[-2:]
    assert (head, end) == ("\x1b]", "\x1b\\")
    assert inside.isprintable()
    assert inside.count(";") == (3 if inside.startswith("777") else 1)
    assert len(sent) < 200
