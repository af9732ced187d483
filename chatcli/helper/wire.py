"""What `chat` and the helper say to each other: messages over a SOCK_SEQPACKET socket in a private folder.

`chat` sends a `Request` with its folder, and the helper answers HEARD, or NO to another user; it does not read the
request, which holds keys. Its child does, and says NO, or READY and its process ID. Only after the answer GO, with
which the standard streams come, anything is done: so `chat` may give up any time before and do it itself, and a helper
that hangs holds no pipe open. At the end the child sends its exit code; the end of the connection is its end.
"""

import json
import os
import socket
import struct
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

IDLE_VARIABLE = "CHATCLI_HELPER_IDLE_SECONDS"
"""How long a helper stays without being asked."""
MAX_REQUEST = 1 << 20
"""Bytes; the kernel sets the real limit, and what is larger is not sent."""
MAX_REPLY = 64
HEARD, NO, READY, GO = b"heard", b"no", b"ready", b"go"


@dataclass(frozen=True, slots=True)
class Request:
    """A run that is asked for."""

    arguments: list[str]
    environment: dict[str, str]
    program: list[str]
    """What was started, see `likeness.program`."""
    has_input: bool
    """Whether stdin is something else than a terminal."""
    encodings: list[tuple[str, str]]
    """Encoding and error handler of stdin, stdout and stderr."""

    def encode(self) -> bytes:
        """Return it as it is sent."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Request":
        """Return the request that was sent as `data`."""
        return cls(**json.loads(data))


def socket_path() -> Path:
    """Return where the helper of this installation listens; the folder may not exist.

    Raises:
        OSError: No folder can be had that is this user's alone.

    """
    from zlib import crc32

    from chatcli import __version__
    from chatcli.paths import runtime_dir

    installation = crc32(f"{__version__} {sys.executable}".encode())
    return runtime_dir() / f"helper-{installation:08x}.sock"


def connect(path: Path, timeout: float) -> socket.socket:
    """Return a connection to the helper at `path`, whose calls take at most `timeout` seconds.

    Raises:
        OSError: None listens, or it is not this user's.

    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.settimeout(timeout)
        connection.connect(str(path))
        if peer(connection)[1] != os.getuid():
            raise PermissionError(f"{path} is another user's")
    except OSError:
        connection.close()
        raise
    return connection


def peer(connection: socket.socket) -> tuple[int, int]:
    """Return the process ID and the user ID of who is at the other end, by the kernel's word (unix(7))."""
    pid, user, _group = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, user


def is_stopped(pid: int) -> bool:
    """Return whether a process is stopped, as by Ctrl-Z.

    Raises:
        OSError: There is none.

    """
    return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "T"
