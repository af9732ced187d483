"""Runs `chat` in the helper, and passes signals on to it meanwhile."""

import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

from chatcli.helper import kernel, wire
from chatcli.helper.same_conditions import installation
from chatcli.runtime.signals import STOPPING, is_survived

HELPER_ANSWER_SECONDS = 0.3
"""Seconds that the helper may take to answer before its process is checked."""
_HELPER_HANGS_SECONDS = 3.0
"""Seconds after which a helper that is not stopped counts as hung: it may have to fork for many clients."""
CHILD_READY_SECONDS = 3.0
"""Seconds that the helper's child may take to check the command line."""
_HEARTBEAT_SECONDS = 0.2
"""Seconds between two signals that let a stopped child continue."""
_PASSED_ON = (*STOPPING, signal.SIGWINCH, signal.SIGCONT)


def run_by_helper(arguments: list[str]) -> int | None:
    """Run `chat ARGUMENTS` in the helper, with this process's streams, folder and environment.

    Returns the exit code, or None when this process has to run it itself. In that case nothing was done.
    """
    try:
        run = _Run(arguments)
    except (OSError, ValueError):  # no helper, another user's, a hung one, or a message that is too long or no number
        return None
    return run.follow() if run.begun else None


class _Run:
    """A run in the helper's child."""

    def __init__(self, arguments: list[str]) -> None:
        path = wire.socket_path()
        encodings = [(stream.encoding, stream.errors or "strict") for stream in (sys.stdin, sys.stdout, sys.stderr)]
        request = wire.Request(arguments, dict(os.environ), installation(), not sys.stdin.isatty(), encodings).encode()
        self._connection = _connect(path)
        self.begun = False
        self._last_signal: int | None = None
        folder = kernel.open_folder(".")
        try:
            socket.send_fds(self._connection, [request], [folder])
            heard = self._heard()
        except TimeoutError:
            path.unlink(missing_ok=True)  # it hangs; without its socket it ends when it wakes up
            raise
        finally:
            os.close(folder)
        if heard != wire.HEARD:
            return
        self._connection.settimeout(CHILD_READY_SECONDS)
        ready, _, child = self._connection.recv(wire.MAX_REPLY).partition(b" ")
        if ready != wire.READY:
            return
        self._child = kernel.open_process(int(child))
        handled = [number for number in _PASSED_ON if not is_survived(number)]
        before = {number: signal.signal(number, self._pass_on) for number in handled}
        before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._stop)
        self._connection.settimeout(_HEARTBEAT_SECONDS)
        try:
            socket.send_fds(self._connection, [wire.GO], [0, 1, 2])
        except OSError:
            for number, handler in before.items():
                signal.signal(number, handler)
            raise
        self.begun = True

    def _heard(self) -> bytes:
        try:
            return self._connection.recv(wire.MAX_REPLY)
        except TimeoutError:
            helper, _ = kernel.peer(self._connection)
            if wire.is_stopped(helper):
                raise
        self._connection.settimeout(_HELPER_HANGS_SECONDS - HELPER_ANSWER_SECONDS)
        return self._connection.recv(wire.MAX_REPLY)

    def follow(self) -> int:
        """Wait for the end of the child and return its exit code; end by the same signal as the child."""
        code: int | None = None
        while data := self._receive():
            code = int(data)
        if code is not None:
            return code
        if self._last_signal is not None:
            signal.signal(self._last_signal, signal.SIG_DFL)
            os.kill(os.getpid(), self._last_signal)
        sys.stderr.write("error: the process that answered was killed\nIts thread keeps what had arrived.\n")
        return 1

    def _receive(self) -> bytes:
        while True:
            try:
                return self._connection.recv(16)
            except TimeoutError:
                self._send(signal.SIGCONT)  # it stops itself when it finds this process stopped
            except ConnectionResetError:
                return b""

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        if number in STOPPING:
            self._last_signal = number
        self._send(number)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        """Stop the child and this process, as the terminal asks."""
        self._send(signal.SIGSTOP)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, self._stop)
        self._send(signal.SIGCONT)

    def _send(self, number: int) -> None:
        with suppress(ProcessLookupError):  # it has ended; its exit code is on the way
            kernel.send_signal(self._child, number)


def _connect(path: Path) -> socket.socket:
    try:
        return wire.connect(path, HELPER_ANSWER_SECONDS)
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)  # its helper was killed
        raise
