"""A thread's tree of turns, read off its checkpoints."""

from dataclasses import replace

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from chatcli.events import INTERRUPTED
from chatcli.message import Excerpt
from chatcli.sessions.history import (
    COMPACTED,
    EDITED,
    TAKEN_OVER,
    Turn,
    as_shown,
    before_edit,
    branch_ends,
    branch_to,
    current_branch,
    end_after,
    excerpts_around,
    excerpts_in,
    heard_before,
    new_messages,
    newest_turn,
    read_excerpts,
    read_turns,
    session_name,
    whole_history,
)
from chatcli.store.threads import Step


def test_a_straight_thread_is_one_branch() -> None:
    steps = [
        Step("a", None, 1, "one", "input"),
        Step("b", "a", 1, "one", "loop"),
        Step("c", "b", 2, "two", "input"),
        Step("d", "c", 2, "two", "loop"),
    ]
    turns = read_turns(steps)
    assert [(turn.number, turn.parent, turn.end, turn.current) for turn in turns] == [
        (1, None, "b", True),
        (2, 1, "d", True),
    ]


def test_a_rewind_leaves_the_other_branch_beside_the_current_one() -> None:
    steps = [
        Step("a", None, 1, "one", "input"),
        Step("b", "a", 1, "one", "loop"),
        Step("c", "b", 2, "two", "input"),
        Step("d", "b", 1, "", "update"),  # back to the end of turn 1
        Step("e", "d", 2, "three", "input"),
    ]
    turns = read_turns(steps)
    assert [turn.title for turn in current_branch(turns)] == ["one", "three"]
    assert [(turn.parent, turn.end) for turn in turns] == [(None, "d"), (1, "c"), (1, "e")]


def test_a_summary_begins_a_branch_behind_the_end_of_its_turn() -> None:
    steps = [
        Step("a", None, 1, "one", "input"),
        Step("b", "a", 1, "one", "loop"),
        Step("s", "b", 1, COMPACTED, "update"),
        Step("c", "s", 2, "two", "input"),
        Step("d", "s", 1, "", "update"),  # back to before turn 2
    ]
    (one, two) = read_turns(steps)
    assert (one.end, two.parent, two.before, one.current, two.current) == ("b", 1, "s", True, False)


def test_a_thread_rewound_to_its_beginning_has_no_current_turn() -> None:
    steps = [
        Step("a", None, 1, "one", "input"),
        Step("b", "a", 1, "one", "loop"),
        Step("c", "b", 0, "", "update"),
    ]
    assert current_branch(read_turns(steps)) == []
    steps.append(Step("d", "c", 1, "two", "input"))
    assert [(turn.title, turn.parent) for turn in current_branch(read_turns(steps))] == [("two", None)]


def test_no_checkpoints_no_turns() -> None:
    assert read_turns([]) == []


# 1 - 2 - 3, 2 - 4, and 1 - 5 is current
TURNS = [
    Turn(number, f"q{number}", parent, None, f"c{number}", current)
    for number, parent, current in ((1, None, True), (2, 1, False), (3, 2, False), (4, 2, False), (5, 1, True))
]


def talk(*numbers: int) -> list[BaseMessage]:
    found: list[BaseMessage] = []
    for number in numbers:
        found += [HumanMessage(f"q{number}", id=f"q{number}"), AIMessage(f"a{number}", id=f"a{number}")]
    return found


def test_the_ends_of_branches_begin_with_the_current_one() -> None:
    assert [turn.number for turn in branch_ends(TURNS)] == [5, 4, 3]
    older = [replace(turn, current=turn.number in (1, 2, 3)) for turn in TURNS]
    assert [turn.number for turn in branch_ends(older)] == [3, 5, 4]
    assert [turn.number for turn in branch_to(TURNS[2], TURNS)] == [1, 2, 3]
    assert end_after(TURNS[1], TURNS).number == 4
    assert end_after(TURNS[4], TURNS).number == 5


async def test_what_is_said_is_read_once_for_each_branch() -> None:
    states = {"": talk(1, 5), "c4": talk(1, 2, 4), "c3": talk(1, 2, 3)}

    async def read(checkpoint_id: str) -> list[BaseMessage]:
        return states[checkpoint_id]

    found = [sorted(excerpts) async for excerpts in excerpts_in(TURNS, read)]
    assert found == [[1, 5], [2, 4], [3]]
    around = [sorted(await excerpts_around(number, TURNS, read)) for number in (1, 5, 2, 3)]
    assert around == [[1, 5], [1, 5], [1, 2, 4], [1, 2, 3]]


