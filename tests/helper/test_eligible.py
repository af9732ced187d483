"""Which command lines may go to the helper, by how the process was started."""

import os
import sys
from io import TextIOWrapper

import pytest

from chatcli.helper.eligible import may_use_helper


class Stream(TextIOWrapper):
    """A standard stream with the number of its descriptor."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name, value in os.environ.items() if "/dev/" in value or "/proc/" in value]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("CHATCLI_HELPER", raising=False)


def may_go(
    *arguments: str,
    terminals: tuple[int, ...] = (1, 2),
    numbers: tuple[int, ...] = (0, 1, 2),
    foreground: bool = True,
) -> bool:
    """Return the decision on a process with these standard streams, some of which are terminals."""
    with pytest.MonkeyPatch.context() as patch:
        for name, number in zip(("stdin", "stdout", "stderr"), numbers, strict=True):
            patch.setattr(sys, name, None if number < 0 else Stream(number))
        patch.setattr(os, "isatty", terminals.__contains__)
        patch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp() + (not foreground))
        return may_use_helper(list(arguments))


@pytest.mark.parametrize(
    ("arguments", "may"),
    [
        *((["hi"], True), ([], True), (["-"], True), (["-m", "x", "hi"], True), (["--json", "hi"], True)),
        *((["--help"], False), (["-h"], False), (["--version"], False), (["-i", "hi"], False), (["-r"], False)),
        *((["--no-helper", "hi"], False), (["--show-completion"], False), (["threads", "list"], False)),
        *((["--", "threads"], True), (["hi", "threads"], True), (["-t", "threads", "hi"], True)),
        *((["-f", "/dev/stdin", "hi"], False), (["-f", "/proc/self/fd/0", "hi"], False)),
        (["--system", "--help", "hi"], True),
    ],
)
def test_a_question_may_go_to_the_helper(arguments: list[str], *, may: bool) -> None:
    assert may_go(*arguments) is may


def test_at_a_terminal_what_is_asked_there_stays_here() -> None:
    everywhere = (0, 1, 2)
    assert may_go("hi there", terminals=everywhere)
    assert not may_go(terminals=everywhere)  # a conversation
    assert not may_go("-", terminals=everywhere)  # the prompt is typed
    assert not may_go("thread", terminals=everywhere)  # a mistyped sub-command is asked about
    assert may_go("thread")


def test_streams_that_are_not_the_first_three_or_not_ours_stay_here() -> None:
    for numbers in ((0, 1, 5), (-1, 1, 2), (1, 0, 2)):
        assert not may_go("hi", numbers=numbers)
    assert not may_go("hi", foreground=False)  # in the background


@pytest.mark.parametrize("value", ["0", "false", "OFF", "no", "n"])
def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CHATCLI_HELPER", value)
    assert not may_go("hi")
    monkeypatch.setenv("CHATCLI_HELPER", "1")
    assert may_go("hi")


@pytest.mark.parametrize("value", ["/dev/fd/63", "/dev/stdin", "/proc/self/fd/3"])
def test_a_variable_that_names_a_descriptor_of_ours_stays_here(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CHATCLI_SCHEMA", value)
    assert not may_go("hi")


def test_another_system_has_no_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not may_go("hi")
