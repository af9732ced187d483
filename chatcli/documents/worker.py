"""The process that reads PDF, DOCX and EPUB files, whose readers may need any time and memory on a hostile file."""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CPU_SECONDS = 30.0
"""How long one file may be read."""
MEMORY = 1536 * 1024 * 1024
"""The most memory of the process, in bytes: the kernel bounds its address space, or it watches itself."""
_WAIT = 4
"""How many times its CPU seconds a file may take on a busy machine."""
_CHUNK = 1024 * 1024
_OUT_OF_MEMORY = 3
"""The exit code of a process that has taken more memory than it may, where it watches itself."""
_PROGRAM = """
import json, resource, sys
memory, exit_code, folders = json.loads(sys.argv[1])
if exit_code is None:
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (memory if hard < 0 else min(memory, hard), hard))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
sys.path += [folder for folder in folders if folder not in sys.path]
from chatcli.documents.extract import main
main(memory, exit_code)
"""


class UnreadableError(Exception):
    """A document can't be read, for a reason that is part of a sentence: "it is binary"."""


class Worker:
    """Runs `extract.py` for many files; it is ended, and started again for the next file, if one takes too much.

    The kernel bounds its memory, or not (`by_kernel`): macOS does not, and refuses a limit that is below the address
    space that every process has there.
    """

    def __init__(self, *, by_kernel: bool = sys.platform == "linux") -> None:
        self._by_kernel = by_kernel
        self._process: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            with process:  # closes its streams, and waits
                process.kill()

    def extract(self, kind: str, data: bytes, seconds: float = CPU_SECONDS) -> list[Any]:
        """Return the pages of a "pdf" file, or the lines of a "docx" or "epub" file with the levels of headings.

        `kind` says what `data` is, the content of the file; it may take `seconds` of CPU time. Raises `UnreadableError`
        if the file is damaged, or takes too much time or memory.
        """
        process = self._process = self._process or _start(by_kernel=self._by_kernel)
        header = json.dumps({"kind": kind, "seconds": seconds, "size": len(data)}).encode()
        request = len(header).to_bytes(4, "big") + header + data
        try:
            answer = json.loads(_exchange(process, request, time.monotonic() + _WAIT * seconds))
        except (OSError, ValueError, EOFError, TimeoutError) as error:
            self.close()
            if process.returncode == _OUT_OF_MEMORY:
                raise UnreadableError("it needs too much memory") from None
            slow = isinstance(error, TimeoutError) or process.returncode == -signal.SIGXCPU
            raise UnreadableError("it takes too long to read" if slow else "its reader crashed") from None
        except BaseException:
            self.close()  # the process is in the middle of an answer
            raise
        if "problem" in answer:
            raise UnreadableError(str(answer["problem"]))
        return list(answer["parts"])


def _start(*, by_kernel: bool) -> subprocess.Popen[bytes]:
    found = (find_spec(package) for package in ("chatcli", "pypdf"))
    folders = [str(Path(spec.origin).parents[1]) for spec in found if spec is not None and spec.origin]
    bounds = [MEMORY, None if by_kernel else _OUT_OF_MEMORY, folders]
    # Isolated, so that nothing is imported from the current folder; in its own session, so that Ctrl+C at the terminal
    # reaches this process alone; without the keys that the environment may hold.
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-W", "ignore", "-c", _PROGRAM, json.dumps(bounds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
        start_new_session=True,
        bufsize=0,
    )


def _exchange(process: subprocess.Popen[bytes], request: bytes, deadline: float) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    answer, waiting, size = bytearray(), memoryview(request), None
    with selectors.DefaultSelector() as selector:
        os.set_blocking(process.stdin.fileno(), False)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        selector.register(process.stdout, selectors.EVENT_READ)
        while size is None or len(answer) < 4 + size:
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                if key.fileobj is process.stdin:
                    waiting = waiting[os.write(key.fd, waiting[:_CHUNK]) :]
                    if not waiting:
                        selector.unregister(process.stdin)
                else:
                    data = os.read(key.fd, _CHUNK)
                    if not data:
                        raise EOFError
                    answer += data
            if size is None and len(answer) >= 4:
                size = int.from_bytes(answer[:4], "big")
    return bytes(answer[4:])
