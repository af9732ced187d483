"""Passages are exactly what stands in the file: whole lines, in order, and all of them."""

import json
import re
import sys
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatcli.documents.passage import Passage
from chatcli.documents.read import DocumentReader, UnreadableError
from chatcli.documents.split import MAX_LINE, MAX_PASSAGE

if TYPE_CHECKING:
    from _typeshed import TraceFunction

ENDINGS = [".txt", ".md", ".rst", ".py", ".js", ".csv", ".html", ".ipynb", ".json", ".log", ""]
KEEP_ALL = [ending for ending in ENDINGS if ending not in (".html", ".ipynb")]
"""The endings of files of which every line is kept: what is not seen of a page or a notebook is left out."""
PIECES = st.sampled_from(
    [
        *("# Title", "## Part", "Title\n=====", "---", "```", "| a | b |\n|---|---|\n| 1 | 2 |", "- item", "> quote"),
        *(
            "def f(x):\n    return x",
            "@decorator",
            "class A:",
            "    def g(self):",
            "# comment",
            '"""',
            "}",
            "function f() {",
        ),
        *(
            "<h1>One</h1>",
            "<p>text",
            "</p>",
            "<script>",
            "</script>",
            "<!--",
            "-->",
            "a,b,c",
            '"x',
            "1,2,3",
            "{",
            '"k": [',
        ),
        *(
            "A sentence that ends here.",
            "word " * 60,
            "x" * 2000,
            "y" * 9000,
            "中文没有空格。" * 30,
            "",
            " ",
            "\t",
            "\f",
            "\x0b",
        ),
        *("\x1c", "\u2028", "\x85", "\u00a0", "\u3000", "émigré", "🙂", "\ufeff"),
    ]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=40)), max_size=40).flatmap(
    lambda parts: st.lists(st.sampled_from(["\n", "\r\n", "\r", "\n\n"]), min_size=len(parts), max_size=len(parts)).map(
        lambda ends: "".join(part + end for part, end in zip(parts, ends, strict=True))
    )
)


def lines_of(text: str) -> list[str]:
    return re.split("\r\n|\r|\n", text.removeprefix("\ufeff"))


def read(ending: str, text: str, encoding: str = "utf-8") -> list[Passage]:
    with closing(DocumentReader()) as reader:
        return reader.read_passages(Path(f"/documents/a{ending}"), text.encode(encoding))


def check(passages: list[Passage], text: str) -> set[int]:
    """Compare each passage with the lines of `text`, and return the lines that they have."""
    lines, before, found = lines_of(text), 0, set[int]()
    for passage in passages:
        start, end = passage.start_line, passage.end_line
        assert start is not None
        assert end is not None
        line = lines[start - 1]
        if start == end and len(line) > MAX_LINE:
            assert passage.text in line
            # In a notebook, a character may stand as an escape of six.
            assert len(passage.plain if passage.path.suffix == ".ipynb" else passage.text) <= MAX_PASSAGE
            assert start >= before
        else:
            assert passage.text == "\n".join(lines[start - 1 : end])
            assert start > before
            assert line.strip()
            assert lines[end - 1].strip()
        assert passage.text.strip()
        assert len(passage.text) <= MAX_LINE
        before = end
        found.update(range(start - 1, end))
    return found


@given(TEXTS, st.sampled_from(ENDINGS))
def test_a_passage_is_what_stands_in_its_lines_and_none_overlap(text: str, ending: str) -> None:
    check(read(ending, text.replace("\0", "")), text.replace("\0", ""))


@given(TEXTS, st.sampled_from(KEEP_ALL))
def test_every_line_that_is_not_blank_is_in_a_passage(text: str, ending: str) -> None:
    text = text.replace("\0", "")
    found = check(read(ending, text), text)
    assert found >= {place for place, line in enumerate(lines_of(text)) if line.strip()}


@given(TEXTS, st.sampled_from(KEEP_ALL))
def test_the_parts_of_a_long_line_are_all_of_it(text: str, ending: str) -> None:
    text = text.replace("\0", "")
    passages = read(ending, text)
    for place, line in enumerate(lines_of(text), 1):
        if len(line) > MAX_LINE:
            parts = [passage.text for passage in passages if passage.start_line == place]
            assert "".join("".join(parts).split()) == "".join(line.split())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "cp1252"])
def test_lines_do_not_depend_on_the_encoding(encoding: str) -> None:
    text = "Ein Satz über Bären.\r\nNoch einer: größer.\r\n\r\n" * 3
    assert check(read(".txt", text, encoding), text) == {0, 1, 3, 4, 6, 7} | {2, 5}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("text", ["", "\n", "\ufeff", "\r\n\r\n", " \f\n"])
def test_an_empty_file_has_no_passages(text: str, ending: str) -> None:
    assert read(ending, text) == []


