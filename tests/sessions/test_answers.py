"""What is typed as the answer to an interrupt, and the value that the graph gets."""

import json
from typing import Any

import pytest

from chatcli.errors import UsageError
from chatcli.events import ApprovalRequested
from chatcli.sessions.interrupt_answers import read_answer, read_answers

REVIEW = {
    "action_requests": [{"name": "weigh", "args": {"what": "a cat"}}],
    "review_configs": [
        {"action_name": "weigh", "allowed_decisions": ["approve", "edit", "reject"], "scopes": ["thread"]}
    ],
}
SINGLE = {"type": "tool_approval", "name": "weigh", "args": {}, "tool_call_id": "1", "description": ""}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("3", "3"),
        ('"quoted"', '"quoted"'),
        ("[1, 2]", [1, 2]),
        ('{"a": null}', {"a": None}),
        ("{", "{"),
    ],
)
def test_an_object_or_a_list_is_json_and_anything_else_is_text(text: str, value: Any) -> None:
    assert read_answer(ApprovalRequested("i", "sure?"), text) == value


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ("approve", {"type": "approve"}),
        ("y", {"type": "approve"}),
        ("OK", {"type": "approve"}),
        ("no", {"type": "reject"}),
        ("n too heavy", {"type": "reject", "message": "too heavy"}),
        ("approve thread", {"type": "approve", "scope": "thread"}),
        ("Reject too heavy", {"type": "reject", "message": "too heavy"}),
        ('edit {"what": "a dog"}', {"type": "edit", "edited_action": {"name": "weigh", "args": {"what": "a dog"}}}),
        ('{"type": "reject"}', {"type": "reject"}),
        ('{"decisions": [{"type": "reject"}]}', {"type": "reject"}),
    ],
)
def test_a_review_is_answered_by_decisions(text: str, decision: dict[str, Any]) -> None:
    assert read_answer(ApprovalRequested("i", REVIEW), text) == {"decisions": [decision]}
    assert read_answer(ApprovalRequested("i", SINGLE), "approve") == {"type": "approve"}


@pytest.mark.parametrize("text", ["perhaps", "edit", "edit [1]", "respond hello"])
def test_what_is_no_decision_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_answer(ApprovalRequested("i", REVIEW), text)


def test_a_word_decides_on_all_calls_but_an_edit_is_of_one() -> None:
    both = ApprovalRequested("i", {"action_requests": [{"name": "a", "args": {}}, {"name": "b", "args": {}}]})
    assert read_answer(both, "approve") == {"decisions": [{"type": "approve"}] * 2}
    with pytest.raises(UsageError, match="2 calls"):
        read_answer(both, "edit {}")


def test_several_interrupts_need_their_ids() -> None:
    pending = [ApprovalRequested("one", "a?"), ApprovalRequested("two", "b?")]
    assert read_answers(pending, '{"one": 1, "two": "x"}') == {"one": 1, "two": "x"}
    with pytest.raises(UsageError, match="2 answers"):
        read_answers(pending, "yes")
    with pytest.raises(UsageError, match="no answer"):
        read_answers([], "yes")


@pytest.mark.parametrize("text", ["{}", '{"a": 1, "x": 2}', '{"x": 1}'])
def test_an_object_with_other_keys_than_the_requests_is_an_answer_itself(text: str) -> None:
    assert read_answers([ApprovalRequested("a", "sure?")], text) == {"a": json.loads(text)}


def test_a_list_of_decisions_is_for_the_calls_in_their_order() -> None:
    decisions = [{"type": "approve"}, {"type": "reject"}]
    payload = {**REVIEW, "action_requests": [{"name": "weigh", "args": {}}] * 2}
    assert read_answer(ApprovalRequested("i", payload), json.dumps(decisions)) == {"decisions": decisions}


def test_nothing_answers_a_thread_that_waits_for_nothing() -> None:
    with pytest.raises(UsageError, match="waits for no answer"):
        read_answers([], "yes")
