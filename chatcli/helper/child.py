"""A child of the helper, which becomes the process that asked."""

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

_LOOK_EVERY = 0.05
"""Seconds between two looks at whether the process that asked is stopped."""
_GO_WITHIN = 5.0


def be(
    request: wire.Request,
    folder: int,
    connection: socket.socket,
    suits: Callable[[list[str], bool], bool],
    run: Callable[[Callable[[int], None]], None],
) -> None:
    """Be the process that sent `request` by `connection`, if it `suits`; with it, this process ends too.

    Args:
        request: What is asked for.
        folder: The descriptor of its folder.
        connection: To the process that asked.
        suits: Tells whether `chat` with the given arguments, with input or not, may be run here.
        run: Runs `chat` with `sys.argv`, unblocks signals, tells what it is given the exit code, ends with SystemExit.

    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # one that is handed on waits for what can take it
    os.fchdir(folder)
    os.close(folder)
    os.environ.clear()
    os.environ.update(request.environment)
    time.tzset()
    if not _agreed(connection, request, suits(request.arguments, request.has_input)):
        os._exit(0)
    sys.argv = ["chat", *request.arguments]
    asking, _ = wire.peer(connection)
    Thread(target=_follow, args=(connection, asking), daemon=True).start()
    run(partial(_tell, connection))


def _tell(connection: socket.socket, code: int) -> None:
    """Tell the exit code; the process that asked then waits for the end of this one."""
    with suppress(OSError):
        connection.send(b"%d" % code)


def _agreed(connection: socket.socket, request: wire.Request, suits: bool) -> bool:
    """Take over the streams of the process that asked, if it still wants its run done here and that can be done."""
    connection.settimeout(_GO_WITHIN)
    try:
        connection.send(wire.READY + b" %d" % os.getpid() if suits else wire.NO)
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


def _follow(connection: socket.socket, asking: int) -> None:
    """Die with the process that asked, and stop with it; it lets this one go on."""
    while not select.select([connection], [], [], _LOOK_EVERY)[0]:
        with suppress(OSError):
            if wire.is_stopped(asking):
                os.kill(os.getpid(), signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGKILL)