def test_a_form_feed_or_a_line_separator_ends_no_line() -> None:
    text = "one\ftwo\x0bthree\x85four\u2028five\nsix"
    assert [(passage.start_line, passage.end_line) for passage in read(".txt", text)] == [(1, 2)]


def test_short_sections_share_a_passage_and_the_headings_around_both() -> None:
    for text, headings in (
        ("## One\n\nx\n\n## Two\n\ny", ()),
        ("# Guide\n\n## One\n\nx\n\n## Two\n\ny", ("Guide",)),
        ("## One\n\nx\n\n### Deep\n\ny", ("One",)),
    ):
        [passage] = read(".md", text)
        assert passage.headings == headings


def test_markdown_is_cut_at_headings_which_are_the_trail() -> None:
    intro, install, linux = "Intro. " * 80, "Do it. " * 80, "Apt. " * 120
    text = f"# Guide\n\n{intro}\n\n## Install\n\n{install}\n\n### Linux\n\n{linux}\n\n## Use\n\nRun."
    trails = [(passage.start_line, passage.headings) for passage in read(".md", text)]
    assert trails == [
        (1, ("Guide",)),
        (5, ("Guide", "Install")),
        (9, ("Guide", "Install", "Linux")),
        (13, ("Guide", "Use")),
    ]


FENCE = "```sh\n# not a heading\n\nmake\n\nmake install # " + "x" * 900 + "\n```"
TABLE = "| name | size |\n|---|---|\n" + "\n".join(f"| n{number} | {number} |" for number in range(60))


@pytest.mark.parametrize("block", [FENCE, TABLE], ids=["a fence", "a table"])
def test_a_block_that_fits_stays_whole_and_a_sign_in_it_is_no_heading(block: str) -> None:
    passages = read(".md", f"# A\n\n{'Words of prose. ' * 60}\n\n{block}\n\nThe end.")
    assert [block in passage.text for passage in passages].count(True) == 1
    assert {passage.headings for passage in passages} == {("A",)}


@pytest.mark.parametrize(
    "body",
    [
        "One line without an end. " * 100,
        "A line of a paragraph.\n" * 150,
        "```\n" + "make\n" * 310 + "```",
        "- item\n" * 300,
    ],
)
def test_a_heading_goes_with_its_text(body: str) -> None:
    text = f"# Guide\n\n{'Words. ' * 100}\n\n## Install\n\n{body}\n\n## Use\n\nRun it."
    assert min(len(passage.text) for passage in read(".md", text) if "Install" in passage.headings) > 200


def test_the_titles_of_restructuredtext_are_the_trail() -> None:
    body = "A paragraph of words.\n" * 30
    text = f"=====\nGuide\n=====\n\n{body}\nInstall\n-------\n\n{body}\nUse\n---\n\n{body}"
    trails = [passage.headings for passage in read(".rst", text)]
    assert trails == [("Guide",), ("Guide", "Install"), ("Guide", "Use")]


def test_python_is_cut_at_functions_and_classes_with_decorators_and_comments() -> None:
    body = "".join(f"        x = {number}\n" for number in range(40))
    methods = f"    def f(self):\n{body}\n    # Why.\n    @cached\n    def g(self):\n{body}"
    passages = read(".py", f"import os\n\n\nclass A:\n{methods}\n\ndef h():\n    pass\n")
    assert [passage.headings for passage in passages] == [("A",), ("A", "g"), ("h",)]
    assert passages[1].text.startswith("    # Why.\n    @cached\n")


def test_python_that_does_not_parse_is_cut_at_its_definitions() -> None:
    body = "".join(f"    x = {number}\n" for number in range(60))
    text = f"print 'old'\n\ndef f():\n{body}\ndef g():\n{body}"
    assert [passage.headings for passage in read(".py", text)] == [("f",), ("g",)]


def test_other_languages_are_cut_at_their_definitions() -> None:
    body = "".join(f"    int x{number} = {number};\n" for number in range(40))
    text = f"export class A {{\n{body}}}\n\n// Why.\nexport async function go(a, b) {{\n{body}}}\n"
    passages = read(".ts", text)
    assert [passage.headings for passage in passages] == [("A",), ("go",)]
    assert passages[1].text.startswith("// Why.\n")


def test_each_passage_of_a_table_names_its_columns() -> None:
    rows = [f'n{number},"two\nlines {number}"' for number in range(150)]
    passages = read(".csv", "name,note\n" + "\n".join(rows))
    assert len(passages) > 1
    for passage in passages[1:]:
        assert passage.plain == f"name,note\n{passage.text}"
        assert passage.text.startswith("n")
        assert passage.text.endswith('"')


