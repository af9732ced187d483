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
from chatcli.rendering.display import MatchShown, ScreenCleared, ThreadChanged
from chatcli.rendering.plain import PlainRenderer, ScriptRenderer, error_lines, match_block, short_name
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
    assert show(finished("all \x1b[31mat once")) == ("all at once\n", "")


def test_an_empty_answer_is_nothing() -> None:
    assert show(finished("")) == ("", "")


def test_two_turns_do_not_mix() -> None:
    out, _ = show(TextDelta("a"), finished("a"), finished("b"), TextDelta("c"), finished("c"))
    assert out == "a\nb\nc\n"


def test_each_piece_is_written_at_once() -> None:
    written = io.BytesIO()
    renderer = PlainRenderer(io.TextIOWrapper(written), io.StringIO())
    renderer.render(TextDelta("a"))
    assert written.getvalue() == b"a"


def test_a_draft_of_the_chosen_nodes_goes_beside_the_answer() -> None:
    out, err = io.StringIO(), io.StringIO()
    renderer = PlainRenderer(out, err, chosen_nodes=True)
    renderer.render(TextDelta("let me", "plan", draft=True))
    renderer.render(TextDelta("\n\nFour", "plan"))
    assert out.getvalue() == "Four"
    renderer.render(finished("Four"))
    assert (out.getvalue(), err.getvalue()) == ("Four\n", "[plan] let me\n")


def test_untrusted_text_is_clean_also_across_pieces() -> None:
    out, err = show(TextDelta("a\x1b"), TextDelta("[31mb"), Notice("n\x1b[2J"), TextDelta("\x1b]c"), finished())
    assert (out, err) == ("abc\n", "n\n")  # what nothing closes is text


def test_a_failure_is_two_lines_whatever_is_in_it() -> None:
    assert error_lines(AuthError("re\x1b[31mfused\nby it", remedy="ask\nit")) == ["error: refused by it", "ask it"]


def test_what_a_search_finds_is_a_block() -> None:
    found = MatchShown("t1", "a\ntitle", "user", (("why\x1b[31m", True), ("\nnot", False)))
    assert match_block(found) == "t1  a title\nUser: why not\n\n"


def test_a_graph_is_named_without_its_folder() -> None:
    names = "graph:/home/me/agent.py:agent", "openrouter:meta/llama"
    assert tuple(map(short_name, names)) == ("graph:agent.py:agent", "openrouter:meta/llama")


def test_a_script_is_shown_by_speaker() -> None:
    out = io.StringIO()
    renderer = ScriptRenderer(out, io.StringIO())
    questions = MessageShown("user", "one\nline\x1b[31m"), MessageShown("user", "next")
    for event in (questions[0], TextDelta("a"), TextDelta("b"), finished("ab"), questions[1], finished("c")):
        renderer.render(event)
    assert out.getvalue() == "User: one line\nAI: ab\nUser: next\nAI: c\n"


def test_an_interrupted_answer_keeps_what_arrived() -> None:
    out, err = show(TextDelta("half an ans"), TurnInterrupted("t1", "c1", "m", "half an ans", 5))
    assert (out, err) == ("half an ans\n", "[interrupted]\n")


def test_a_failure_shows_what_happened_and_what_to_do() -> None:
    error = AuthError("the key was refused", remedy="chat keys set openai")
    out, err = show(TextDelta("half"), TurnFailed("t1", "m", "half", error))
    assert (out, err) == ("half\n", "error: the key was refused\nchat keys set openai\n")


def test_notices_and_progress_go_beside_the_answer() -> None:
    passing = Notice("explains a wait, and is for no log", passing=True)
    out, err = show(Notice("fetching"), passing, Notice("odd bytes", "warning"), Progress("loading"), finished("x"))
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
    notices = Notice("n"), Notice("bad", "error"), Notice("grave", "warning", urgent=True)
    shown = show(*notices, Progress("p"), TextDelta("a"), finished("a"), failure, quiet=True)
    assert shown == ("a\n", "error: bad\nwarning: grave\nerror: no route\n")


def test_a_listing_is_aligned_columns() -> None:
    listing = Listing("Threads", ("ID", "Title", "Turns"), (("abc", "中文 title", "3"), ("a", "b\nc", "12")))
    out, _ = show(listing)
    assert out.splitlines() == [
        "ID   Title       Turns",
        "abc  中文 title  3",
        "a    b c         12",
    ]
    assert show(Listing("Threads", ("ID",), ())) == ("ID\n", "Threads: none\n")


def test_past_messages_are_blocks() -> None:
    messages = (
        MessageShown("user", "why\x1b[31m?\n0123456789abcdef <file>"),
        MessageShown("assistant", "beca", interrupted=True),
    )
    out, err = show(ThreadChanged("t1", messages))
    assert out == "User: why?\n<file>\n\nAI: beca\n[interrupted]\n\n"
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
