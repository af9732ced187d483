import asyncio
import io
import selectors
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from chatcli.errors import AuthError
from chatcli.events import (
    WAITING,
    Event,
    Listing,
    Notice,
    Progress,
    ReasoningDelta,
    TextDelta,
    TurnFailed,
    TurnInterrupted,
    TurnStarted,
    Usage,
)
from chatcli.message import MessageShown
from chatcli.rendering.display import (
    AbilityReported,
    DraftChanged,
    ProgramStarting,
    ScreenCleared,
    ScreenResumed,
    ThemeChosen,
    ThreadChanged,
)
from chatcli.rendering.terminal import answer
from chatcli.rendering.terminal.painter import Tail
from chatcli.rendering.terminal.renderer import TerminalRenderer
from chatcli.rendering.theme import plain_text
from chatcli.text import FRAMES
from tests.bench.render import tokens
from tests.rendering.corpus import DOCUMENT, FRAGMENTS
from tests.rendering.screen import Clock, Terminal, cut, finished, render_markdown
from tests.waiting import WAIT_SECONDS

SIMPLE = [text for text in FRAGMENTS if "Emoji" not in text]  # pyte measures emoji sequences by the code point


def renderer(terminal: Terminal, *, markdown: bool = True, quiet: bool = False) -> TerminalRenderer:
    screen = terminal.console
    return TerminalRenderer(screen, screen, markdown=markdown, quiet=quiet, clock=Clock())


def shown(*events: Event, terminal: Terminal | None = None, markdown: bool = True, quiet: bool = False) -> Terminal:
    """Return the terminal, by default a new one, after it has shown `events`."""
    terminal = terminal or Terminal()
    screen = renderer(terminal, markdown=markdown, quiet=quiet)
    for event in events:
        screen.render(event)
    return terminal


def streamed(text: str, sizes: list[int], terminal: Terminal) -> Terminal:
    """Return `terminal` after it has shown an answer that came in pieces of `sizes`."""
    return shown(*map(TextDelta, cut(text, sizes)), finished(text), terminal=terminal)


def rendered(text: str, width: int) -> list[str]:
    lines = [plain_text(line).rstrip() for line in render_markdown(text, width)]
    while lines and not lines[-1]:
        lines.pop()
    return lines


@pytest.fixture
def _paint_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "INTERVAL", 0)
    monkeypatch.setattr(answer, "ANSWER_INTERVAL", 0)
    monkeypatch.setattr(answer, "COST_FACTOR", 0)


@pytest.mark.usefixtures("_paint_always")
@pytest.mark.parametrize(("width", "height"), [(40, 12), (80, 24), (200, 50), (80, 3)])
@pytest.mark.parametrize("size", [1, 7])
def test_the_scrollback_is_the_whole_answer(width: int, height: int, size: int) -> None:
    # A table is not higher than the screen here, or it would be laid out otherwise.
    text = "\n".join(part for part in SIMPLE if height > 10 or "|" not in part)
    assert streamed(text, [size], Terminal(width, height)).lines() == rendered(text, width)


@pytest.mark.usefixtures("_paint_always")
@given(st.lists(st.sampled_from(SIMPLE), max_size=6).map("\n".join), st.lists(st.integers(1, 9), min_size=1))
def test_any_answer_in_any_pieces_is_the_whole_answer(text: str, sizes: list[int]) -> None:
    terminal = streamed(text, sizes, Terminal(60, 30))
    assert terminal.lines() == rendered(text, 60)
    assert terminal.cursor()[0] == 0


@pytest.mark.usefixtures("_paint_always")
@example(
    "Prices: $5 and $10; math $a_1 * b_2 * c$, \\(x_i\\) and more of it to the edge \\[\na \\\\\n\\]\n",
    [1],
    ["long " * 40],
    6,
)
@given(
    st.lists(st.sampled_from(SIMPLE), max_size=6).map("\n".join),
    st.lists(st.integers(1, 9), min_size=1),
    st.lists(st.sampled_from(["", "typed", "two\nlines", "long " * 40]), min_size=1, max_size=5),
    st.sampled_from([6, 12, 30]),
)
def test_what_is_typed_meanwhile_leaves_no_trace(text: str, sizes: list[int], drafts: list[str], height: int) -> None:
    terminal = Terminal(60, height)
    screen = renderer(terminal)
    reference = Terminal(60, height)
    alone = renderer(reference)
    for number, piece in enumerate(cut(text, sizes)):
        draft = drafts[number % len(drafts)]
        screen.render(DraftChanged((draft,) if draft else ()))
        screen.render(TextDelta(piece))
        alone.render(TextDelta(piece))
        if draft == "typed":
            assert terminal.lines()[-1] == "> typed"
    screen.render(finished(text))
    screen.render(DraftChanged())
    alone.render(finished(text))
    if height == 30 or "|" not in text:  # a table higher than what is left of the screen is laid out otherwise
        assert terminal.lines() == reference.lines()
    assert terminal.cursor()[0] == 0


