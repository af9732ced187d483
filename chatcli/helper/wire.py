"""The protocol between `chat` and the helper: messages over a SOCK_SEQPACKET socket in a private folder.

`chat`, the client, sends a `Request` with its current folder. The helper answers HEARD, or NO to another user. It does
not read the request, which holds keys: its child does, and answers NO, or READY and its process ID. The client then
sends GO with its standard streams, and only now the run begins. Before that the client may give up and run itself, and
a helper that hangs holds no pipe open. At the end the child sends its exit code, and the connection ends with it.
"""

import json
import os
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from zlib import crc32

from chatcli import __version__
from chatcli.helper import kernel
from chatcli.paths import runtime_dir

IDLE_VARIABLE = "CHATCLI_HELPER_IDLE_SECONDS"
MAX_REQUEST = 1 << 20
"""Bytes of the longest request; the kernel's limit is lower, and a larger request is not sent."""
MAX_REPLY = 64
HEARD, NO, READY, GO = b"heard", b"no", b"ready", b"go"


@dataclass(frozen=True, slots=True)
class Request:
    """A run for the helper."""

    arguments: list[str]
    environment: dict[str, str]
    installation: list[str]
    """The result of `same_conditions.installation`."""
    has_input: bool
    """Whether stdin is not a terminal."""
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
    """Return the path of this installation's socket. Raises `OSError` if it can have no private folder."""
    installation = crc32(f"{__version__} {sys.executable}".encode())
    return runtime_dir() / f"helper-{installation:08x}.sock"


def connect(path: Path, timeout: float) -> socket.socket:
    """Return a connection to the helper at `path`. Raises `OSError` if none listens, or it is another user's."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.settimeout(timeout)
        connection.connect(str(path))
        if kernel.peer(connection)[1] != os.getuid():
            raise PermissionError(f"{path} is another user's")
    except OSError:
        connection.close()
        raise
    return connection


def is_stopped(pid: int) -> bool:
    """Return whether a process is stopped, as by Ctrl-Z. Raises `OSError` if there is none."""
    return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "T"
