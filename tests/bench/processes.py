"""Starts a program, in a pseudo-terminal or on pipes, and notes when it gets somewhere and what it costs."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

KEY = b"\xc3\xa9"
"""What is typed first: a letter that no prompt and no greeting holds, in UTF-8."""
GLYPH = b">"
_CONTROL = re.compile(rb"\x1b(?:\[[0-9;?<=>]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[=>()][0-9A-B]?)")
PATIENCE = 60.0
"""Seconds after which a program that gets nowhere is given up."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is started: its arguments, the whole environment, and the folder."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run cost: seconds of wall time to its end, of CPU, and the peak of its memory in MB."""

    wall: float
    cpu: float
    peak: float


@dataclass(frozen=True, slots=True)
class Prompted:
    """One start up to the first key: seconds to the prompt's first byte and to that key's echo, and the cost."""

    prompt: float
    key: float
    cost: Cost


def run(program: Program) -> Cost:
    """Run `program` to its end, its output thrown away.

    Raises:
        RuntimeError: It failed.

    """
    began = time.monotonic()
    process = subprocess.Popen(
        program.argv,
        env=program.env,
        cwd=program.cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    cost, code = _reap(process, began)
    if code != 0:
        raise RuntimeError(f"{' '.join(program.argv)} failed with exit code {code}")
    return cost


def run_to_key(program: Program) -> Prompted:
    """Start `program` in a terminal, wait for its prompt, press a key, wait for its echo, and kill it."""
    began = time.monotonic()
    process, master = _start_in_terminal(program)
    try:
        prompt = _wait_for(master, GLYPH) - began
        os.write(master, KEY)
        key = _wait_for(master, KEY) - began
    finally:
        process.kill()
        cost, _ = _reap(process, began)
        os.close(master)
    return Prompted(prompt, key, cost)


def run_in_terminal(program: Program) -> Cost:
    """Run `program` in a terminal to its end, all that it shows read and thrown away.

    Raises:
        RuntimeError: It failed.

    """
    return watch_in_terminal(program)[0]


def watch_in_terminal(program: Program) -> tuple[Cost, list[tuple[float, bytes]]]:
    """Run `program` in a terminal to its end; return what it shows too, each part with the time when it came.

    Raises:
        RuntimeError: It failed.

    """
    began = time.monotonic()
    process, master = _start_in_terminal(program)
    shown = []
    try:
        while part := os.read(master, 1 << 16):
            shown.append((time.monotonic(), part))
    except OSError:  # the other end was closed
        pass
    cost, code = _reap(process, began)
    os.close(master)
    if code != 0:
        raise RuntimeError(f"{' '.join(program.argv)} failed with exit code {code}")
    return cost, shown


def visible(output: bytes) -> bytes:
    """Return `output` without its control sequences."""
    return _CONTROL.sub(b"", output)


def echo_delays(program: Program, seconds: float, interval: float) -> list[float]:
    """Press a key every `interval` seconds from the prompt on, for `seconds`; return how long each echo took."""
    process, master = _start_in_terminal(program)
    delays = []
    try:
        _wait_for(master, GLYPH)
        end = time.monotonic() + seconds
        while (pressed := time.monotonic()) < end:
            os.write(master, KEY)
            delays.append(_wait_for(master, KEY) - pressed)
            time.sleep(interval)
    finally:
        process.kill()
        process.wait()
        os.close(master)
    return delays


def idle_memory(program: Program) -> float:
    """Start `program` in a terminal; return the MB (PSS) that it holds when it has a prompt and does nothing more."""
    process, master = _start_in_terminal(program)
    try:
        _wait_for(master, GLYPH)
        before, now = -1.0, 0.0
        while now > before:
            time.sleep(1)
            before, now = now, _cpu_seconds(process.pid)
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        return int(rollup.partition("Pss:")[2].split()[0]) / 1024
    finally:
        process.kill()
        process.wait()
        os.close(master)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _start_in_terminal(program: Program) -> "tuple[subprocess.Popen[bytes], int]":
    """Start `program` in a terminal of 100 columns; return it and the terminal's other end."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = subprocess.Popen(
        program.argv,
        env=program.env,
        cwd=program.cwd,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    return process, master


def _wait_for(master: int, wanted: bytes) -> float:
    """Read until `wanted` was printed; return when it was."""
    seen = b""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if select.select([master], [], [], 1)[0]:
            seen += os.read(master, 1 << 16)
            if wanted in _CONTROL.sub(b"", seen):
                return time.monotonic()
    raise RuntimeError(f"no {wanted!r} in {seen!r}")


def _reap(process: "subprocess.Popen[bytes]", began: float) -> tuple[Cost, int]:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024), process.returncode
