"""What a program gets of a graph whose models write more than its answer, and what a terminal shows."""

from pathlib import Path

import pytest

from tests.e2e.checks import valid_events
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat
from tests.sample_graphs.research import NOTES

RESEARCH = Path(__file__).parent.parent / "sample_graphs" / "research.py"
ANSWER = "# Cats, summed up\n\nThere are 1 notes."
ASIDES = [
    '[clarify] {"need_clarification": false}',
    "[research/take_note] First note.",
    "[research/take_note] Second note.",
    "[report] Cats, summed up",
]


def spec(name: str) -> tuple[str, str]:
    return "--graph", f"{RESEARCH}:{name}"


def test_a_program_gets_the_messages_that_the_turn_added_to_the_state(chat: Chat) -> None:
    done = chat(*spec("graph"), "cats")
    assert (done.returncode, done.stdout, done.stderr.splitlines()) == (0, f"{ANSWER}\n", ASIDES)
    quiet = chat(*spec("graph"), "-q", "cats")
    assert (quiet.stdout, quiet.stderr) == (f"{ANSWER}\n", "")
    assert chat(*spec("graph"), "--json", "cats").json()["content"] == ANSWER


@pytest.mark.parametrize(
    ("name", "answer", "aside"),
    [
        ("checked", ANSWER, "[check] It is short."),
        ("redacted", "# Cats, summed up\n\nThere are some notes.", ASIDES[-1]),
        ("parallel", ANSWER, "[note_in_parallel] A note beside it."),
    ],
)
def test_what_a_later_node_writes_does_not_change_that(chat: Chat, name: str, answer: str, aside: str) -> None:
    done = chat(*spec(name), "cats")
    assert done.stdout == f"{answer}\n"
    assert aside in done.stderr.splitlines()
    assert done.stderr.count("There are") == 0


def test_chosen_nodes_are_the_answer(chat: Chat) -> None:
    for node in ("take_note", "research/take_note", "research"):
        done = chat(*spec("graph"), "--node", node, "cats")
        assert done.stdout == f"{NOTES}\n"
        assert done.stderr.splitlines() == [
            ASIDES[0],
            "[report] Cats, summed up",
            "[report] There are 1 notes.",
            "[report] # Cats, summed up",
        ]
    both = chat(*spec("graph"), "--node", "clarify", "--node", "take_note", "--json", "cats")
    assert both.json()["content"] == f'{{"need_clarification": false}}\n\n{NOTES}'

    typo = chat(*spec("graph"), "-q", "--node", "reprot", "--json", "cats")
    assert typo.json()["finish_reason"] == "no_answer"
    wrong = chat(*spec("graph"), "--node", "reprot", "cats")
    assert (
        "no text came from the node reprot; nodes that wrote text: clarify, research/take_note, report" in wrong.stderr
    )
    refused = chat("-m", "openai:x", "--node", "report", "hi")
    assert (refused.returncode, "--node has no effect" in refused.stderr) == (2, True)


def test_the_events_have_everything_with_its_node(chat: Chat) -> None:
    events = chat(*spec("graph"), "--format", "jsonl", "cats").events()
    valid_events(events)
    texts: dict[str, str] = {}
    drafts: set[str] = set()
    for event in events:
        if event["type"] == "text_delta":
            texts[event["node"]] = texts.get(event["node"], "") + event["text"]
            drafts |= {event["node"]} if event.get("draft") else set()
    assert {*texts} == {"clarify", "research/take_note", "report"}
    assert texts["research/take_note"].strip() == NOTES
    assert drafts == {"clarify", "research/take_note"}
    assert events[-1]["content"] == ANSWER


def test_a_terminal_shows_intermediate_text_dim_with_its_node(chat: Chat, terminal: OpenTerminal) -> None:
    tty = terminal(*spec("graph"), "cats", "-i", "--color", "always")
    tty.wait_for("[research/take_note] Second note.")
    tty.wait_for("There are 1 notes.")
    tty.wait_for_prompt()
    raw = tty.raw.decode()
    assert "\x1b[2m[research/take_note] First note." in raw
    assert "\x1b[2mThere are" not in raw
    tty = terminal(*spec("graph"), "cats", "-i", "-q")
    tty.wait_for("There are 1 notes.")
    tty.wait_for_prompt()
    assert "First note" not in tty.screen()
