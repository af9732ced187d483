"""A child of the helper, which takes the place of the process that connected."""

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import TextIO, cast

from chatcli.helper import wire
from chatcli.runtime.signals import STOPPING

_CHECK_SECONDS = 0.05
"""Time between two checks whether the client is stopped."""
_GO_SECONDS = 5.0
"""Time for the client to send its streams."""


def become(
    request: wire.Request,
    folder: int,
    connection: socket.socket,
    fits: Callable[[list[str], bool], bool],
    run: Callable[[Callable[[int], None]], None],
) -> None:
    """Take the place of the client that sent `request` over `connection`, if the run `fits`; end when the client ends.

    Args:
        request: The run.
        folder: The descriptor of the client's current folder.
        connection: The connection to the client.
        fits: Returns whether `chat` with the given arguments, with input or not, may run here.
        run: Runs `chat` with `sys.argv`: unblocks signals, calls its argument with the exit code, ends with SystemExit.

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
    client, _ = wire.peer(connection)
    Thread(target=_follow, args=(connection, client), daemon=True).start()
    run(partial(_send_exit_code, connection))


def _send_exit_code(connection: socket.socket, code: int) -> None:
    """Send the exit code; the client then waits for the end of this process."""
    with suppress(OSError):
        connection.send(b"%d" % code)


def _take_streams(connection: socket.socket, request: wire.Request, fits: bool) -> bool:
    """Take over the client's streams if the run `fits` and the client still wants it here; return whether it does."""
    connection.settimeout(_GO_SECONDS)
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
    while not select.select([connection], [], [], _CHECK_SECONDS)[0]:
        with suppress(OSError):
            if wire.is_stopped(client):
                os.kill(os.getpid(), signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGKILL)
