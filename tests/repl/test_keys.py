"""Keys that go through prompt-toolkit's own input, from a pipe."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from prompt_toolkit.application import Application, create_app_session
from prompt_toolkit.completion import CompleteEvent, DummyCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.output import DummyOutput
from rich.color import Color
from rich.style import Style

from chatcli.commands.all import all_commands
from chatcli.commands.lines import parse_shell
from chatcli.rendering.theme import find_theme
from chatcli.repl import prompt as prompt_module
from chatcli.repl.completion import LineCompleter
from chatcli.repl.loop import _is_answered
from chatcli.repl.pastes import Pastes, plain, typed_mentions
from chatcli.repl.prompt import DIM_COLORS, GLYPH_COLORS, Prompt
from chatcli.repl.typeahead import Typeahead
from tests.rendering.test_theme import contrast
from tests.waiting import WAIT_SECONDS

Read = Callable[..., list[str]]
THREADS = [("abc123", "Bob's questions"), ("abd", "Another")]


Until = Callable[[Application[str]], bool]


def shows(text: str) -> Until:
    """Return the condition that the line is `text`."""
    return lambda app: app.current_buffer.text == text


def suggests(app: Application[str]) -> bool:
    return app.current_buffer.suggestion is not None


def remembers(line: str) -> Until:
    """Return the condition that the history of the line in progress has `line`, and `line` alone."""
    return lambda app: list(app.current_buffer._working_lines)[:-1] == [line]


def navigates(app: Application[str]) -> bool:
    return app.vi_state.input_mode is InputMode.NAVIGATION


async def type_in_steps(pipe: PipeInput, app: Application[str], steps: tuple[str | Until, ...]) -> None:
    """Type the texts; before the text after a condition, wait until it holds."""
    for step in steps:
        if isinstance(step, str):
            pipe.send_text(step)
        else:
            while not step(app):  # noqa: ASYNC110 - prompt-toolkit has no event for all of the conditions
                await asyncio.sleep(0.01)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Read:
    """Give what types keys and returns the lines that the prompt made of them."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "xterm-256color")  # without one, lines that come at once are a paste

    def type_and_read(*steps: str | Until, vi: bool = False, lines: int = 1, marked: bool = False) -> list[str]:
        async def scenario(pipe: PipeInput) -> list[str]:
            completer = LineCompleter(all_commands(), {"thread": lambda: THREADS})
            prompt = Prompt(completer, keep_history=True, vi=vi)
            app = prompt._session.app
            if vi:  # no step ends within the keys of one command, so nothing is to be waited for after Escape
                app.ttimeoutlen = app.timeoutlen = 0
            typing = asyncio.create_task(type_in_steps(pipe, app, steps))
            read = [await asyncio.wait_for(prompt.read(), WAIT_SECONDS) for _ in range(lines)]
            await typing
            return read if marked else list(map(plain, read))

        with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
            monkeypatch.setattr(prompt_module, "create_input", lambda **_: pipe)
            monkeypatch.setattr(prompt_module, "create_output", lambda **_: DummyOutput())
            return asyncio.run(scenario(pipe))

    return type_and_read


@pytest.mark.parametrize("key", ["\x1b\r", "\n", "\x1b[13;2u", "\x1b[27;2;13~"])
def test_every_way_to_make_a_new_line(read: Read, key: str) -> None:
    assert read(f"one{key}two\r") == ["one\ntwo"]


def test_a_long_paste_is_folded_and_sent_whole(read: Read) -> None:
    text = "\r".join(f"line {number}" for number in range(300))
    (line,) = read(f"\x1b[200~{text}\x1b[201~ what is it?\r")
    assert line == text.replace("\r", "\n") + " what is it?"


def test_a_folded_paste_is_deleted_as_a_whole(read: Read) -> None:
    assert read("\x1b[200~" + "x\r" * 300 + "\x1b[201~\x7fno\r") == ["no"]


