"""The helper: waits for clients, forks a child for each of them, and ends after some idle minutes."""

import gc
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TextIO, cast

from chatcli.helper import kernel, wire
from chatcli.helper.same_conditions import Environment, Files, installation, process_conditions
from chatcli.paths import runtime_dir
from chatcli.runtime.signals import STOPPING

_STOPPED_CHECK_SECONDS = 0.05
_STREAMS_SECONDS = 5.0
_IDLE_SECONDS = 300.0
"""Seconds that a helper stays without a client, unless the environment sets another time."""
_NEEDED_CHECK_SECONDS = 2.0
_REQUEST_SECONDS = 1.0
_UNFIT = 100
"""Exit code of a child that may not run the request; not an exit code of `chat`."""


def run_as_client(
    request: wire.Request,
    folder: int,
    connection: socket.socket,
    fits: Callable[[list[str], bool], bool],
    run: Callable[[Callable[[int], None]], None],
) -> None:
    """Run `request` in its client's `folder`, with the streams of the `connection`; end when the client ends.

    `fits` returns whether `chat` with the given arguments, with input or not, may run here. `run` runs `chat` with
    `sys.argv`: it unblocks signals, calls its argument with the exit code, and ends with SystemExit.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # a signal that is passed on waits until a handler is there
    os.fchdir(folder)
    os.close(folder)
    os.environ.clear()
    os.environ.update(request.environment)
    time.tzset()
    if not _take_streams(connection, request, fits(request.arguments, request.has_input)):
        os._exit(0)
    sys.argv = ["chat", *request.arguments]
    client, _ = kernel.peer(connection)
    Thread(target=_follow, args=(connection, client), daemon=True).start()
    run(partial(_send_exit_code, connection))


def _send_exit_code(connection: socket.socket, code: int) -> None:
    """Send the exit code; the client then waits for the end of this process."""
    with suppress(OSError):
        connection.send(b"%d" % code)


def _take_streams(connection: socket.socket, request: wire.Request, fits: bool) -> bool:
    """Take over the client's streams if the run `fits` and the client still wants it here; return whether it does."""
    connection.settimeout(_STREAMS_SECONDS)
    try:
        connection.send(wire.READY + b" %d" % os.getpid() if fits else wire.NO)
        answer, descriptors, _, _ = socket.recv_fds(connection, wire.MAX_REPLY, 3)
    except OSError:
        return False
    if answer != wire.GO:
        return False
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = _stream(0, "r", *request.encodings[0])
    sys.stdout = _stream(1, "w", *request.encodings[1])
    sys.stderr = _stream(2, "w", *request.encodings[2], buffering=1)
    return True


