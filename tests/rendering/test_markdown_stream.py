import re
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatcli.rendering.markdown.stream import MarkdownStream
from chatcli.rendering.theme import Line, plain_text, width_of
from chatcli.sanitize import sanitize
from tests.rendering.corpus import DOCUMENT, FRAGMENTS
from tests.rendering.screen import cut, render_markdown
from tests.rendering.work import calls

MARKUP = ["<kbd>", "</kbd>", "<sub>", "</sub>", "<br>", "$$", "\\[", "\\]", "> [!NOTE]\n", "<details>", "<summary>"]
HIGH = 10_000  # a screen that no table outgrows
DOCUMENTS = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=8).flatmap(
    lambda parts: st.sampled_from(["", "\n"]).map(lambda between: between.join(parts))
)


def stream(pieces: list[str], width: int, height: int = HIGH) -> list[Line]:
    markdown = MarkdownStream()
    lines: list[Line] = []
    for piece in pieces:
        markdown.feed(piece)
        finished, _ = markdown.advance(width, height)
        lines += finished
    return lines + markdown.finish(width, height)


def texts(lines: list[Line]) -> list[str]:
    return [plain_text(line) for line in lines]


@given(DOCUMENTS, st.lists(st.integers(1, 12), min_size=1, max_size=10), st.sampled_from([20, 40, 80, 200]))
def test_streamed_is_rendered_at_once(document: str, sizes: list[int], width: int) -> None:
    assert stream(cut(document, sizes), width) == render_markdown(document, width)


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_whole_corpus_in_pieces_of(size: int, width: int) -> None:
    whole = render_markdown(DOCUMENT, width)
    assert texts(stream(cut(DOCUMENT, [size]), width)) == texts(whole)
    assert all(width_of(line) <= width for line in whole)


@given(
    st.lists(st.sampled_from([*"ab \n\t-*_`~#>|[](){}<>!\\$1.:=+&;x^/", *MARKUP]), max_size=100).map("".join),
    st.lists(st.integers(1, 6), min_size=1),
)
def test_line_noise_is_rendered_alike(noise: str, sizes: list[int]) -> None:
    if "]:" not in noise:  # a link definition may come late, see below
        assert texts(stream(cut(noise, sizes), 40)) == texts(render_markdown(noise, 40))


@given(st.text(max_size=60))
def test_code_loses_nothing(text: str) -> None:
    lines = [line.expandtabs(4) for line in sanitize(text.replace("`", "")).split("\n")]
    for language in ("python", "html", "json", "console", "nosuchlanguage"):
        rendered = texts(render_markdown("\n".join([f"```{language}", *lines, "```"]), 10_000))
        assert rendered[1:-1] == lines


def test_a_link_that_is_defined_later_stands_as_it_was_written() -> None:
    document = "See [the docs].\n\nMore, [the docs].\n\n[the docs]: http://x.org\n\nAnd [the docs].\n"
    assert "See the docs (http://x.org)." in texts(render_markdown(document, 80))
    streamed = texts(stream(cut(document, [1]), 80))
    # The second paragraph is open until another block begins, and a definition is none.
    assert streamed == ["See [the docs].", "", "More, the docs (http://x.org).", "", "And the docs (http://x.org)."]


def test_a_definition_counts_for_all_that_follows() -> None:
    document = "[a]: http://x.org\n[b]: http://y.org\n\nFirst [a].\n\nSecond [b].\n"
    assert stream(cut(document, [3]), 80) == render_markdown(document, 80)


