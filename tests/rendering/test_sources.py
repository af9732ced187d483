"""The list of the documents that an answer cites, in every kind of output."""

import asyncio
import io
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage
from rich.console import Console

from chatcli.documents.citations import CITED as CITED_KEY
from chatcli.errors import NetworkError
from chatcli.events import DocumentsFound, Event, TextDelta, TurnFailed, TurnInterrupted, TurnStarted
from chatcli.message import Citation, Cited, FoundPassage, MessageShown
from chatcli.rendering.json import JsonLinesRenderer, JsonRenderer
from chatcli.rendering.plain import PlainRenderer, message_block
from chatcli.rendering.terminal import activity
from chatcli.rendering.terminal.renderer import TerminalRenderer
from chatcli.rendering.terminal.screen import file_link
from chatcli.transfer.document import ThreadDocument
from chatcli.transfer.page import html_page, markdown_page
from tests.e2e.checks import valid
from tests.rendering.screen import Terminal, finished

SETUP = Citation(1, "docs/setup.md", 12, 30, None, "Install it.\n\nThen run it.")
PAPER = Citation(3, "paper.pdf", None, None, 7, "A page.")
CITED = Cited((SETUP, PAPER), (9,))
INSTALLATION = FoundPassage(
    number=1,
    path="docs/setup.md",
    start_line=12,
    end_line=30,
    page=None,
    text=SETUP.quote,
    plain="",
    headings=["Setup"],
    score=0.5,
)
LINES = "[1] docs/setup.md:12-30\n[3] paper.pdf, page 7\n[9] is no source: the model made it up\n"
ANSWER = "Run it [1], says the paper [3], and [9]."
HOSTILE = Cited((Citation(1, "a\x1b]0;owned\x07\u202e\nb.md", 1, 1, None, "x\x1b[31m"),))


def plain(*events: Event, quiet: bool = False, lists_sources: bool = True) -> str:
    out = io.StringIO()
    renderer = PlainRenderer(out, io.StringIO(), quiet=quiet, lists_sources=lists_sources)
    for event in events:
        renderer.render(event)
    renderer.close()
    return out.getvalue()


@pytest.mark.parametrize("quiet", [False, True])
def test_the_list_follows_the_answer_after_a_blank_line(*, quiet: bool) -> None:
    end = replace(finished(ANSWER), cited=CITED)
    assert plain(TextDelta(ANSWER), end, quiet=quiet) == f"{ANSWER}\n\n{LINES}"


def test_nothing_follows_an_answer_that_cites_nothing_or_is_json() -> None:
    assert plain(TextDelta("No."), replace(finished("No."), cited=Cited())) == "No.\n"
    assert plain(TextDelta("{}"), replace(finished("{}"), cited=CITED), lists_sources=False) == "{}\n"


def test_an_answer_that_was_cut_short_has_its_list() -> None:
    stopped = TurnInterrupted("t1", "c1", "m", "Run it [1]", 5, Cited((SETUP,)))
    assert plain(TextDelta("Run it [1]"), stopped) == "Run it [1]\n\n[1] docs/setup.md:12-30\n"
    failed = TurnFailed("t1", "m", "Run it [1]", NetworkError("it broke"), Cited((SETUP,)))
    assert plain(TextDelta("Run it [1]"), failed) == "Run it [1]\n\n[1] docs/setup.md:12-30\n"


def test_a_name_of_a_file_can_not_control_the_terminal() -> None:
    shown = plain(TextDelta("So [1]."), replace(finished("So [1]."), cited=HOSTILE))
    assert shown == "So [1].\n\n[1] a<U+202E> b.md:1-1\n"


def terminal(*events: Event, environment: dict[str, str]) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, _environ={"TERM": "xterm", **environment})
    renderer = TerminalRenderer(console, console, movable=True)
    for event in events:
        renderer.render(event)
    renderer.close()
    return out.getvalue()


def test_on_a_terminal_each_source_is_a_link_to_its_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    shown = terminal(TextDelta(ANSWER), replace(finished(ANSWER), cited=CITED), environment={})
    assert "[1] docs/setup.md:12-30" in shown
    assert "/docs/setup.md" in shown.partition("\x1b]8;")[2].partition("\x1b\\")[0]
    assert shown.count("\x1b]8;id=") == 2  # a number that was made up is no link
    assert "\x1b]8;" not in terminal(replace(finished(ANSWER), cited=CITED), environment={"TERM": "dumb"})
    hostile = terminal(replace(finished("So [1]."), cited=HOSTILE), environment={})
    assert "\x1b]0;" not in hostile
    assert "\u202e" not in hostile


