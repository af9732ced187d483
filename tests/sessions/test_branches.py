"""A thread's tree of turns, read off its checkpoints."""

from chatcli.sessions.history import COMPACTED, current_branch, read_turns
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
