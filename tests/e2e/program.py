"""The installed `chat` as its users start it: a process with its own home, and pipes or a shell around it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread
from typing import IO, Any

import psutil

from tests.e2e.forkserver import ForkServer, Process
from tests.waiting import WAIT_SECONDS

EXECUTABLE = Path(sys.executable).parent / "chat"

ONE_CERTIFICATE = Path(__file__).with_name("one_certificate.pem")
"""One authority, which signed nothing: no test needs any, and all of the system's cost a client 25 to 40 ms of CPU."""

_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "TMPDIR")


@dataclass(frozen=True)
class Home:
    """An empty home, a working folder in it, and the whole environment of a program that lives there."""

    root: Path
    work: Path
    env: dict[str, str]

    @classmethod
    def below(cls, folder: Path) -> "Home":
        """Make a new home in `folder`."""
        root = folder / "home"
        work = root / "work"
        work.mkdir(parents=True)
        env = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        env |= {
            "PATH": f"{EXECUTABLE.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(root),
            "XDG_CONFIG_HOME": str(root / ".config"),
            "XDG_DATA_HOME": str(root / ".local" / "share"),
            "XDG_CACHE_HOME": str(root / ".cache"),
            "XDG_STATE_HOME": str(root / ".local" / "state"),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "CHATCLI_HELPER": "0",
            "SSL_CERT_FILE": str(ONE_CERTIFICATE),
        }
        return cls(root, work, env)

    def use_keyring(self, backend: str) -> None:
        """Name the keyring in a file: by Python's variable, only the installed executable could use it."""
        file = Path(self.env["XDG_CONFIG_HOME"], "python_keyring", "keyringrc.cfg")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"[backend]\ndefault-keyring={backend}\n")

    def files(self) -> list[Path]:
        """Every file that exists in this home."""
        return sorted(path for path in self.root.rglob("*") if path.is_file())


@dataclass(frozen=True, slots=True)
class Result:
    """What a finished process left."""

    returncode: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """Standard output as the one JSON value that it is."""
        return json.loads(self.stdout)

    def events(self) -> list[dict[str, Any]]:
        """Standard output as JSON Lines."""
        return [json.loads(line) for line in self.stdout.splitlines()]


class Running:
    """A started process whose output is read as it comes; `data` is written to its standard input, which then ends."""

    def __init__(self, process: Process, stdin: IO[bytes] | None, data: bytes, stdout: IO[bytes], stderr: IO[bytes]):
        self.process = process
        self._changed = Condition()
        self._output = {"stdout": b"", "stderr": b""}
        self._threads = [
            Thread(target=self._read, args=("stdout", stdout), daemon=True),
            Thread(target=self._read, args=("stderr", stderr), daemon=True),
        ]
        if stdin is not None:
            self._threads.append(Thread(target=self._write, args=(stdin, data), daemon=True))
        for thread in self._threads:
            thread.start()

    def _write(self, stream: IO[bytes], data: bytes) -> None:
        with suppress(BrokenPipeError), stream:
            stream.write(data)

    def _read(self, name: str, stream: IO[bytes]) -> None:
        with stream:
            while data := os.read(stream.fileno(), 65536):
                with self._changed:
                    self._output[name] += data
                    self._changed.notify_all()

    def wait_for_output(self, text: str, timeout: float = WAIT_SECONDS) -> None:
        """Wait until `text` stands on standard output."""
        with self._changed:
            if not self._changed.wait_for(lambda: text.encode() in self._output["stdout"], timeout):
                raise AssertionError(f"no {text!r} within {timeout} s in {self._output}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self.process.send_signal(number)

    def finish(self, timeout: float = WAIT_SECONDS) -> Result:
        """Wait for the end."""
        returncode = self.process.wait(timeout)
        for thread in self._threads:
            thread.join(timeout)
        return Result(returncode, self._output["stdout"].decode(), self._output["stderr"].decode())

    def close(self) -> None:
        """Kill the process if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(5)


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    reader, writer = os.pipe()
    return open(reader, "rb"), open(writer, "wb")  # noqa: PTH123


def _popen(argv: Sequence[str], env: Mapping[str, str], cwd: Path, streams: tuple[int, int, int]) -> Process:
    stdin, stdout, stderr = streams
    return subprocess.Popen(argv, env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr)


@dataclass
class Chat:
    """Starts `chat` in a home; call it like the command."""

    home: Home
    forks: ForkServer | None = None
    """Runs it without the time of its imports; without one, each run is the installed executable."""
    reader: ForkServer | None = None
    """Runs it for `forked` where the other runs are the executable's."""
    executable: str = str(EXECUTABLE)
    """Runs what is not forked."""
    _running: ExitStack = field(default_factory=ExitStack)

    def __call__(
        self,
        *args: str,
        input: bytes | str | None = None,  # noqa: A002  # the name that subprocess.run gives it
        env: Mapping[str, str] | None = None,
        timeout: float = WAIT_SECONDS,
    ) -> Result:
        """Run `chat ARGS` to its end; its standard input is empty unless `input` is given."""
        running = self._start(args, env, input.encode() if isinstance(input, str) else input)
        try:
            return running.finish(timeout)
        finally:
            running.close()

    def shell(
        self, command: str, *, env: Mapping[str, str] | None = None, timeout: float = WAIT_SECONDS, forks: bool = False
    ) -> Result:
        """Run a line of shell, in which `chat` is the installed executable, or forks if asked for."""
        env = {**self.home.env, **(env or {})}
        if forks and self.forks is not None:
            env["PATH"] = f"{Path(self.forks.command()[0]).parent}{os.pathsep}{env['PATH']}"
        done = subprocess.run(
            ["bash", "-c", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=env,
            cwd=self.home.work,
            timeout=timeout,
            check=False,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *args: str, env: Mapping[str, str] | None = None) -> Running:
        """Start `chat ARGS` and return at once."""
        running = self._start(args, env)
        self._running.callback(running.close)
        return running

    def _start(self, args: Sequence[str], env: Mapping[str, str] | None, data: bytes | None = None) -> Running:
        """Start it with pipes around it, or without a standard input if there is no `data`."""
        env = {**self.home.env, **(env or {})}
        stdin, ours = (open(os.devnull, "rb"), None) if data is None else _pipe()  # noqa: PTH123, SIM115
        (stdout, to_stdout), (stderr, to_stderr) = _pipe(), _pipe()
        with stdin, to_stdout, to_stderr:
            streams = (stdin.fileno(), to_stdout.fileno(), to_stderr.fileno())
            process: Process | None = None
            if self.forks is not None:
                process = self.forks.start(args, env, self.home.work, streams)
            if process is None:
                process = _popen([self.executable, *args], env, self.home.work, streams)
        return Running(process, ours, data or b"", stdout, stderr)

    @property
    def forked(self) -> "Chat":
        """The program in the same home, run as forks: for what a test of the executable asks before and after."""
        return Chat(self.home, self.forks or self.reader)

    def messages(self, thread_id: str) -> list[dict[str, Any]]:
        """Return what the store holds of a thread."""
        shown = self.forked("threads", "show", thread_id, "--json")
        assert shown.returncode == 0, shown
        messages: list[dict[str, Any]] = shown.json()["messages"]
        return messages

    def close(self) -> None:
        """Kill what was started and still runs."""
        self._running.close()


def has_ended(process: psutil.Process) -> bool:
    """Return whether `process` has ended, though its parent may not have asked how."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # perhaps between two looks at it
        return True