def _stream(number: int, mode: str, encoding: str, errors: str, buffering: int = -1) -> TextIO:
    stream = open(number, mode, buffering, encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115
    return cast("TextIO", stream)


def _follow(connection: socket.socket, client: int) -> None:
    """Stop this process when the client stops, and kill it when the client ends; the client sends SIGCONT itself."""
    while not select.select([connection], [], [], _STOPPED_CHECK_SECONDS)[0]:
        with suppress(OSError):
            if wire.is_stopped(client):
                os.kill(os.getpid(), signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGKILL)


def serve(
    environment: Environment,
    fits: Callable[[list[str], bool], bool],
    run: Callable[[Callable[[int], None]], None],
    lock: int,
) -> None:
    """Serve as the helper of this installation, until no client has connected for some minutes (`wire.IDLE_VARIABLE`).

    It returns in the forked children too, so that Python's exit handlers run there as in any process. Raises `OSError`
    if the socket can't be made.

    `environment` has the variables that were read while the modules of a run were imported. `fits` and `run` are as for
    `run_as_client`. `lock`, from `spawn.lock_start`, is released when this helper listens.
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
    received = helper.read_request(connection)
    if received is None:
        os._exit(_UNFIT)
    run_as_client(*received, connection, fits, run)


def idle_seconds() -> float:
    """Return the seconds that a helper stays without a client."""
    try:
        return max(0.1, float(os.environ[wire.IDLE_VARIABLE]))
    except (KeyError, ValueError):
        return _IDLE_SECONDS


Received = tuple[wire.Request, int]
"""A request, and the descriptor of its current folder."""


class _Helper:
    def __init__(self, path: Path, listener: socket.socket, environment: Environment, files: Files) -> None:
        self._path = path
        self._inode = path.stat().st_ino
        self._listener = listener
        self._environment = environment
        self._files = files
        self._conditions = process_conditions(os.getpid())
        self._installation = installation()
        self._children: set[int] = set()

    def next_connection(self, idle_seconds: float) -> socket.socket | None:
        """Return the connection of a client, in a forked child; None in the helper itself, once it is not needed."""
        # Only the child reads the request: the helper lives on, and would keep copies of the keys and the question.
        idle_since = time.monotonic()
        while self._in_place():
            ready, _, _ = select.select([self._listener], [], [], min(_NEEDED_CHECK_SECONDS, idle_seconds))
            if self._reap():
                idle_since = time.monotonic()
            # Also if a client waits, which then runs by itself: clients that are refused would keep it for ever.
            if not self._children and time.monotonic() - idle_since >= idle_seconds:
                self._path.unlink(missing_ok=True)
                return None
            if ready:
                connection, _ = self._listener.accept()
                with connection:
                    if (client := self._accept(connection)) is not None:
                        return client
        return None

    def _accept(self, connection: socket.socket) -> socket.socket | None:
        """Fork for the client of `connection`; return a copy of the connection in the child."""
        try:
            connection.settimeout(_REQUEST_SECONDS)
            if not connection.recv(1, socket.MSG_PEEK):  # the client only checked whether a helper listens
                return None
            # No more than that before the fork: to the last of many clients, the helper must not look hung.
            same_user = kernel.peer(connection)[1] == os.getuid()
            connection.send(wire.HEARD if same_user else wire.NO)
            # Nothing that can fail comes after the fork: a child that continued here would be a second helper.
            client = connection.dup()
            if same_user:
                child = os.fork()
                if child == 0:
                    return client
                self._children.add(child)
            client.close()
        except OSError:
            pass  # the client is gone
        return None

    def read_request(self, connection: socket.socket) -> Received | None:
        """Return the request of a client, in the child; refuse it and return None when it can't run here."""
        with suppress(OSError, ValueError, TypeError):  # the client is gone, or is no `chat` of this version
            connection.settimeout(_REQUEST_SECONDS)
            data, [folder], _, _ = socket.recv_fds(connection, wire.MAX_REQUEST, 1)
            request = wire.Request.decode(data)
            if request.installation == self._installation and self._is_like(request, kernel.peer(connection)[0]):
                return request, folder
        with suppress(OSError):
            connection.send(wire.NO)
        return None

    def _is_like(self, request: wire.Request, pid: int) -> bool:
        if request.environment.get("HOME") != os.environ.get("HOME") or not self._files.unchanged():
            # After an upgrade or in another home folder, no client can use this helper: the next run starts another.
            if self._in_place():
                self._path.unlink(missing_ok=True)
            return False
        return process_conditions(pid) == self._conditions and self._environment.matches(request.environment)

    def _reap(self) -> bool:
        """Collect the children that have ended; return whether one of them has run a request."""
        ended = [os.waitpid(child, os.WNOHANG) for child in self._children]
        self._children -= {child for child, _ in ended}
        return any(child and os.waitstatus_to_exitcode(status) != _UNFIT for child, status in ended)

    def _in_place(self) -> bool:
        """Return whether the socket in the folder is still the one of this helper."""
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False


def _listen(path: Path) -> socket.socket:
    """Return a listening socket at `path`, for this user only; an older socket is replaced in one step."""
    runtime_dir(create=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    own = path.with_suffix(f".{os.getpid()}")
    listener.bind(str(own))
    own.chmod(0o600)
    listener.listen()
    own.rename(path)
    return listener
