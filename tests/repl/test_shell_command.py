"""Commands of the user's shell (`!command`), and what they leave running."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from chatcli.rendering.display import ShellFinished, ShellOutput
from chatcli.repl.shell import KEPT, ShellCommand
from tests.models.local.processes import alive
from tests.waiting import WAIT_SECONDS, wait_until


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/sh")


async def test_an_interrupt_ends_what_a_shell_that_is_over_has_left() -> None:
    async with asyncio.timeout(WAIT_SECONDS):
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
        started, finished = events
    assert started == ShellOutput("started\n")
    assert isinstance(finished, ShellFinished)


async def test_what_a_command_leaves_behind_on_purpose_goes_on() -> None:
    said, finished = [event async for event in ShellCommand("sleep 5 >/dev/null 2>&1 & echo $!").run()]
    assert isinstance(said, ShellOutput)
    assert finished == ShellFinished("sleep 5 >/dev/null 2>&1 & echo $!", said.text, 0)


async def interrupt_after_output(command: ShellCommand, times: int) -> list[object]:
    """Run `command`, interrupt it `times` times after its first output, and return its events."""
    events: list[object] = []
    async for event in command.run():
        events.append(event)
        if len(events) == 1:
            for _ in range(times):
                command.interrupt()
    return events


@pytest.mark.linux
@pytest.mark.parametrize("output", ["", " >/dev/null 2>&1"], ids=["with the output", "without it"])
@pytest.mark.parametrize("shell", ["/bin/dash", "/bin/bash"])
def test_nothing_outlives_an_interrupt(monkeypatch: pytest.MonkeyPatch, shell: str, output: str) -> None:
    monkeypatch.setenv("SHELL", shell)
    line = f"""sh -c 'trap "" INT; sleep 600; :'{output} & echo $!; wait"""
    said, finished = asyncio.run(asyncio.wait_for(interrupt_after_output(ShellCommand(line), 1), WAIT_SECONDS))
    assert isinstance(said, ShellOutput)
    assert finished == ShellFinished(line, said.text, 130)
    wait_until(lambda: not alive(int(said.text)))  # a killed process ends when it is scheduled next


def test_a_second_interrupt_kills_what_ignores_the_first() -> None:
    line = "trap '' INT; echo begun; sleep 600"
    _, finished = asyncio.run(asyncio.wait_for(interrupt_after_output(ShellCommand(line), 2), WAIT_SECONDS))
    assert finished == ShellFinished(line, "begun\n", 137)


@pytest.mark.linux
def test_an_interrupt_between_fork_and_exec_is_not_lost() -> None:
    # The process catches the interrupt, as a fork of a shell does, and runs the command after that.
    program = "import os, signal; signal.signal(2, lambda *_: os.execlp('sleep', 'sleep', '600'))"
    line = f"""{sys.executable} -S -c "{program}; print('begun', flush=True); signal.pause()"; exit 130"""
    _, finished = asyncio.run(asyncio.wait_for(interrupt_after_output(ShellCommand(line), 1), WAIT_SECONDS))
    assert isinstance(finished, ShellFinished)
    assert finished.exit_code == 130


async def test_a_command_gets_no_keys_and_all_that_it_writes_is_shown() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"typed")
    os.close(writer)
    before = os.dup(0)
    os.dup2(reader, 0)
    try:
        events = [event async for event in ShellCommand("cat; echo out; echo err >&2; exit 3").run()]
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(reader)
    assert events[-1] == ShellFinished("cat; echo out; echo err >&2; exit 3", "out\nerr\n", 3)
    assert "".join(event.text for event in events if isinstance(event, ShellOutput)) == "out\nerr\n"


async def test_the_end_of_a_long_output_is_kept() -> None:
    *_, ended = [event async for event in ShellCommand(f"head -c {KEPT} /dev/zero | tr '\\0' a; echo end").run()]
    assert isinstance(ended, ShellFinished)
    assert (len(ended.output), ended.output[-5:]) == (KEPT, "aend\n")


async def test_a_command_runs_in_the_users_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = tmp_path / "shell"
    shell.write_text('#!/bin/sh\necho "$@"')
    shell.chmod(0o700)
    monkeypatch.setenv("SHELL", str(shell))
    *_, ended = [event async for event in ShellCommand("a  b").run()]
    assert ended == ShellFinished("a  b", "-c a  b\n", 0)


async def test_a_command_ends_with_who_reads_its_output() -> None:
    running = ShellCommand("echo $$; exec sleep 1000").run()
    assert isinstance(running, AsyncGenerator)
    async with asyncio.timeout(WAIT_SECONDS), aclosing(running) as events:
        started = await anext(events)
    assert isinstance(started, ShellOutput)
    assert not psutil.pid_exists(int(started.text))