def test_a_draft_is_folded_again_on_a_narrower_screen() -> None:
    terminal = Terminal(30, 10)
    screen = renderer(terminal)
    screen.render(TextDelta("An answer."))
    screen.render(DraftChanged(("typed meanwhile",)))
    terminal.resize(14, 10)
    screen.render(ScreenResumed())
    assert terminal.lines()[-3:] == ["An answer.", "> typed meanw", "hile"]


@pytest.mark.parametrize("opening", ["```python\n", "- item\n  ```\n", "> "])
def test_five_thousand_lines_in_one_block(opening: str) -> None:
    text = opening + "".join(f"{'  ' if '-' in opening else ''}line {number}\n" for number in range(5000))
    assert streamed(text, [500], Terminal(80, 24)).lines() == rendered(text, 80)


@pytest.mark.usefixtures("_paint_always")
def test_a_paragraph_higher_than_the_screen_is_shown_once() -> None:
    text = " ".join(f"word{number}" for number in range(300))
    assert streamed(text, [11], Terminal(40, 10)).lines() == rendered(text, 40)


@pytest.mark.usefixtures("_paint_always")
@pytest.mark.parametrize(("width", "height"), [(60, 20), (30, 20), (40, 6), (100, 40)])
def test_a_resize_loses_nothing_and_touches_nothing_finished(width: int, height: int) -> None:
    terminal = Terminal(40, 20)
    screen = renderer(terminal)
    screen.render(TextDelta("# Title\n\nDone.\n\nThe open paragraph, with some more words than fit on a line"))
    terminal.resize(width, height)
    screen.render(TextDelta(", goes on.\n\nEnd\n"))
    screen.render(finished())
    shown = terminal.lines()
    assert shown[:3] == ["# Title", "", "Done."]
    assert shown[-1] == "End"
    text = " ".join(shown)
    assert "The open paragraph, with some more words than fit on a line, goes on." in text.replace("  ", " ")
    assert text.count("The open") == 1


def test_a_terminal_that_says_that_it_wraps_again_keeps_no_line_twice_when_it_gets_narrower() -> None:
    terminal = Terminal(40, 20)
    screen = renderer(terminal)
    screen.render(AbilityReported("wrapping"))
    screen.render(ThemeChosen("dark"))  # the painter is another one then, and still knows it
    screen.render(TextDelta("The open paragraph has some words"))
    before = terminal.bytes.tell()
    terminal.resize(30, 20)
    screen.render(ScreenResumed())
    # The terminal made two rows of it.
    assert "\x1b[1A" in terminal.bytes.getvalue()[before:]