def test_the_answer_of_a_turn_is_its_last_text() -> None:
    one, two = TURNS[:2]
    messages = [
        AIMessage("of a removed question"),
        HumanMessage("q1"),
        AIMessage("first", id="a"),
        AIMessage("then"),
        AIMessage(""),
        HumanMessage("q2"),
    ]
    assert read_excerpts([one, two], messages) == {1: Excerpt("q1", "then"), 2: Excerpt("q2", "")}
    assert read_excerpts([one, two], messages[-1:]) == {2: Excerpt("q2", "")}  # the graph keeps only the newest
    assert read_excerpts([], []) == {}


def test_what_another_branch_has_begins_with_a_question() -> None:
    assert new_messages(talk(1, 2, 3), talk(1, 5)) == talk(2, 3)
    assert new_messages(talk(1), talk(1, 5)) == []
    again = [*talk(1)[:1], AIMessage("another answer", id="b")]  # to the same question
    assert new_messages(again, talk(1)) == again


def test_a_summary_that_was_taken_over_is_undone_first() -> None:
    steps = [
        Step("a", None, 1, "one", "input"),
        Step("b", "a", 1, "one", "loop"),
        Step("s", "b", 1, TAKEN_OVER, "update"),
    ]
    assert before_edit(steps) == "b"
    assert read_turns(steps)[0].end == "s"  # /rewind to the turn keeps it
    assert before_edit([*steps, Step("c", "s", 2, "two", "input")]) is None


async def test_a_summary_that_was_taken_over_replaces_nothing() -> None:
    taken = HumanMessage("a summary", additional_kwargs={"lc_source": "summarization", TAKEN_OVER: True}, id="s")
    steps = [Step("a", None, 1, "one", "input"), Step("b", "a", 1, "one", "loop")]

    async def read(checkpoint_id: str) -> list[BaseMessage]:
        raise AssertionError("no older state is read")

    assert await whole_history([*talk(1), taken], steps, read) == [*talk(1), taken]


@pytest.mark.parametrize("title", [COMPACTED, EDITED])
def test_what_begins_a_branch_does_so_with_all_of_its_checkpoints(title: str) -> None:
    steps = [
        Step("a", None, 1, "one", "input"),
        Step("b", "a", 1, "one", "loop"),
        Step("s", "b", 1, title, "update"),
        Step("t", "s", 1, "", "update"),  # an edit takes three
    ]
    [one] = read_turns(steps)
    assert (one.end, one.current) == ("b", True)
    assert read_turns([*steps, Step("c", "t", 2, "two", "input")])[1].before == "t"
    assert before_edit(steps) == ("b" if title == EDITED else None)
    assert before_edit([]) is None


def test_a_server_that_can_not_go_back_hears_another_name_after_each_time() -> None:
    one, two, three, four, five = TURNS
    for branch, name in [([one], "t"), ([one, two], "t"), ([one, two, three], "t"), ([one, two, four], "t-4")]:
        assert session_name("t", branch) == name
    assert session_name("t", [one, five]) == "t-5"
    assert session_name("t", [five]) == "t-5"


def test_messages_are_shown_with_what_became_of_them() -> None:
    call = {"name": "weigh", "args": {"what": "a cat"}, "id": "1"}
    messages = [
        HumanMessage("q"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("4 kg", tool_call_id="1"),
        ToolMessage("no scales", tool_call_id="2", name="measure", status="error"),
        ToolMessage("x", tool_call_id="3"),
        AIMessage("It wei", response_metadata={"finish_reason": INTERRUPTED}),
        HumanMessage("a summary", additional_kwargs={"lc_source": "summarization"}),
        AIMessage(""),
    ]
    assert [(shown.role, shown.text, shown.interrupted) for shown in as_shown(messages)] == [
        ("user", "q", False),
        ("tool", 'weigh(what="a cat") → 4 kg', False),
        ("tool", "measure ✗ no scales", False),
        ("tool", "tool → x", False),
        ("assistant", "It wei", True),
        ("summary", "a summary", False),
        ("assistant", "", False),
    ]
    assert newest_turn(messages) == 0  # a summary is no question
    assert newest_turn([*messages, HumanMessage("r")]) == len(messages)
    assert newest_turn([AIMessage("x")]) == 0


def test_the_newest_whole_answer_says_who_has_heard_the_thread() -> None:
    def answer(maker: str, **more: str) -> AIMessage:
        return AIMessage("x", response_metadata={"model_provider": maker, **more})

    assert heard_before([HumanMessage("q")], "a")
    assert heard_before([answer("b"), answer("a"), HumanMessage("q")], "a")
    assert not heard_before([answer("a"), answer("b")], "a")
    assert heard_before([answer("a"), answer("", finish_reason=INTERRUPTED)], "a")
    assert not heard_before([answer("b"), answer("", finish_reason=INTERRUPTED)], "a")
