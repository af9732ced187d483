"""Runs programs in processes that are forked after their imports: real processes with real streams, without the wait.

Most of the time of a short run goes into imports, which are the same each time. A run whose environment might change
what is imported is refused: the installed executable has to run it.
"""

import ast
import atexit
import ctypes
import errno
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol

from chatcli.helper.kernel import open_process
from chatcli.helper.same_conditions import Environment

_MAX_REQUEST = 1 << 20
_MADV_COLLAPSE = 25
_CLIENTS = {
    "anthropic": "langchain_anthropic",
    "cohere": "langchain_cohere",
    "google_genai": "langchain_google_genai",
    "mistralai": "langchain_mistralai",
}
"""The packages of model clients that take long to import, by provider: up to 20 times as long as a run."""
_CLIENT = """\
#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect({path!r})
    request = {{"arguments": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd(), "leads_session": False}}
    socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
    code = server.recv(16)
if not code:  # its environment wants a process of its own
    os.execv({command[0]!r}, [*{command!r}, *sys.argv[1:]])
sys.exit(int(code) if int(code) >= 0 else 128 - int(code))
"""
"""The program of a shell whose runs are forks."""
Runs = Literal["chat", "python", "mcp_server"]
MCP_SERVER = str(Path(__file__).parents[1] / "fakes" / "mcp_server.py")


