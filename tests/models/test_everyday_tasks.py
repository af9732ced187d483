"""The checks of the benchmark of local models accept right answers and reject wrong ones."""

import sys
from collections import Counter

import pytest

from tests.bench.answer_checks import function, json_equal, plain, result, says
from tests.bench.everyday_tasks import CHOOSING, CONFIRMING, TASKS, Task


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.turns[-1][:40])
def test_a_check_accepts_the_right_answer_and_rejects_the_wrong_one(task: Task) -> None:
    assert task.check(task.right)
    assert not task.check(task.wrong)
    assert not task.check("")


def test_there_are_sixty_tasks_and_both_halves_have_as_many_of_each_group() -> None:
    assert len({task.turns for task in TASKS}) == 60
    assert Counter(task.group for task in CHOOSING) == Counter(task.group for task in CONFIRMING)


def test_words_are_compared_without_case_accents_and_emphasis() -> None:
    assert plain("**Où** est l\u2019_Élysée_?") == "ou est l'elysee?"
    assert says("get_user")("Rename `get_user`")


@pytest.mark.parametrize(
    "answer", ["1,250.50 euros", "It is 1 250.50.", "**$1250.5**", r"\[ 5 + 1{,}250 = 1{,}250.50 \]"]
)
def test_a_number_is_known_in_each_form(answer: str) -> None:
    assert result(1250.5)(answer)


def test_a_number_in_an_earlier_step_is_no_result() -> None:
    assert not result(12)("4 * 3 = 12\nSo it is 14.")


@pytest.mark.parametrize("answer", ['Sure: {"A": "x."} and so on {', '```json\n{\n "a": "X"\n}\n```'])
def test_json_is_found_in_text(answer: str) -> None:
    assert json_equal({"a": "x"})(answer)


@pytest.mark.e2e
@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "open('/tmp/x', 'w')",
        "__import__('os').system('true')",
        "__import__('os').open('x', 65)",
        "__import__('socket').socket()",
        pytest.param("bytes(1 << 30)", marks=pytest.mark.skipif(sys.platform != "linux", reason="it bounds no memory")),
        "raise SystemExit(0)",
        "1 / 0",
    ],
)
def test_code_that_leaves_its_bounds_is_wrong(body: str) -> None:
    assert function("f", ((), None))("def f():\n    return None")
    assert not function("f", ((), None))(f"def f():\n    {body}")
