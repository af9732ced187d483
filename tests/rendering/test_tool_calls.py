"""Tool calls, nodes and requests for approval, on a terminal and off it."""

import io
import re
from typing import Any

import pytest
from rich.console import Console

from chatcli.events import (
    ApprovalRequested,
    Event,
    IntermediateText,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    TurnInterrupted,
    TurnStarted,
)
from chatcli.rendering.display import LinesShown, diff_lines
from chatcli.rendering.plain import (
    PlainRenderer,
    action_lines,
    answer_forms,
    decision_lines,
    keys_line,
    request_lines,
)
from chatcli.rendering.terminal.renderer import TerminalRenderer
from tests.rendering.screen import Clock, Terminal, finished

HOSTILE = "a\x1b]52;c;aGk=\x07\x9b31mb\nc\u202ed"
CALLS: list[Event] = [
    TurnStarted("t", "graph:/home/me/agent.py:agent"),
    TextDelta("Let me see.", "plan"),
    ToolCallStarted("1", "weigh", {"what": "a cat"}),
    ToolCallStarted("2", "wei\x1bgh", {"what": HOSTILE}),
    ToolCallFinished("2", "weigh", HOSTILE, "error"),
    ToolCallFinished("1", "weigh", "4 kg\nand " + "more " * 50),
    TextDelta("\n\nIt weighs 4 kg.", "plan"),
    TextDelta("\n\nIndeed.", "check"),
]


def on_terminal(*events: Event, quiet: bool = False) -> list[str]:
    terminal = Terminal()
    screen = TerminalRenderer(terminal.console, terminal.console, quiet=quiet, clock=Clock())
    for event in events:
        screen.render(event)
    screen.close()
    assert "\x1b]" not in terminal.bytes.getvalue()
    return terminal.lines()


def off_terminal(*events: Event, quiet: bool = False) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    plain = PlainRenderer(out, err, quiet=quiet)
    for event in events:
        plain.render(event)
    plain.close()
    assert "\x1b" not in out.getvalue() + err.getvalue()
    return out.getvalue(), err.getvalue()


def test_each_call_is_one_line_with_its_result() -> None:
    lines = on_terminal(*CALLS, finished("Let me see.\n\nIt weighs 4 kg.\n\nIndeed."))
    assert lines[0] == "Let me see."
    weighed = next(number for number, line in enumerate(lines) if line.startswith('weigh(what="a cat") → 4 kg and'))
    assert weighed > next(number for number, line in enumerate(lines) if "✗" in line)
    assert lines[-3:] == ["It weighs 4 kg.", "[check]", "Indeed."]
    assert sum("It weighs" in line for line in lines) == 1


def test_a_call_that_runs_is_shown_until_it_ends() -> None:
    assert on_terminal(*CALLS[:3])[1:] == ['weigh(what="a cat") …']
    stopped = on_terminal(*CALLS[:3], TurnInterrupted("t", "c", "m", "Let me see.", 1))
    assert stopped == ["Let me see.", 'weigh(what="a cat") was interrupted', "[interrupted]"]


def test_off_a_terminal_the_answer_alone_is_on_stdout() -> None:
    aside = IntermediateText("Is it a cat?\n\nIt is.", "check")
    out, err = off_terminal(*CALLS, aside, finished("It weighs 4 kg."))
    assert out == "It weighs 4 kg.\n"
    refused, weighed, *asides = err.splitlines()
    assert "✗" in refused
    assert weighed.startswith('weigh(what="a cat") → 4 kg and more')
    assert weighed.endswith("characters)")
    assert asides == ["[check] Is it a cat?", "[check] It is."]
    assert off_terminal(*CALLS, aside, finished(), quiet=True)[1] == ""
    stopped = off_terminal(*CALLS[:3], TurnInterrupted("t", "c", "m", "", 1))[1]
    assert stopped == 'weigh(what="a cat") was interrupted\n[interrupted]\n'
    assert off_terminal(*CALLS[:3], ApprovalRequested("i", "Sure?"))[1].startswith('weigh(what="a cat") waits\nSure?\n')


@pytest.mark.parametrize(
    ("payload", "lines"),
    [
        ("Sure?", ["Sure?"]),
        ({"question": "Sure?", "of": [1]}, ["question: Sure?", "of: [", "  1", "]"]),
        ({"q\x1b[1m": "a\x1b[31mb"}, ["q: ab"]),
        ([1, 2], ["[", "  1,", "  2", "]"]),
        (None, ["null"]),
        (HOSTILE, ["ab", "c<U+202E>d"]),
    ],
)
def test_a_payload_of_any_kind_can_be_read(payload: Any, lines: list[str]) -> None:
    shown = request_lines(ApprovalRequested("i", payload))
    assert shown == [*lines, "Type the answer: text, or a JSON object or list."]


def test_a_request_says_what_it_asks_for() -> None:
    several = ApprovalRequested("i\x1b[1m", "How many?", {"type": "integer"}, among=2)
    asked = "Type the answer (integer): text, or a JSON object or list."
    assert request_lines(several) == ["Interrupt i:", "How many?", asked]
    review = {"action_requests": [{"name": "weigh"}], "problem": "no\nnumber\x1b[1m"}
    assert request_lines(ApprovalRequested("i", review))[:2] == ["error: no number", "weigh()"]
    assert decision_lines({"name": "weigh"}, problem="no\nnumber\x1b[1m")[0] == ("error: no number", "red")