def test_a_web_page_keeps_its_lines_and_its_seen_text() -> None:
    text = (
        "<!doctype html>\n<html><head><style>p { x }</style><title>Site</title></head>\n<body>\n<h1>Guide</h1>\n"
        f"<p>Hello\nthere &amp; <b>here</b></p>\n{'<p>A paragraph of words.</p>' * 20}\n<h2>Use</h2>\n<p>Run it.</p>\n"
    )
    passages = read(".html", text)
    check(passages, text)
    assert passages[0].plain.splitlines()[:3] == ["Site", "Guide", "Hello there & here"]
    assert passages[-1].headings == ("Guide", "Use")
    assert passages[-1].plain == "Use\nRun it."


def test_a_page_in_one_line_is_cut_with_the_text_of_each_part() -> None:
    text = (
        "<html><body>" + "".join(f"<p>Paragraph {number} of the page.</p>" for number in range(500)) + "</body></html>"
    )
    passages = read(".html", text)
    check(passages, text)
    seen = "\n".join(passage.plain for passage in passages)
    assert [int(number) for number in re.findall(r"Paragraph (\d+)", seen)] == list(range(500))


def _notebook(*cells: tuple[str, str | list[str]], indent: int | None = 1) -> str:
    return json.dumps(
        {"cells": [{"cell_type": kind, "outputs": ["z" * 500], "source": source} for kind, source in cells]},
        indent=indent,
    )


def test_a_notebook_has_the_source_of_its_cells_at_their_lines() -> None:
    text = _notebook(("markdown", ["# Title\n", "\n", 'Some "text".']), ("code", ["import os\n", "print(os.name)"]))
    passages = read(".ipynb", text)
    check(passages, text)
    assert [passage.plain for passage in passages] == ['# Title\n\nSome "text".', "import os\nprint(os.name)"]
    assert all(passage.headings == ("Title",) for passage in passages)
    assert "zzz" not in "".join(passage.text for passage in passages)


def test_a_notebook_in_one_line_keeps_each_cell() -> None:
    cells = [("code", [f"value = {number}\n", f"show({number})"]) for number in range(200)]
    text = _notebook(*cells, indent=None)
    passages = read(".ipynb", text)
    check(passages, text)
    assert "".join(passage.plain for passage in passages).count("show(") == 200
    assert read(".ipynb", _notebook(("code", "a\nb"), ("code", "c"), indent=None))[0].plain == "a\nb\n\nc"


@given(
    st.lists(st.tuples(st.sampled_from(["code", "markdown"]), st.one_of(st.text(), st.lists(st.text())))), st.booleans()
)
def test_what_a_notebook_says_is_kept(cells: list[tuple[str, str | list[str]]], indented: bool) -> None:
    text = _notebook(*cells, indent=1 if indented else None)
    passages = read(".ipynb", text)
    check(passages, text)
    said = "".join(source if isinstance(source, str) else "".join(source) for _, source in cells)
    assert "".join("".join(passage.plain for passage in passages).split()) == "".join(said.split())


def test_half_a_pair_of_code_units_in_a_notebook_is_no_character() -> None:
    passages = read(".ipynb", _notebook(("code", ["print('\ud800')"])))
    assert passages[0].plain == "print('?')"


def test_a_damaged_notebook_is_read_as_text() -> None:
    text = '{"cells": [\n{"source": "a"},\n' + "[" * 100_000
    check(read(".ipynb", text), text)


HOSTILE = {
    "signs of headings": lambda size: "#" * size,
    "headings": lambda size: "# a\n" * (size // 4),
    "brackets": lambda size: "[" * size,
    "lines of brackets": lambda size: "[\n" * (size // 2),
    "definitions of links": lambda size: "[a]: b\n" * (size // 7),
    "quotes": lambda size: ">\n" * (size // 2),
    "one line": lambda size: "x" * size,
    "tags": lambda size: "<p>" * (size // 3),
    "open tags": lambda size: '<a ="' * (size // 5),
    "blank lines": lambda size: "\n" * size,
    "indentation": lambda size: " " * size + "x",
    "titles": lambda size: "abc\n===\n" * (size // 8),
    "comments": lambda size: "# c\n" * (size // 4) + "def f(): pass",
    "modifiers": lambda size: "public " * (size // 7),
    "objects": lambda size: '{"a":[' * (size // 6),
    "quotation marks": lambda size: 'a,"\n' * (size // 4),
}


def _steps(ending: str, text: str) -> int:
    """Return how many lines of Python it takes to read `text`."""
    steps = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal steps
        steps += 1

    def trace(frame: FrameType, event: str, argument: object) -> "TraceFunction":
        return count

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        read(ending, text)
    except UnreadableError:
        pass
    finally:
        sys.settrace(before)
    return steps


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("ending", [".md", ".rst", ".py", ".js", ".csv", ".html", ".ipynb", ".txt"])
def test_twice_the_text_takes_twice_the_work(ending: str, name: str) -> None:
    read(ending, "# x\n")  # what is imported or compiled once
    once, twice = (_steps(ending, HOSTILE[name](size)) for size in (10_000, 20_000))
    assert twice < 2.4 * once + 2_000
