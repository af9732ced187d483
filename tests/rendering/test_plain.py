import fcntl
import io
import os
import pty
import struct
import termios

import pyte
import pytest

from chatcli.errors import AuthError, NetworkError
from chatcli.events import (
    Event,
    Listing,
    Notice,
    Progress,
    ReasoningDelta,
    TextDelta,
    TurnFailed,
    TurnInterrupted,
    TurnStarted,
)
from chatcli.message import MessageShown
from chatcli.rendering.display import ScreenCleared, ThreadChanged
from chatcli.rendering.plain import PlainRenderer
from tests.rendering.screen import finished


def show(*events: Event, quiet: bool = False) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    renderer = PlainRenderer(out, err, quiet=quiet)
    for event in events:
        renderer.render(event)
    renderer.close()
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize("deltas", [["Hello", " world"], ["Hello world\n"], ["Hello ", "world", "\n"]])
def test_an_answer_is_its_text_and_one_newline(deltas: list[str]) -> None:
    out, err = show(TurnStarted("t1", "m"), *map(TextDelta, deltas), finished("Hello world"))
    assert (out, err) == ("Hello world\n", "")


def test_an_answer_that_did_not_stream_is_shown_at_its_end() -> None:
    assert show(finished("all at once")) == ("all at once\n", "")


def test_an_empty_answer_is_nothing() -> None:
    assert show(finished("")) == ("", "")


def test_two_turns_do_not_mix() -> None:
    out, _ = show(TextDelta("a"), finished("a"), finished("b"), TextDelta("c"), finished("c"))
    assert out == "a\nb\nc\n"


def test_each_piece_is_written_at_once() -> None:
    out = io.StringIO()
    renderer = PlainRenderer(out, io.StringIO())
    renderer.render(TextDelta("a"))
    assert out.getvalue() == "a"


def test_untrusted_text_is_clean_also_across_pieces() -> None:
    out, err = show(TextDelta("a\x1b"), TextDelta("[31mb"), Notice("n\x1b[2J"), finished())
    assert (out, err) == ("ab\n", "n\n")


def test_an_interrupted_answer_keeps_what_arrived() -> None:
    out, err = show(TextDelta("half an ans"), TurnInterrupted("t1", "c1", "m", "half an ans", 5))
    assert (out, err) == ("half an ans\n", "[interrupted]\n")


def test_a_failure_shows_what_happened_and_what_to_do() -> None:
    error = AuthError("the key was refused", remedy="chat keys set openai")
    out, err = show(TextDelta("half"), TurnFailed("t1", "m", "half", error))
    assert (out, err) == ("half\n", "error: the key was refused\nchat keys set openai\n")


def test_notices_and_progress_go_beside_the_answer() -> None:
    out, err = show(Notice("fetching"), Notice("odd bytes", "warning"), Progress("loading"), finished("x"))
    assert (out, err) == ("x\n", "fetching\nwarning: odd bytes\nloading...\n")


def test_a_download_is_shown_in_tenths() -> None:
    steps = [Progress("model", done, 50_000_000, "bytes") for done in range(0, 50_000_001, 500_000)]
    _, err = show(*steps, Progress("model", 50_000_000, 50_000_000, "bytes", finished=True))
    lines = err.splitlines()
    assert lines[0] == "model (50.0 MB)..."
    assert lines[1:-1] == [f"model: {percent} %" for percent in range(10, 101, 10)]
    assert lines[-1] == "model: done"


def test_a_download_that_fails_is_not_called_done() -> None:
    steps = [Progress("model", done, 50_000_000, "bytes") for done in (0, 20_500_000)]
    _, err = show(*steps, Progress("model", 20_500_000, 50_000_000, "bytes", finished=True))
    assert err.splitlines()[-1] == "model: stopped at 41 %"


def test_quiet_shows_the_answer_and_errors_only() -> None:
    failure = TurnFailed("t1", "m", "", NetworkError("no route"))
    events = (Notice("n"), Notice("bad", "error"), Progress("p"), TextDelta("a"), finished("a"), failure)
    assert show(*events, quiet=True) == ("a\n", "error: bad\nerror: no route\n")


def test_a_listing_is_aligned_columns() -> None:
    listing = Listing("Threads", ("ID", "Title", "Turns"), (("abc", "中文 title", "3"), ("a", "b\nc", "12")))
    out, _ = show(listing)
    assert out.splitlines() == [
        "ID   Title       Turns",
        "abc  中文 title  3",
        "a    b c         12",
    ]


def test_past_messages_are_blocks() -> None:
    messages = (MessageShown("user", "why?"), MessageShown("assistant", "beca", interrupted=True))
    out, err = show(ThreadChanged("t1", messages))
    assert out == "User: why?\n\nAI: beca\n[interrupted]\n\n"
    assert err == "thread t1\n"


def test_the_rest_is_silent() -> None:
    assert show(ReasoningDelta("hm"), ScreenCleared()) == ("", "")


@pytest.mark.parametrize("text", ["half a li", "x" * 20, "x" * 21, "whole\n", ""])
def test_a_notice_has_a_line_of_its_own_on_a_terminal_that_shows_the_answer_too(text: str) -> None:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 20, 0, 0))
    screen = pyte.Screen(20, 10)
    with os.fdopen(follower, "w") as terminal:
        renderer = PlainRenderer(terminal, terminal)
        for event in (TextDelta(text), Notice("first"), Notice("second"), TextDelta("the rest")):
            renderer.render(event)
        shown_bytes = b""
        while b"the rest" not in shown_bytes:  # a terminal gives what it has by now
            shown_bytes += os.read(leader, 4096)
    pyte.ByteStream(screen).feed(shown_bytes)
    os.close(leader)
    shown = [line.rstrip() for line in screen.display if line.strip()]
    before = [text[start : start + 20].rstrip() for start in range(0, len(text), 20)]
    assert shown == [*before, "first", "second", "the rest"]


def test_close_ends_an_open_line() -> None:
    assert show(TextDelta("cut off")) == ("cut off\n", "")