def test_nothing_of_a_form_is_hidden() -> None:
    """It may show one address, and mean another."""
    form = {"type": "mcp_form", "server": "s\u202e", "message": "Open\u202e\n\nit.", "url": "http://a/\u202e\x1b"}
    assert request_lines(ApprovalRequested("i", form)) == [
        "The MCP server s<U+202E> asks you; what you answer goes to it:",
        "  Open<U+202E>",
        "  it.",
        "Open this address only if you trust it, then answer y: http://a/<U+202E><U+001B>",
    ]


def test_a_decision_is_offered_where_every_call_takes_it() -> None:
    both = {"allowed": ["approve", "respond"]}
    assert answer_forms([both, both]) == "Answer: approve, respond TEXT."
    assert answer_forms([both, {"allowed": ["approve", "reject"]}]) == "Answer: approve."


def test_a_review_names_the_possible_decisions() -> None:
    review = {
        "action_requests": [{"name": "shell", "args": {"command": "git push"}, "rule": "shell:git *"}],
        "review_configs": [
            {"action_name": "shell", "allowed_decisions": ["approve", "reject"], "scopes": ["thread", "always"]}
        ],
    }
    shown = request_lines(ApprovalRequested("i", review))
    assert shown[0] == 'shell(command="git push")'
    assert "shell:git *" in shown[1]
    assert shown[-1].startswith("Answer: approve")
    assert "edit" not in shown[-1]
    assert "Answer: approve" in off_terminal(ApprovalRequested("i", review), quiet=True)[1]


@pytest.mark.parametrize("hidden", ["\x9d; rm -rf ~ #\x9c", "\x9b;m", "\u200b", "\x7f", "\u2028", "\u202e"])
def test_nothing_of_a_call_that_is_approved_is_hidden(hidden: str) -> None:
    """A terminal shows no such character, and what stands between two of them may be removed with them."""
    action = {"name": "run_shell", "args": {"command": f"echo  hi {hidden}"}, "rule": f"run_shell:echo  hi {hidden}"}
    asked = LinesShown(decision_lines({**action, "scopes": ("thread",)}))
    visible = "".join(char if char.isprintable() else f"<U+{ord(char):04X}>" for char in hidden)
    review = ApprovalRequested("i", {"action_requests": [action]})
    assert request_lines(review)[0] == f'run_shell(command="echo  hi {visible}")'
    for shown in ("\n".join(on_terminal(asked)), off_terminal(asked)[1]):
        assert f'run_shell(command="echo  hi {visible}")' in shown
        assert f"every call like run_shell:echo  hi {visible}" in shown


def test_a_diff_is_coloured_and_shown_whole() -> None:
    diff = "--- a.txt\n+++ a.txt\n@@ -1 +1 @@\n-one\x1b[2K\r\n+two\u202e" + " words" * 60
    terminal = Terminal(80)
    TerminalRenderer(terminal.console, terminal.console, clock=Clock()).render(LinesShown(diff_lines(diff)))
    shown = "".join(terminal.lines()).replace("\n", "")
    assert "-one<U+001B>[2K<U+000D>+two<U+202E> words" in shown
    assert shown.count("words") == 60
    assert {"\x1b[32m+two", "\x1b[31m-one", "\x1b[36m@@"} <= set(
        re.findall(r"\x1b\[3\dm(?:[+-]\w+|@@)", terminal.bytes.getvalue())
    )


def test_a_call_is_shown_once() -> None:
    description = "Check it.\n\nTool: weigh\nArgs: {'what': 'a cat'}"  # as langchain writes it
    action = {"name": "weigh", "args": {"what": "a cat"}, "description": description}
    assert on_terminal(LinesShown(decision_lines(action))) == ['weigh(what="a cat")', "  Check it."]


def test_a_call_to_be_approved_is_on_the_terminal_where_errors_go_to_a_file() -> None:
    terminal, errors = Terminal(), io.StringIO()
    renderer = TerminalRenderer(terminal.console, Console(file=errors), clock=Clock())
    renderer.render(LinesShown(decision_lines({"name": "weigh", "args": {}})))
    renderer.render(LinesShown([(keys_line({"y": "once"}, ""), "bold")]))
    assert terminal.lines() == ["weigh()", "y once"]
    assert errors.getvalue() == ""


def test_a_call_that_is_approved_is_shown_whole() -> None:
    command = f"echo {'x' * 500}\x1b[8m; rm -rf ~ \u202e#"
    action = {
        "name": "run_shell",
        "args": {"command": command},
        "description": f"one\n\n{'two' * 100}",
        "rule": "r\x1b",
    }
    call, *rest = action_lines(action)
    assert call == (f'run_shell(command="echo {"x" * 500}\\u001b[8m; rm -rf ~ <U+202E>#")', "bold")
    assert rest == [("  one", ""), (f"  {'two' * 100}", "")]
    review = {"action_name": "run_shell", "scopes": ["thread", "always"]}
    lines = request_lines(ApprovalRequested("i", {"action_requests": [action], "review_configs": [review]}))
    assert lines[0] == call[0]
    assert "approve thread or always: every call like r<U+001B>" in lines
    assert "t and a allow every call like r<U+001B>" in [
        line for line, _ in decision_lines({**action, "scopes": ["thread"]})
    ]
    diff = "--- a\n+++ a\n@@ -1 +1 @@\n-x\n+y\x1b[8m"
    changed = action_lines({"name": "write_file", "args": {"path": "a", "content": "y"}, "diff": diff})
    assert [line for line, _ in changed] == ['write_file(path="a")', *diff.replace("\x1b", "<U+001B>").split("\n")]