class SkippingSelector(selectors.SelectSelector):
    """Moves a clock instead of waiting."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        self._clock.now += timeout or 0
        return super().select(0)


def test_fast_pieces_are_painted_no_more_than_thirty_times_a_second() -> None:
    clock = Clock()
    loop = asyncio.SelectorEventLoop(SkippingSelector(clock))
    loop.time = clock  # type: ignore[method-assign]
    painted: list[float] = []
    repaint = answer.Repaint(lambda: painted.append(clock.now), clock)

    async def pieces() -> float:
        for _ in range(500):
            await asyncio.sleep(0.002)
            repaint.request()
        last = clock.now
        await asyncio.sleep(1)
        return last

    with closing(loop):
        last = loop.run_until_complete(pieces())
    assert painted[0] == pytest.approx(1000.002)  # at once
    assert 25 <= len(painted) <= 31
    assert all(later - earlier > 1 / 30 for earlier, later in pairwise(painted))
    assert painted[-1] >= last  # the last piece does not wait for another one


def test_a_single_slow_repaint_delays_none() -> None:
    clock = Clock()
    painted: list[float] = []
    costs = iter([0.0, 1.0, 0.0, 1.0, 1.0, 0.0])

    def paint() -> None:
        painted.append(clock.now)
        clock.now += next(costs)

    repaint = answer.Repaint(paint, clock)
    for _ in range(5):  # the second and the fourth are slow, and the fifth, after which there is a pause
        repaint.request()
        clock.now += 0.1
    repaint.request()
    assert len(painted) == 5


@pytest.mark.parametrize(
    ("begun", "pieces", "shown"),
    [
        ("An open", [" line", " grows", ", ", "now"], "An open line grows, now"),
        ("- **an** item", [" goes", " on"], "• an item goes on"),
        ("- a\n  - emoji \U0001f600 then", [" more", " text"], "  ◦ emoji \U0001f600 then more text"),
        ("```python\nx", [" = ", "f(", "*a)", "  # b"], "x = f(*a)  # b"),
        ("|a|b|\n|-|-|\n|c", [" d", " |", " e"], "|c d | e"),
    ],
)
def test_a_piece_without_markup_is_shown_at_once(begun: str, pieces: list[str], shown: str) -> None:
    """The clock stands still, so nothing is painted after the first piece."""
    terminal = Terminal()
    markdown = answer.MarkdownAnswer(Tail(terminal.console), Clock())
    markdown.feed(begun)
    before = len(terminal.bytes.getvalue())
    for piece in pieces:
        markdown.feed(piece)
    assert terminal.lines()[-1] == shown
    assert len(terminal.bytes.getvalue()) - before <= len("".join(pieces)) + 14 * len(pieces)  # styles, wrapping


@pytest.mark.parametrize(
    "piece", ["*", "`", "\n", "\t", "$", "[", "]", "<", "|", "\\", "\u0301", "&", "_", "~", "word " * 20]
)
def test_a_piece_that_may_change_more_waits_for_the_repaint(piece: str) -> None:
    terminal = Terminal(40, 10)
    markdown = answer.MarkdownAnswer(Tail(terminal.console), Clock())
    markdown.feed("text")
    markdown.feed(piece)
    markdown.feed("more")
    assert terminal.lines() == ["text"]
    markdown.finish()
    assert terminal.lines() == rendered(f"text{piece}more", 40)


def test_an_answer_at_reading_speed_writes_few_bytes() -> None:
    clock = Clock()
    loop = asyncio.SelectorEventLoop(SkippingSelector(clock))
    loop.time = clock  # type: ignore[method-assign]
    terminal = Terminal(120, 40)
    markdown = answer.MarkdownAnswer(Tail(terminal.console), clock)
    pieces = tokens(1500)

    async def arrive() -> None:
        for piece in pieces:
            await asyncio.sleep(0.01)
            markdown.feed(piece)
        markdown.finish()

    with closing(loop):
        loop.run_until_complete(arrive())
    assert len(terminal.bytes.getvalue().encode()) <= 3 * len("".join(pieces).encode())
    assert terminal.lines() == rendered("".join(pieces), 120)


async def test_a_piece_is_painted_although_no_other_follows() -> None:
    terminal, painted = Terminal(), asyncio.Event()
    write = terminal.bytes.write

    def noticed(text: str) -> int:
        painted.set()
        return write(text)

    screen = renderer(terminal)
    screen.render(TextDelta("Hel"))
    terminal.bytes.write = noticed  # type: ignore[method-assign]
    screen.render(TextDelta("lo"))
    await asyncio.wait_for(painted.wait(), WAIT_SECONDS)
    assert terminal.lines() == ["Hello"]


def test_a_lone_token_is_painted_at_once_and_the_last_at_the_end() -> None:
    terminal = Terminal()
    screen = renderer(terminal)
    screen.render(TextDelta("Hel"))
    assert terminal.lines() == ["Hel"]
    screen.render(TextDelta("lo"))
    screen.render(finished("Hello"))
    assert terminal.lines() == ["Hello"]


def test_plain_writes_the_text_as_it_comes() -> None:
    pieces = (TextDelta("**not** rend"), TextDelta("ered\x1b[2J"))
    terminal = shown(ReasoningDelta("hm"), *pieces, Notice("by the way"), TextDelta("on"), finished(), markdown=False)
    assert terminal.bytes.getvalue() == "**not** rendered\n\x1b[2mby the way\x1b[0m\non\n"


def test_plain_progress_is_shown_in_lines() -> None:
    steps = [Progress("fetching", done, 400_000_000, "bytes") for done in (0, 100_000_000, 101_000_000)]
    terminal = shown(*steps, Progress("fetching", finished=True), markdown=False)
    lines = ["fetching (400.0 MB)...", "fetching: 20 %", "fetching: done"]
    assert terminal.bytes.getvalue() == "".join(f"\x1b[2m{line}\x1b[0m\n" for line in lines)


QUIET = (ReasoningDelta("hm"), Notice("n"), Progress("p"), TextDelta("a"), finished("a", Usage(1, 1, 2)))
TALK = (MessageShown("user", "why\n*so*?"), MessageShown("assistant", "- because", interrupted=True))


@pytest.mark.parametrize(
    ("events", "options", "lines"),
    [
        pytest.param(
            [finished("# All *at* once", Usage(10, 20, 30))],
            {},
            ["# All at once", "10 tokens in, 20 out, 0.8 s"],
            id="an answer that did not stream is rendered",
        ),
        pytest.param(QUIET, {"quiet": True}, ["a"], id="quiet is the answer only"),
        pytest.param(
            [
                TurnStarted("t1", "m"),
                TextDelta("- half\n- an it"),
                TurnInterrupted("t1", "c1", "m", "- half\n- an it", 5),
            ],
            {},
            ["• half", "• an it", "[interrupted]"],
            id="an interrupted answer keeps what arrived",
        ),
        pytest.param(
            [
                TextDelta("# Done\n\nLast.\n\nopen en"),
                Notice("retrying", "warning"),
                TextDelta("d\n"),
                finished(),
            ],
            {},
            ["# Done", "retrying", "", "Last.", "", "open end"],
            id="a notice stands above the open end",
        ),
        pytest.param(
            [ThreadChanged("t1", TALK)],
            {},
            ["> why", "  *so*?", "", "• because", "[interrupted]", "", "thread t1"],
            id="a thread is shown as it looked",
        ),
        pytest.param(
            [finished("old"), ScreenCleared(), finished("new")], {}, ["new"], id="the screen is emptied on request"
        ),
        pytest.param(
            [ProgramStarting(2.0)],
            {"markdown": False},
            [],
            id="where lines stay, the start of the program is not shown",
        ),
        pytest.param(
            [Listing("Keys", ("provider", "place"), ())], {}, ["Keys", "none"], id="an empty list says that it is empty"
        ),
    ],
)
def test_events_are_lines_on_the_screen(events: Sequence[Event], options: dict[str, Any], lines: list[str]) -> None:
    assert shown(*events, **options).lines() == lines


def test_the_usage_of_a_question_follows_its_last_turn() -> None:
    terminal = Terminal()
    screen = renderer(terminal)
    waits = replace(finished("", Usage(10, 20, 30)), finish_reason=WAITING, cost_usd=0.25)
    screen.render(waits)
    assert terminal.lines() == []
    screen.render(replace(finished("Done.", Usage(1, 2, 3)), cost_usd=0.5))
    assert terminal.lines() == ["Done.", "11 tokens in, 22 out, 1.6 s, $0.7500"]
    screen.render(waits)
    screen.render(replace(finished("Elsewhere.", Usage(1, 2, 3)), thread_id="t2"))
    screen.render(waits)
    screen.render(TurnInterrupted("t1", "c1", "fake:model", "", 5))
    screen.render(finished("Again.", Usage(4, 5, 9)))
    usage = [line for line in terminal.lines() if "tokens in" in line]
    assert usage[1:] == ["1 tokens in, 2 out, 0.8 s", "4 tokens in, 5 out, 0.8 s"]


def test_a_failure_shows_what_happened_and_what_to_do() -> None:
    error = AuthError("the key [bold]was[/] refused", remedy="chat keys set openai")
    terminal = shown(TurnFailed("t1", "m", "", error))
    assert terminal.lines() == ["error: the key [bold]was[/] refused", "chat keys set openai"]
    assert "\x1b[31merror" in terminal.bytes.getvalue()


def test_reasoning_shows_its_last_lines_and_folds_into_one() -> None:
    terminal = Terminal(20, 10)
    screen = renderer(terminal)
    screen.render(ReasoningDelta("first\nsecond\nthird\nfourth\nfifth \x1b[2Jline"))
    assert terminal.lines() == ["third", "fourth", "fifth line"]
    screen.render(TextDelta("Answer"))
    screen.render(finished("Answer"))
    assert terminal.lines() == ["thought for 0.0 s", "Answer"]


def test_progress_is_one_line_that_goes_away() -> None:
    terminal = Terminal(80, 10)
    clock = Clock()
    screen = TerminalRenderer(terminal.console, terminal.console, clock=clock)
    screen.render(Progress("fetching the model", 0, 400_000_000, "bytes"))
    clock.now += 10
    screen.render(Progress("fetching the model", 100_000_000, 400_000_000, "bytes"))
    (line,) = terminal.lines()
    assert line.startswith("fetching the model")
    assert line.endswith("25 %  100.0 MB of 400.0 MB  0:30 left")
    screen.render(Progress("fetching the model", finished=True))
    assert terminal.lines() == []
    screen.render(Progress("loading the local model"))
    assert terminal.lines() == ["loading the local model..."]
    screen.render(TextDelta("a"))
    assert terminal.lines() == ["a"]


def test_progress_on_another_stream_is_lines() -> None:
    log = io.StringIO()
    screen = TerminalRenderer(Terminal().console, Console(file=log))
    screen.render(Progress("loading"))
    screen.render(Progress("loading", finished=True))
    assert log.getvalue() == "loading...\nloading: done\n"


def test_a_listing_is_a_table_without_markup() -> None:
    listing = Listing("Threads", ("ID", "Title"), (("a1", "[bold]x[/] \x1b[31my"), ("b", "z")))
    text = "\n".join(shown(listing).lines())
    assert "Threads" in text
    assert "[bold]x[/] y" in text


def test_close_leaves_what_arrived_and_a_sane_terminal() -> None:
    terminal = Terminal()
    screen = renderer(terminal)
    screen.render(TextDelta("**cut"))
    screen.close()
    assert terminal.lines() == ["**cut"]
    assert terminal.cursor() == (0, 1)
    assert terminal.bytes.getvalue().endswith("\x1b[?2026l\x1b[?7h\x1b[?25h\x1b[0m")


@pytest.mark.usefixtures("_paint_always")
def test_nothing_that_a_terminal_obeys_passes_from_the_model() -> None:
    attack = "\x1b]52;c;x\x07\x1b]8;;http://evil\x1b\\a\x1b[2J\x9b2J `\x1b[6n` \u202e [l](http://x/\x1b]0;t\x07)\n"
    pieces = cut(attack + DOCUMENT, [1])
    written = shown(*map(TextDelta, pieces), finished()).bytes.getvalue()
    for sequence in ("\x1b]", "\x1bP", "\x1b[2J", "\x1b[6n", "\x9b", "\u202e"):
        assert sequence not in written


JSON = '{"a_b_c": "x *y* z", "list": ["_u_"]}'


@pytest.mark.parametrize("markdown", [True, False])
@pytest.mark.parametrize(
    "event",
    [TextDelta(JSON), finished(JSON), ThreadChanged("t", (MessageShown("assistant", JSON),))],
)
def test_an_answer_in_json_is_shown_as_it_is(event: Any, markdown: bool) -> None:
    terminal = Terminal(80, 24)
    shown = renderer(terminal, markdown=markdown, quiet=True)
    shown.render(event)
    shown.close()
    assert JSON in terminal.lines()


@pytest.mark.parametrize("first", ["[1]", '{"a": 1', "{}", '"a"'])
def test_only_whole_json_is_shown_as_code(first: str) -> None:
    terminal = Terminal(80, 24)
    shown = renderer(terminal, quiet=True)
    for piece in (first, " and *more*"):
        shown.render(TextDelta(piece))
    shown.close()
    assert "*" not in "\n".join(terminal.lines())


async def test_the_start_of_the_program_is_shown_until_the_turn_begins() -> None:
    starting, waiting = (f"{FRAMES[0]} {what} s (Ctrl-C stops)" for what in ("starting 2", "waiting for fake:m 0"))
    terminal = Terminal()
    screen = renderer(terminal)
    shown = []
    for event in (ProgramStarting(2.0), Notice("a notice"), TurnStarted("t", "fake:m"), ProgramStarting(None)):
        screen.render(event)
        shown.append(terminal.lines())
    assert shown == [[starting], ["a notice", starting], ["a notice", waiting], ["a notice"]]