def test_two_pastes_of_one_length_stay_two(read: Read) -> None:
    first, second = "a\n" * 30, "b\n" * 30
    assert read(f"\x1b[200~{first}\x1b[201~\x1b[200~{second}\x1b[201~\r") == [first + second]


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("/thre\t", "/thread"),
        ("/thread abc\t", "/thread abc123"),
        ("/hel\t", "/help"),
    ],
)
def test_tab_completes_commands_and_threads(read: Read, typed: str, line: str) -> None:
    assert read(typed, shows(line), "\r") == [line]


@pytest.mark.parametrize("typed", ["no /hel", 'see @"a b" my', "/thread zzz", "//hel"])
def test_nothing_completes_other_text(typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my folder").mkdir()
    monkeypatch.chdir(tmp_path)
    completer = LineCompleter(all_commands(), {"thread": lambda: THREADS})
    assert list(completer.get_completions(Document(typed), CompleteEvent(completion_requested=True))) == []


def test_tab_completes_a_path(read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "report.txt").touch()
    monkeypatch.chdir(tmp_path)
    line = "see @folder/report.txt"
    assert read("see @folder/rep\t", shows(line), "\r") == [line]


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        (["see @my\t"], 'see @"my folder/'),
        (['see @"my folder/th\t'], 'see @"my folder/the report.txt"'),
        (['@"my folder/no\t'], '@"my folder/notes.txt"'),
        (
            ["@my\t", shows('@"my folder/'), "no\t", shows('@"my folder/notes.txt"'), " too"],
            '@"my folder/notes.txt" too',
        ),
    ],
)
def test_tab_quotes_a_path_with_spaces(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[str | Until], line: str
) -> None:
    (tmp_path / "my folder").mkdir()
    for name in ("the report.txt", "notes.txt"):
        (tmp_path / "my folder" / name).touch()
    monkeypatch.chdir(tmp_path)
    assert read(*steps, shows(line), "\r") == [line]


def test_vi_keys_edit_the_line(read: Read) -> None:
    assert read("one two\x1b", navigates, "bcwthree\r", vi=True) == ["one three"]


def test_secrets_are_not_kept(read: Read, tmp_path: Path) -> None:
    secrets = ["/keys set openai sk-0123456789abcdefghij", "my key is sk-0123456789abcdefghij", "api_key=hunter2"]
    read("".join(f"{line}\r" for line in ["a question", *secrets]), lines=4)
    path = tmp_path / "chatcli" / "history"
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert "a question" in text
    assert "sk-" not in text
    assert "hunter2" not in text


def test_a_suggestion_is_taken(read: Read) -> None:
    assert read("why is the sky blue?\r") == ["why is the sky blue?"]
    assert read("why", suggests, "\x1b[C\r") == ["why is the sky blue?"]


FAMILY, FLAG, ACCENT = "👨‍👩‍👧", "🇩🇪", "e\N{COMBINING ACUTE ACCENT}"
LEFT, RIGHT, DELETE = "\x1b[D", "\x1b[C", "\x1b[3~"


@pytest.mark.parametrize("cluster", [FAMILY, FLAG, ACCENT, "👍🏽", "각", "नि", "x"])
@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (LEFT + "|", "a{0}|{0}"),
        (LEFT * 2 + "|", "a|{0}{0}"),
        (LEFT * 3 + "|", "|a{0}{0}"),
        (LEFT * 4 + RIGHT * 2 + "|", "a{0}|{0}"),
        ("\x02\x02\x06|", "a{0}|{0}"),
        ("\x7f", "a{0}"),
        ("\x7f\x7f\x7f", ""),
        (LEFT + "\x7f|", "a|{0}"),
        (LEFT * 2 + DELETE + "|", "a|{0}"),
        (LEFT * 2 + "\x04\x04|", "a|"),
        ("\x1b2" + LEFT + "|", "a|{0}{0}"),
    ],
)
def test_the_line_is_edited_by_grapheme(read: Read, keys: str, line: str, cluster: str) -> None:
    typed = f"a{cluster}{cluster}"
    end = "." if line == "" else ""
    assert read(typed, keys + end + "\r") == [line.format(cluster) + end]
    draft = Typeahead()
    Vt100Parser(draft.press).feed_and_flush(typed + keys)
    if not re.search("\x1b2|\x04", keys):  # a draft leaves these to the prompt
        assert draft.texts == ((line.format(cluster),) if line else ())