def test_a_link_has_the_line_where_the_terminal_takes_one() -> None:
    plain_link = file_link(SETUP, {})
    assert plain_link is not None
    assert plain_link.startswith("file:///")
    assert plain_link.endswith("/docs/setup.md")
    assert file_link(SETUP, {"KITTY_WINDOW_ID": "1"}) == f"{plain_link}#12"
    assert file_link(SETUP, {"TERM_PROGRAM": "vscode"}) == f"{plain_link}#12"
    assert str(file_link(PAPER, {"TERM_PROGRAM": "vscode"})).endswith("/paper.pdf")
    hostile = file_link(HOSTILE.citations[0], {})
    assert hostile is None or hostile.isascii()


def test_json_has_the_quotes_and_counts_what_was_made_up() -> None:
    out = io.StringIO()
    JsonRenderer(out, io.StringIO()).render(replace(finished(ANSWER), cited=CITED))
    turn = json.loads(out.getvalue())
    valid("answer", turn)
    assert turn["content"] == ANSWER
    assert turn["unknown_citations"] == 1
    assert turn["citations"] == [
        {
            "number": 1,
            "path": "docs/setup.md",
            "start_line": 12,
            "end_line": 30,
            "page": None,
            "quote": "Install it.\n\nThen run it.",
        },
        {"number": 3, "path": "paper.pdf", "start_line": None, "end_line": None, "page": 7, "quote": "A page."},
    ]


def test_json_without_documents_has_no_citations_and_with_them_a_list() -> None:
    for cited, expected in ((None, None), (Cited(), [])):
        out = io.StringIO()
        JsonRenderer(out, io.StringIO()).render(replace(finished("Yes."), cited=cited))
        assert json.loads(out.getvalue()).get("citations") == expected


def test_a_failure_keeps_what_was_cited() -> None:
    out = io.StringIO()
    renderer = JsonRenderer(out, io.StringIO())
    renderer.render(TurnFailed("t1", "m", "Run it [1]", NetworkError("it broke"), Cited((SETUP,))))
    failure = json.loads(out.getvalue())
    valid("failure", failure)
    assert failure["citations"][0]["path"] == "docs/setup.md"


def test_json_lines_report_what_was_found() -> None:
    out = io.StringIO()
    renderer = JsonLinesRenderer(out, io.StringIO())
    renderer.render(DocumentsFound("flux", (INSTALLATION,)))
    renderer.render(replace(finished(ANSWER), cited=CITED))
    renderer.render(TurnInterrupted("t1", "c1", "m", "Run it [1]", 5, Cited((SETUP,))))
    found, end, stopped = map(json.loads, out.getvalue().splitlines())
    for event in (found, end, stopped):
        valid("event", event)
    assert found == {
        "type": "documents_found",
        "query": "flux",
        "passages": [
            {"number": 1, "path": "docs/setup.md", "start_line": 12, "end_line": 30, "page": None, "score": 0.5}
        ],
    }
    assert [each["number"] for each in end["citations"]] == [1, 3]
    assert end["unknown_citations"] == 1
    assert stopped["citations"][0]["quote"] == SETUP.quote


def test_a_past_answer_is_shown_with_its_list() -> None:
    assert message_block(MessageShown("assistant", ANSWER, cited=CITED)) == f"AI: {ANSWER}\n\n{LINES}\n"


def test_pages_have_the_list_as_text() -> None:

    def answer(text: str, cited: Cited) -> AIMessage:
        stored = [replace(each, path=str(Path.cwd() / each.path)) for each in cited.citations]
        return AIMessage(text, response_metadata={CITED_KEY: asdict(replace(cited, citations=tuple(stored)))})

    document = ThreadDocument("t1", "title", "m", None, [answer(ANSWER, CITED), answer("x", HOSTILE)])
    markdown = "\n".join(markdown_page(document))
    assert f"{ANSWER}\n\n- \\[1\\] docs/setup.md:12-30\n- \\[3\\] paper.pdf, page 7\n" in markdown
    html = "\n".join(html_page(document))
    assert '<p class="sources">[1] docs/setup.md:12-30<br>[3] paper.pdf, page 7<br>' in html
    assert "\x1b" not in markdown + html


async def test_what_was_found_leaves_the_indicator_that_the_model_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(activity, "DELAY", 0)
    screen = Terminal(60, 10)

    renderer = TerminalRenderer(screen.console, screen.console)
    renderer.render(TurnStarted("t1", "openai:m"))
    renderer.render(DocumentsFound("flux"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert any("waiting for openai:m" in line for line in screen.lines())
    renderer.close()
