"""The helper itself: waits for runs that are asked for, forks for each, and leaves after some idle minutes."""

import gc
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from chatcli.helper import wire
from chatcli.helper.child import be
from chatcli.helper.same_conditions import Environment, Files, installation, process_conditions
from chatcli.paths import runtime_dir

_IDLE_SECONDS = 300.0
_LOOK_EVERY = 2.0
"""Seconds between two looks at whether the helper is still wanted."""
_ASKED_WITHIN = 1.0
"""Seconds for a process that has connected to say what it wants."""
_UNFIT = 100
"""What a child ends with that may not run what is asked for; no exit code of `chat`."""


def serve(
    environment: Environment,
    suits: Callable[[list[str], bool], bool],
    run: Callable[[Callable[[int], None]], None],
    lock: int,
) -> None:
    """Be the helper of this installation, until nobody has asked for some minutes (`wire.IDLE_VARIABLE`).

    It returns in its forked children too: what is registered for Python's end is done there as in any process.

    Args:
        environment: What was asked for while everything that runs need was imported.
        suits: Tells whether `chat` with the given arguments, with input or not, may be run in a child.
        run: Runs `chat` with `sys.argv`, tells what it is given the exit code, and ends with SystemExit.
        lock: What keeps other helpers from starting, see `spawn.lock_start`; given up once this one listens.

    Raises:
        OSError: No socket can be had.

    """
    files = Files()
    if threading.active_count() > 1:
        return  # a fork would lose the other threads
    gc.freeze()
    path = wire.socket_path()
    with _listen(path) as listener:
        os.close(lock)
        helper = _Helper(path, listener, environment, files)
        connection = helper.next_connection(idle_seconds())
    if connection is None:
        return
    asked = helper.read_request(connection)
    if asked is None:
        os._exit(_UNFIT)
    be(*asked, connection, suits, run)


def idle_seconds() -> float:
    """Return how long a helper stays without being asked."""
    try:
        return max(0.1, float(os.environ[wire.IDLE_VARIABLE]))
    except (KeyError, ValueError):
        return _IDLE_SECONDS


Asked = tuple[wire.Request, int]
"""A request, and the descriptor of its folder."""


class _Helper:
    def __init__(self, path: Path, listener: socket.socket, environment: Environment, files: Files) -> None:
        self._path = path
        self._inode = path.stat().st_ino
        self._listener = listener
        self._environment = environment
        self._files = files
        self._world = process_conditions(os.getpid())
        self._program = installation()
        self._children: set[int] = set()

    def next_connection(self, idle_seconds: float) -> socket.socket | None:
        """Return, in a forked child, the connection by which a run is asked for; None in the helper, once not wanted.

        What is asked for (keys, the question) is read by the child alone: the helper stays, and so would its copies.
        """
        idle_since = time.monotonic()
        while self._in_place():
            ready, _, _ = select.select([self._listener], [], [], min(_LOOK_EVERY, idle_seconds))
            if self._reap():
                idle_since = time.monotonic()
            if not ready and not self._children and time.monotonic() - idle_since >= idle_seconds:
                self._path.unlink(missing_ok=True)
                return None
            if ready:
                connection, _ = self._listener.accept()
                with connection:
                    if (asking := self._take(connection)) is not None:
                        return asking
        return None

    def _take(self, connection: socket.socket) -> socket.socket | None:
        """Fork for whoever asks for something by `connection`; return a copy of it in the child."""
        try:
            connection.settimeout(_ASKED_WITHIN)
            if not connection.recv(1, socket.MSG_PEEK):  # only looked whether a helper listens
                return None
            # No more than that before the fork: when many ask at once, the last must not take this one for hung.
            same_user = wire.peer(connection)[1] == os.getuid()
            connection.send(wire.HEARD if same_user else wire.NO)
            # Nothing that could fail comes after the fork: a child that went on here would be a second helper.
            asking = connection.dup()
            if same_user and self._fork():
                return asking
            asking.close()
        except OSError:
            pass  # it went away
        return None

    def read_request(self, connection: socket.socket) -> Asked | None:
        """Return, in the child, what is asked for by `connection`; say so and return None when it does not fit here."""
        with suppress(OSError, ValueError, TypeError):  # it went away, or is no `chat` of this version
            connection.settimeout(_ASKED_WITHIN)
            data, [folder], _, _ = socket.recv_fds(connection, wire.MAX_REQUEST, 1)
            request = wire.Request.decode(data)
            if request.program == self._program and self._is_like(request, wire.peer(connection)[0]):
                return request, folder
        with suppress(OSError):
            connection.send(wire.NO)
        return None

    def _is_like(self, request: wire.Request, pid: int) -> bool:
        if request.environment.get("HOME") != os.environ.get("HOME") or not self._files.unchanged():
            # Of no use any more to who asks: an upgrade, or he lives elsewhere now. The next helper is another one.
            if self._in_place():
                self._path.unlink(missing_ok=True)
            return False
        return process_conditions(pid) == self._world and self._environment.matches(request.environment)

    def _fork(self) -> bool:
        """Fork; tell whether this is the child."""
        child = os.fork()
        if child == 0:
            return True
        self._children.add(child)
        return False

    def _reap(self) -> bool:
        """Clear away the children that have ended; tell whether one of them has run something."""
        ended = [os.waitpid(child, os.WNOHANG) for child in self._children]
        self._children -= {child for child, _ in ended}
        return any(child and os.waitstatus_to_exitcode(status) != _UNFIT for child, status in ended)

    def _in_place(self) -> bool:
        """Return whether the socket in the folder is still this one."""
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False


def _listen(path: Path) -> socket.socket:
    """Return a listening socket at `path`, for this user alone; one that was there is replaced in one step."""
    runtime_dir(create=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    own = path.with_suffix(f".{os.getpid()}")
    listener.bind(str(own))
    own.chmod(0o600)
    listener.listen()
    own.rename(path)
    return listener