@pytest.mark.parametrize(
    ("keys", "line"),
    [("hx", "a{0}b"), ("hhi|", "a|{0}{0}b"), ("0lli|", "a{0}|{0}b"), ("X", "a{0}b"), ("0lxi|", "a|{0}b")],
)
def test_the_line_is_edited_by_grapheme_with_vi_keys(read: Read, keys: str, line: str) -> None:
    typed = f"a{FAMILY}{FAMILY}b"
    assert read(typed, "\x1b", navigates, keys + "\r", vi=True) == [line.format(FAMILY)]


PASTED = "\n".join(f"line {number}" for number in range(30))
FOLDED = "see [pasted 30 lines]!"


@pytest.mark.parametrize("recall", ["\x1b[A", "\x12see"])
def test_a_folded_paste_is_recalled_folded(read: Read, recall: str) -> None:
    whole = f"see {PASTED}!"
    paste = f"see \x1b[200~{PASTED}\x1b[201~!\r"
    assert read(paste, remembers(FOLDED), recall, "\r\r", lines=2) == [whole, whole]
    assert read(remembers(FOLDED), recall, "\r\r") == [whole]  # in another run


def test_a_secret_in_a_paste_is_not_kept(read: Read, tmp_path: Path) -> None:
    read(f"\x1b[200~{PASTED}\napi_key=hunter2\x1b[201~\rnext\r", lines=2)
    assert "hunter2" not in (tmp_path / "chatcli" / "history").read_text()


ORDERS = "!touch x @notes.txt\nsecond"


@pytest.mark.parametrize(
    "keys",
    [
        "\r",
        "\x1b[200~ or \x1b[201~\r",  # two pastes
        "\x1b[D\x7f\x1b[1~\r",  # edited
        "\x1f\x1b[200~" + ORDERS + "\x1b[201~\r",  # undone, and pasted again
        "\x15\x7f\x15\x19\r",  # killed and yanked
        "\x01\x1b<\x00\x1b>\x17\x19\r",  # selected, cut and yanked
    ],
)
def test_a_paste_of_several_lines_gives_no_order_whatever_becomes_of_it(read: Read, keys: str) -> None:
    (line,) = read(f"\x1b[200~{ORDERS}\x1b[201~", keys, marked=True)
    assert plain(line).startswith("!touch x @notes.txt")
    assert parse_shell(line) is None
    assert "@" not in typed_mentions(line)


@pytest.mark.parametrize("recall", ["\x1b[A", "\x12second"])
def test_a_paste_that_is_recalled_gives_no_order(read: Read, recall: str) -> None:
    paste, kept = f"\x1b[200~{ORDERS}\x1b[201~\r", Pastes().fold(ORDERS)
    assert read(paste, remembers(kept), recall, "\r\r", lines=2, marked=True) == [kept, kept]
    assert read(remembers(kept), recall, "\r\r", marked=True) == [kept]  # in another run
    assert (plain(kept), parse_shell(kept)) == (ORDERS, None)


def test_a_visible_paste_of_one_line_counts_as_typed_but_for_files(read: Read) -> None:
    (line,) = read("\x1b[200~!ls @notes.txt\x1b[201~\r", marked=True)
    assert plain(parse_shell(line) or "") == "ls @notes.txt"
    assert "@" not in typed_mentions(line)


@pytest.mark.parametrize("hidden", ["\u200b", "\x1b[8m", "\u202e", "x" * 3000, "\u4e00" * 800])
def test_a_paste_that_can_not_be_seen_as_a_whole_gives_no_order(read: Read, hidden: str) -> None:
    (line,) = read(f"\x1b[200~!ls {hidden}\x1b[201~\r", marked=True)
    assert parse_shell(line) is None


def test_a_paste_does_not_bring_the_text_of_another_along(read: Read) -> None:
    text = "x\n" * 30
    pasted = "\x1b[200~see [pasted 30 lines]\x1b[201~\r"
    assert read(f"\x1b[200~{text}\x1b[201~\r", remembers("[pasted 30 lines]"), pasted, lines=2)[1] == pasted[6:-7]


