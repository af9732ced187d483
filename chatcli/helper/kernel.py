"""What the helper asks of the Linux kernel and no other system has; elsewhere each function raises OSError."""

import errno
import os
import signal
import socket
import struct
import sys


def open_folder(path: str) -> int:
    """Return a descriptor of the folder `path`, which needs no right to read it."""
    if sys.platform == "linux":
        return os.open(path, os.O_PATH | os.O_DIRECTORY)
    raise _unsupported()


def open_process(pid: int) -> int:
    """Return a descriptor of the process `pid`, which never comes to mean another one."""
    if sys.platform == "linux":
        return os.pidfd_open(pid)
    raise _unsupported()


def send_signal(process: int, number: int) -> None:
    """Send a signal to the process of a descriptor; raise ProcessLookupError when it has ended."""
    if sys.platform == "linux":
        signal.pidfd_send_signal(process, number)
        return
    raise _unsupported()


def peer(connection: socket.socket) -> tuple[int, int]:
    """Return the process ID and the user ID of the other end of a Unix socket (unix(7))."""
    if sys.platform == "linux":
        pid, user, _group = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return pid, user
    raise _unsupported()


def scheduling_policy(pid: int) -> int:
    """Return the scheduling policy of the process `pid` (sched(7))."""
    if sys.platform == "linux":
        return os.sched_getscheduler(pid)
    raise _unsupported()


def _unsupported() -> OSError:
    return OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
