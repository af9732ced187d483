"""Commands of the user's shell (`!command`), and what they leave running."""

import asyncio

import pytest

from chatcli.events import ShellFinished, ShellOutput
from chatcli.repl.handler import ShellCommand


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/sh")


def test_an_interrupt_ends_what_a_shell_that_is_over_has_left() -> None:
    async def run() -> list[object]:
        command = ShellCommand("sleep 600 & echo started")  # the shell is over, sleep has its output
        events: list[object] = []

        async def read() -> None:
            async for event in command.run():
                events.append(event)  # noqa: PERF401 - they are looked at while it runs

        reading = asyncio.create_task(read())
        while not reading.done():
            if events:
                command.interrupt()
            await asyncio.wait([reading], timeout=0.01)
        reading.result()
        return events

    started, finished = asyncio.run(asyncio.wait_for(run(), 30))
    assert started == ShellOutput("started\n")
    assert isinstance(finished, ShellFinished)


def test_what_a_command_leaves_behind_on_purpose_goes_on() -> None:
    async def run() -> list[object]:
        return [event async for event in ShellCommand("sleep 5 >/dev/null 2>&1 & echo $!").run()]

    said, finished = asyncio.run(run())
    assert isinstance(said, ShellOutput)
    assert finished == ShellFinished("sleep 5 >/dev/null 2>&1 & echo $!", said.text, 0)
