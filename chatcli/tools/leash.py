"""How a command that this process starts ends with it, even if this process is killed outright."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

# The kernel kills the command when its parent dies from any signal: prctl(PR_SET_PDEATHSIG, SIGKILL). Python ignores
# SIGPIPE, and what it starts would do so too.
_BY_KERNEL = """
import _signal, ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
_signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
os.execvp(sys.argv[2], sys.argv[2:])
"""
# A process between the two looks twice a second whether its parent is still there. Signals for the group are the
# command's; ending is left to it.
_BY_WATCHING = """
import os, signal, sys, threading, time
def watch():
    while os.getppid() == int(sys.argv[1]):
        time.sleep(0.5)
    os.killpg(0, signal.SIGKILL)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, lambda *_: None)
threading.Thread(target=watch, daemon=True).start()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ, setsigdef=[signal.SIGPIPE])
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


def leashed(command: Sequence[str], *, by_kernel: bool = sys.platform == "linux") -> list[str]:
    """Return the command that runs `command`, and ends with this process; it must lead a process group.

    Args:
        command: A program and its arguments.
        by_kernel: Whether the system kills a process whose parent has ended; only Linux does.

    """
    program = _BY_KERNEL if by_kernel else _BY_WATCHING
    return [sys.executable, "-I", "-S", "-c", program, str(os.getpid()), *command]


def missed_interrupt(group: int) -> list[int]:
    """Return the processes of a group that still run though it was interrupted, and neither catch nor ignore that.

    An interrupt is lost if it comes between the fork of a shell, which catches it, and the exec of the command.
    Empty on systems without /proc.
    """
    missed = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int((process / "stat").read_text().rpartition(")")[2].split()[2]) != group:
                continue
            status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        except (OSError, ValueError):  # it has ended meanwhile
            continue
        handled = int(status.get("SigCgt", "0"), 16) | int(status.get("SigIgn", "0"), 16)
        if not handled & 1 << (signal.SIGINT - 1) and "Z" not in status["State"]:
            missed.append(int(process.name))
    return missed