def test_a_table_higher_than_the_screen_keeps_the_columns_it_began_with() -> None:
    rows = [f"| {number} | {'x' * (number // 10)} |" for number in range(100)]
    document = "\n".join(["| n | x |", "|---|---|", *rows, "", "end"])
    streamed = texts(stream(cut(document, [5]), 40, height=20))
    # When the screen was full the second column was one cell wide: from then on its cells are wrapped.
    assert streamed[:3] == ["n  │ x", "───┼──", "0  │ "]
    assert streamed[21:24] == ["19 │ x", "20 │ x", "   │ x"]
    assert "".join(streamed).count("x") == sum(number // 10 for number in range(100)) + 1
    assert streamed[-2:] == ["", "end"]


def test_a_row_is_shown_as_written_until_it_is_complete() -> None:
    markdown = MarkdownStream()
    markdown.feed("| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | **4")
    finished, rest = markdown.advance(40, 20)
    assert finished == []
    assert texts(rest) == ["a │ b", "──┼──", "1 │ 2", "| 3 | **4"]


def test_a_closing_fence_is_not_shown_while_it_comes() -> None:
    markdown = MarkdownStream()
    markdown.feed("```\ncode\n``")
    finished, rest = markdown.advance(40, 20)
    assert texts(finished + rest) == ["╭─", "code"]


def test_finished_items_and_code_are_given_out_before_the_end() -> None:
    markdown = MarkdownStream()
    markdown.feed("- one\n- two\n- th")
    assert texts(markdown.advance(40, 20)[0]) == ["• one"]
    markdown.feed("ree\n\n```py\n" + "x = 1\n" * 100)
    finished, rest = markdown.advance(40, 20)
    assert texts(finished)[:4] == ["• two", "• three", "", "╭─ py"]
    assert len(finished) + len(rest) == 4 + 100
    assert len(rest) < 64


def test_escape_characters_in_markdown_notation_stay_harmless() -> None:
    shown = "".join(texts(render_markdown("&#27;[2J &#x9b;2J &#x202e; [a](http://x/%1b%5b2J) `&#27;`", 80)))
    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert "\u202e" not in shown


def test_deep_nesting_neither_fails_nor_overflows() -> None:
    for document in (">" * 300 + " x", "".join(f"{'  ' * level}- {level}\n" for level in range(60))):
        assert all(width_of(line) <= 40 for line in render_markdown(document, 40))


@pytest.mark.parametrize(
    "line",
    [
        "A paragraph of **some** words.\n\n",
        "- an item of a list\n",
        "code = 'of a block'\n",
        "| 1 | 2 |\n",
        "H<sub>2</sub>O, <kbd>a</kbd>, $x^2$, \\(y\n\n",
        "$$\n\\frac{a}{b}\n$$\n",
        "> [!NOTE]\n> x\n\n",
        "<details>\n<summary>a</summary>\n\nb\n\n</details>\n\n",
    ],
)
def test_work_is_linear(line: str) -> None:
    opening = {"c": "```python\n", "|": "| a | b |\n|---|---|\n"}.get(line[0], "")

    def lines(count: int) -> None:
        stream([opening, *[line] * count], 80, 40)

    lines(50)  # fills the caches
    assert calls(lambda: lines(500)) < 5 * 1.5 * calls(lambda: lines(100))


@pytest.mark.parametrize(
    "part",
    [
        *(
            "[",
            "![",
            "[a](",
            "[a][",
            "[[]",
            "[x*",
            "![a ",
            "][",
            "](",
            "[a]: b\n",
            "*a ",
            "a**b",
            "_a ",
            "*_a ",
            "**a **",
        ),
        *("~~a ", "`a", "`` a `", "<", "<a ", "<br ", "<!--", "<kbd>", "<details>", "&", "$", "$a ", "$$a ", "\\[a "),
        *("\\(a", "a\\", "> ", "> a\n", "- a\n", "1. a\n", "| a ", "a\n", "http://a ", "***", "#", "=\n"),
    ],
)
def test_work_is_linear_in_the_length_of_an_attack(part: str) -> None:
    def show(count: int) -> None:
        stream([part * count], 80, 40)

    show(120)  # fills the caches, and is deeper than every limit of nesting
    assert calls(lambda: show(360)) < 3 * 1.5 * calls(lambda: show(120))


def test_brackets_that_nobody_closes_cost_as_little_as_letters() -> None:
    for part in ("[", "![", "[a"):
        assert calls(partial(stream, [part * 1000], 80, 40)) < 250 * 1000


def test_only_a_row_of_a_table_is_shown_as_written() -> None:
    markdown = MarkdownStream()
    markdown.feed("| a |\n|---|\n| 1 |\n\nA paragraph.\n**bo")
    markdown.advance(40, 20)
    markdown.feed("ld**")
    assert texts(markdown.advance(40, 20)[1])[-2:] == ["A paragraph.", "bold"]


def test_links_by_reference_in_a_table_higher_than_the_screen() -> None:
    document = "[x]: http://x.org\n\nFirst.\n\n| a |\n|---|\n" + "| [x] |\n" * 30
    assert texts(stream(cut(document, [9]), 40, height=10)) == texts(render_markdown(document, 40))


def shown_while_it_comes(document: str) -> list[list[str]]:
    """Return what is shown of `document` after each of its characters."""
    markdown = MarkdownStream()
    finished: list[str] = []
    shown = []
    for character in document:
        markdown.feed(character)
        done, rest = markdown.advance(80, HIGH)
        finished += texts(done)
        shown.append(finished + texts(rest))
    return shown


@pytest.mark.parametrize(
    "price",
    [
        "it costs $5-$10 a month",
        "from $5 to $10",
        "$5/$6, US$7 or AU$ 8",
        "a < b </x <brx>",
        "$$ is the process",
    ],
)
def test_what_is_no_markup_never_looks_like_it_while_it_comes(price: str) -> None:
    for shown in shown_while_it_comes(price):
        assert price.startswith("\n".join(shown))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("$$x^2$$ is", "x² is"),
        ("$x^2$ is", "x² is"),
        ("press <kbd>Tab</kbd> now", "press Tab now"),
        ("H<sub>2</sub>O or", "H₂O or"),
        ("one<br />two", "one\ntwo"),
        ("<details>\n<summary>More</summary>\n\ntext", "▾ More\n\ntext"),
        ("> [!NOTE]\n> text", "│ Note\n│ text"),
    ],
)
def test_half_a_mark_is_not_shown_and_a_pair_counts_when_it_is_complete(written: str, meant: str) -> None:
    for shown in shown_while_it_comes(written):
        text = "\n".join(shown)
        whole_tags = not re.search(r"<(?!/?\w+>)|^│ \[", text)
        assert whole_tags
        assert written.startswith(text) or meant.startswith(text.rstrip("│ ")) or text.startswith(meant[:3])
    assert "\n".join(shown) == meant


@pytest.mark.parametrize("tail", ["press <kb", "cost <de", "see <s"])
def test_a_piece_after_half_a_tag_is_shown_with_it(tail: str) -> None:
    markdown = MarkdownStream()
    markdown.feed(tail)
    assert texts(markdown.advance(80, 20)[1]) == [tail.split(" <")[0]]
    markdown.feed("ample")
    assert markdown.extension("ample") is None
    assert texts(markdown.advance(80, 20)[1]) == [f"{tail}ample"]