@pytest.mark.parametrize("paste", ["see @one\n!two", "one\n" * 40])
@pytest.mark.parametrize("changed", ["!ls @a\nb", "one\n!ls", ""])
def test_what_the_editor_makes_of_a_paste_is_no_order(paste: str, changed: str) -> None:
    pastes = Pastes()
    line = pastes.edited(pastes.fold(paste), changed)
    assert (plain(line), parse_shell(line), "@" in line) == (changed, None, False)


def test_what_the_editor_makes_of_typed_text_is_typed() -> None:
    pastes = Pastes()
    assert pastes.edited("see @a", "!ls @a") == "!ls @a"
    begun = pastes.edited("!" + pastes.fold("one\n" * 40), "!one\ntwo")
    assert parse_shell(begun) == "one\ntwo"


END_FIRST = "\x1b[200~safe\x1b[201~\r!touch x\r"


@pytest.mark.parametrize(
    ("sent", "lines"),
    [
        (f"{END_FIRST}\x1b[201~\r", ["safe \n!touch x\n"]),
        (f"{END_FIRST}\x1b[200~\x1b[201~\r", ["safe \n!touch x\n "]),
        (f"{END_FIRST}\x1b[200~more\x1b[201~\r", ["safe \n!touch x\n more"]),
        ("\x1b[200~a\x1b[20\x1b[201~\x1b[200~1~\r!touch x\r\x1b[201~\r", ["a \n!touch x\n"]),
    ],
)
def test_a_paste_that_holds_its_end_is_one(read: Read, sent: str, lines: list[str]) -> None:
    found = read(sent, marked=True)
    assert list(map(plain, found)) == lines
    assert list(map(parse_shell, found)) == [None]


@pytest.mark.parametrize("term", ["dumb", "linux"])
def test_lines_that_arrive_at_once_are_one_where_pastes_have_no_marks(
    read: Read, term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    (line,) = read("!touch x\rsecond\r", lambda app: bool(app.current_buffer.text), "\r", marked=True)
    assert (plain(line), parse_shell(line)) == ("!touch x\nsecond\n", None)


def test_a_paste_may_hold_the_sign_of_another() -> None:
    pastes = Pastes()
    first = pastes.fold(PASTED)
    second = pastes.fold(f"{first}\n" * 40)
    assert plain(pastes.unfold(second)) == f"{first}\n" * 40
    assert pastes.fold_again(pastes.unfold(f"{second} {first}")) == f"{second} {first}"


@pytest.mark.parametrize("name", ["dark", "light", "mono", "auto", "terminal"])
def test_the_glyph_has_the_colour_of_a_past_question(name: str) -> None:
    color = find_theme(name).resolve(Style(bold=True, color="cyan")).color
    number = None if color is None else color.number
    expected = None if number is None else number if number < 16 else color.get_truecolor().hex if color else None
    assert {"": None, "ansicyan": 6}.get(GLYPH_COLORS.get(name, "ansicyan"), GLYPH_COLORS.get(name)) == expected


@pytest.mark.parametrize("name", ["dark", "light", "mono", "auto"])
def test_what_is_dim_around_the_line_is_as_dim_as_in_answers(name: str) -> None:
    color = find_theme(name).resolve(Style(dim=True)).color
    assert DIM_COLORS.get(name) == (None if color is None else color.get_truecolor().hex)


def test_what_is_chosen_in_the_menu_can_be_read() -> None:
    with create_pipe_input() as source, create_app_session(input=source, output=DummyOutput()):
        prompt = Prompt(DummyCompleter(), keep_history=False)
        found = prompt._style.get_attrs_for_style_str("class:completion-menu.completion.current")
    colors = [Color.parse(f"#{color}").get_truecolor() for color in (found.color, found.bgcolor)]
    assert contrast(*colors) >= 4.5
    assert not found.reverse


@pytest.mark.parametrize(
    ("line", "answered"),
    [
        *(("why?", True), ("//path", True), ("/retry", True), ("/approve y", True), ("/files:review x", True)),
        *(("/model", False), ("!ls", False), (" Help ", False), ("exit", False), ("exit?", True), ("/", False)),
    ],
)
def test_what_an_empty_line_follows(line: str, answered: bool) -> None:
    assert _is_answered(line) is answered
