"""A command ends with the process that started it, with the kernel's help and without it."""

import os
import select
import signal
import subprocess
import sys

import pytest

from chatcli.tools.leash import leashed
from tests.waiting import WAIT_SECONDS

pytestmark = pytest.mark.parametrize(
    "by_kernel",
    [
        pytest.param(True, marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills orphans")),
        False,
    ],
    ids=["kernel", "watching"],
)
PARENT = """
import subprocess, sys
from chatcli.tools.leash import leashed
command = leashed(["sh", "-c", "echo started; exec sleep 600"], by_kernel={by_kernel})
subprocess.run(command, start_new_session=True, pass_fds=[{lifeline}])
"""


def run(by_kernel: bool, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        leashed(command, by_kernel=by_kernel), start_new_session=True, capture_output=True, text=True, check=False
    )


def test_it_ends_with_a_process_that_is_killed(by_kernel: bool) -> None:
    read_end, lifeline = os.pipe()  # its end is seen when the last process that has it is gone
    program = PARENT.format(by_kernel=by_kernel, lifeline=lifeline)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, pass_fds=[lifeline]) as parent:
        os.close(lifeline)
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        assert select.select([read_end], [], [], 0)[0] == []
        parent.send_signal(signal.SIGKILL)
    assert select.select([read_end], [], [], WAIT_SECONDS)[0] == [read_end]
    assert os.read(read_end, 1) == b""
    os.close(read_end)


@pytest.mark.parametrize(("line", "code"), [("exit 7", 7), ("kill -TERM $$", -15), ("kill -KILL $$", -9)])
def test_it_ends_as_the_command_does(by_kernel: bool, line: str, code: int) -> None:
    assert run(by_kernel, "sh", "-c", line).returncode == code


def test_a_signal_for_the_group_is_the_commands(by_kernel: bool) -> None:
    line = "trap 'echo trapped; exit 3' TERM; kill -TERM 0; exit 4"
    result = run(by_kernel, "sh", "-c", line)
    assert (result.returncode, result.stdout) == (3, "trapped\n")


def test_a_command_without_a_reader_ends_silently(by_kernel: bool) -> None:
    result = run(by_kernel, "bash", "-c", "yes | head -n 1")
    assert (result.stdout, result.stderr) == ("y\n", "")
