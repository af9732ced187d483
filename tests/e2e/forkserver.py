"""Runs `chat` in processes that are forked after its imports: real processes with real streams, without their wait.

Most of the time of a short run goes into imports. What is tested elsewhere than there, many times over, is run here.
"""

import gc
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_MAX_REQUEST = 1 << 20


class ForkServer:
    """Starts processes for one test process, which asks for one at a time; it ends with the socket."""

    def __init__(self) -> None:
        # Messages stay apart: a process may end before its number is read.
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.forkserver", str(theirs.fileno())], pass_fds=[theirs.fileno()]
            )

    def start(self, arguments: Sequence[str], env: Mapping[str, str], cwd: Path, streams: Sequence[int]) -> int:
        """Run `chat ARGUMENTS` with the descriptors `streams` as its standard ones; return its process ID."""
        request = json.dumps({"arguments": list(arguments), "env": dict(env), "cwd": str(cwd)}).encode()
        socket.send_fds(self._socket, [request], streams)
        return int(self._socket.recv(64))

    def wait(self) -> int:
        """Return the exit code of the process that was started last, negative for a signal."""
        return int(self._socket.recv(64))

    def close(self) -> None:
        """End it."""
        self._socket.close()
        self._process.wait()


def _serve(requests: socket.socket) -> None:
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, _MAX_REQUEST, 3)
        if not data:
            return
        request = json.loads(data)
        child = os.fork()
        if child == 0:
            requests.close()
            _become(request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        requests.send(str(child).encode())
        _, status = os.waitpid(child, 0)
        requests.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(request: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    """Be the process that the request describes."""
    from chatcli.__main__ import main

    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.closerange(3, 64)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.argv = ["chat", *request["arguments"]]
    sys.stdin, sys.stdout, sys.stderr = (open(number, mode) for number, mode in enumerate("rww"))  # noqa: PTH123, SIM115
    code = 1
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _import_all() -> None:
    """Import what runs import, so that children need not."""
    import chatcli.cli.app
    import chatcli.cli.run.dispatch
    import chatcli.conversation.chat_engine
    import chatcli.models.openai.model
    import chatcli.rendering.json
    import chatcli.rendering.plain
    import chatcli.store.open
    import chatcli.transfer.read_file
    import chatcli.transfer.store_documents  # noqa: F401

    gc.freeze()


if __name__ == "__main__":
    _import_all()
    _serve(socket.socket(fileno=int(sys.argv[1])))