class Process(Protocol):
    """What a started process offers, as `subprocess.Popen` has it."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...

    def kill(self) -> None: ...


class ForkedProcess:
    """A process of the fork server; `status` is the pipe that its exit code comes through."""

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self._status = status
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return its exit code, negative for a signal, or None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end at most `timeout` seconds and return its exit code, negative for a signal."""
        if self._code is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("chat", timeout or 0)
            code = os.read(self._status, 16)
            os.close(self._status)
            assert code, "the fork server ended"
            self._code = int(code)
        return self._code

    def send_signal(self, sig: int) -> None:
        """Send a signal to the process, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended just now
                os.kill(self.pid, sig)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """Starts processes for one test process; it ends with the socket.

    Args:
        env: The environment in which it imports.
        runs: What its processes do: `chat ARGUMENTS`, `python ARGUMENTS` for a file or for `-c` and a text, or
            `mcp_server ARGUMENTS`, that of `tests/fakes`.

    """

    def __init__(self, env: Mapping[str, str], runs: Runs = "chat") -> None:
        self._runs = runs
        self._folder = Path(tempfile.mkdtemp(prefix="forks-"))
        # Messages stay apart: each is one request, or one answer to it.
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, listener:
            listener.bind(str(self._folder / "socket"))
            listener.listen()
            descriptors = [theirs.fileno(), listener.fileno()]
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.forkserver", runs, *map(str, descriptors)],
                env=env,
                pass_fds=descriptors,
                cwd=Path(__file__).parents[2],
            )

    def command(self) -> list[str]:
        """Return a program that forks, for those that start others; it passes no signals on."""
        program = self._folder / "bin" / self._runs
        if not program.exists():
            program.parent.mkdir()
            command = _unforked(self._runs)
            program.write_text(
                _CLIENT.format(python=sys.executable, path=str(self._folder / "socket"), command=command)
            )
            program.chmod(0o755)
        return [str(program)]

    def start(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        streams: Sequence[int],
        *,
        leads_session: bool = False,
    ) -> ForkedProcess | None:
        """Start what it runs with ARGUMENTS, and the descriptors `streams` as its standard ones.

        With `leads_session`, it leads a new session whose terminal is its standard output.

        Returns:
            The process, or None when the installed executable has to run it, because of its environment.

        """
        request = {"arguments": list(arguments), "env": dict(env), "cwd": str(cwd), "leads_session": leads_session}
        status, theirs = os.pipe()
        try:
            with self._lock:
                socket.send_fds(self._socket, [json.dumps(request).encode()], [*streams, theirs])
                pid = int(self._socket.recv(64))
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            pid = 0
        finally:
            os.close(theirs)
        if pid == 0:
            os.close(status)
            return None
        return ForkedProcess(pid, status)

    def close(self) -> None:
        """End it."""
        self._socket.close()
        self._process.wait()
        shutil.rmtree(self._folder)


class NoForks(ForkServer):
    """Leaves all runs to the installed executable: the libraries of macOS may not be used after a fork."""

    def __init__(self, runs: Runs = "chat") -> None:
        self._runs = runs

    def command(self) -> list[str]:
        """Return what does the same without a fork."""
        return _unforked(self._runs)

    def start(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        streams: Sequence[int],
        *,
        leads_session: bool = False,
    ) -> None:
        """Start nothing."""

    def close(self) -> None:
        """Do nothing."""


def _unforked(runs: Runs) -> list[str]:
    return [sys.executable, MCP_SERVER] if runs == "mcp_server" else [str(Path(sys.executable).parent / "chat")]


class _Server:
    """The process that forks; if there is an `environment`, only for runs whose imports would read the same there."""

    def __init__(
        self, run: Callable[[list[str]], object], environment: Environment | None, *sockets: socket.socket
    ) -> None:
        self._run = run
        self._environment = environment
        self._requests, self._listener = sockets
        self._running: dict[int, tuple[int, int]] = {}
        """By a descriptor of each process: its process ID, and where its exit code goes."""

    def serve(self) -> None:
        """Serve until the test process has closed its end."""
        while True:
            sources = [self._requests.fileno(), self._listener.fileno(), *self._running]
            ready, _, _ = select.select(sources, [], [])
            for process in self._running.keys() & set(ready):
                self._report(process)
            if self._listener.fileno() in ready:
                connection, _ = self._listener.accept()
                data, streams, _, _ = socket.recv_fds(connection, _MAX_REQUEST, 3)
                self._fork(data, streams, connection.detach())
            if self._requests.fileno() in ready:
                data, descriptors, _, _ = socket.recv_fds(self._requests, _MAX_REQUEST, 4)
                if not data:
                    return
                child = self._fork(data, descriptors[:3], descriptors[3])
                self._requests.send(str(child).encode())

    def _report(self, process: int) -> None:
        child, status = self._running.pop(process)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with suppress(BrokenPipeError):  # nobody waits for it any more
            os.write(status, str(code).encode())
        for done in (process, status):
            os.close(done)

    def _fork(self, data: bytes, streams: Sequence[int], status: int) -> int:
        """Fork for a request; return the process ID, or 0 when its environment wants the installed executable."""
        request = json.loads(data)
        child = 0
        if self._environment is None or self._has_imported_for(self._environment, request):
            child = os.fork()
            if child == 0:
                _become(request, streams, self._run)
            self._running[open_process(child)] = child, status
        else:
            os.close(status)
        for descriptor in streams:
            os.close(descriptor)
        return child

    def _has_imported_for(self, environment: Environment, request: Mapping[str, Any]) -> bool:
        """Import the clients of the models that a run names, so that the next run with one need not.

        Return whether the run would have imported the same.
        """
        for argument in request["arguments"]:
            package = _CLIENTS.get(argument.partition(":")[0])
            if package is not None and package not in sys.modules:
                with environment.watched(), suppress(ImportError):  # the run says that it is not installed
                    importlib.import_module(package)
                gc.freeze()
        return environment.matches({**request["env"], "HOME": os.environ["HOME"]})  # each run reads its own home


def _become(request: Mapping[str, Any], streams: Sequence[int], run: Callable[[list[str]], object]) -> None:
    """Turn into the process that the request describes."""
    code = 1
    try:
        if request["leads_session"]:
            os.setsid()
            fcntl.ioctl(streams[1], termios.TIOCSCTTY, 0)
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
        os.closerange(3, 256)
        os.environ.clear()
        os.environ.update(request["env"])
        time.tzset()
        os.chdir(request["cwd"])
        own = (sys.stdin, sys.stdout, sys.stderr)
        sys.stdin, sys.stdout, sys.stderr = (
            open(number, mode, encoding=stream.encoding, errors=stream.errors)  # noqa: PTH123, SIM115
            for number, (mode, stream) in enumerate(zip("rww", own, strict=True))
        )
        run(request["arguments"])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - Python shows it, and so does this
        sys.excepthook(*sys.exc_info())
    finally:
        # What Python does at its end, except for freeing the memory.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)


def _run_chat(arguments: list[str]) -> None:
    from chatcli.__main__ import main

    sys.argv = ["chat", *arguments]
    main()


def _run_python(arguments: list[str]) -> None:
    if arguments[0] == "-c":
        sys.argv, sys.path[0] = ["-c", *arguments[2:]], ""
        module = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(arguments[1], "<string>", "exec"), vars(module))
    else:
        sys.argv, sys.path[0] = arguments, str(Path(arguments[0]).parent)
        runpy.run_path(arguments[0], run_name="__main__")


def _run_mcp_server(arguments: list[str]) -> None:
    _run_python([MCP_SERVER, *arguments])


def _import_mcp_server() -> None:
    """Import what its file imports, and run the file itself in each child: it reads its environment."""
    for node in ast.parse(Path(MCP_SERVER).read_text()).body:
        if isinstance(node, ast.ImportFrom):
            importlib.import_module(str(node.module))
        elif isinstance(node, ast.Import):
            importlib.import_module(node.names[0].name)


def _import_all() -> None:
    """Import what runs of `chat` import, so that children need not."""
    import chatcli
    from chatcli.cli.helper_main import import_all

    import_all()
    for module in pkgutil.walk_packages(chatcli.__path__, "chatcli."):
        if not module.name.endswith("_main__") and module.name != "chatcli.models.local.server_main":
            importlib.import_module(module.name)


def _join_pages() -> None:
    """Move the memory into pages of 2 MiB, where the kernel can: a fork copies the list of all pages."""
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, mode, *_ = line.split()
        if mode == "rw-p":
            start, end = (int(number, 16) for number in place.split("-"))
            madvise(start, end - start, _MADV_COLLAPSE)


def _main() -> None:
    gc.disable()
    runs, *descriptors = sys.argv[1:]
    environment = None
    if runs == "mcp_server":
        _import_mcp_server()
    else:
        environment = _import_watched()
    gc.enable()
    gc.freeze()
    _join_pages()
    # A script's own folder comes first there, not the folder of the tests.
    sys.path[0] = str(Path(sys.executable).parent)
    run = {"chat": _run_chat, "python": _run_python, "mcp_server": _run_mcp_server}[runs]
    _Server(run, environment, *(socket.socket(fileno=int(number)) for number in descriptors)).serve()


def _import_watched() -> Environment:
    """Import what runs of `chat` import; return the variables that this read."""
    environment = Environment()
    with environment.watched():
        _import_all()
    # Some runs import these, too. NumPy, which the first imports, reads all variables, though not to be another.
    for module in (
        "dotenv",
        "genai_prices",
        "langchain_core.messages.block_translators.langchain_v0",
        "langchain_core.tracers.context",
        "langchain_core.tracers.run_collector",
        "langchain_core.tracers.stdout",
        "langgraph.store.sqlite.aio",
        "openai.resources.chat.chat",
        "pypdf",
        "tomlkit",
    ):
        importlib.import_module(module)
    return environment


if __name__ == "__main__":
    _main()
