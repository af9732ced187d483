"""Fixtures of the whole suite: a home of its own, the installed program in it, a scripted model server."""

import asyncio
import fcntl
import gc
import inspect
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatcli.helper.eligible import is_supported
from chatcli.models.local.weights import QWEN
from chatcli.ranking import BY_MEANING
from tests.e2e.forkserver import MCP_SERVER, ForkServer, NoForks, Process
from tests.e2e.program import EXECUTABLE, ONE_CERTIFICATE, Chat, Home
from tests.fakes.openai_server import FakeOpenAI
from tests.langgraph_server import OtherProgram, other_program, shared_server
from tests.models.local.shared_cache import cached
from tests.postgres import Postgres, running_postgres

KEY = "sk-test-5fe2c0b49d7a41e8"
Served = Callable[..., tuple[str, Process, Path]]
"""Runs an MCP server, and returns its address, its process and the folder of its notes."""

# Under nohup, all that the tests start would ignore hang-ups, and in a shell's background interrupts.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# At a desk, few examples are tried. There and in the weekly run they are other ones in each run, and one that fails is
# printed with the decorator that repeats it. CI tries more, and the same ones until the test changes, so that it judges
# a change by that change.
# To take long on a busy machine is no failure, nor does each example need fixtures of its own.
for _profile, _examples in {"desk": 25, "ci": 60, "weekly": 3000}.items():
    settings.register_profile(
        _profile,
        max_examples=_examples,
        derandomize=_profile == "ci",
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
settings.load_profile("ci" if "CI" in os.environ else "desk")

# Without garbage collection, the imports of all modules of tests take half as long.
gc.disable()

_PROGRAMS = {
    *("chat", "terminal", "forks", "home", "worker", "weights_cache"),
    *("mcp_forks", "postgres", "langgraph_server", "other"),
}
"""Fixtures of tests that run the program, a server or a model."""
_HEAVY = [
    Path(__file__).parent / name
    for name in (
        "models/test_providers.py",
        "models/test_watsonx.py",
        "runtime/test_deferred_packages.py",
        "tools/test_leash.py",
        "tools/test_mcp_everything.py",
        "tools/test_mcp_questions.py",
        "tools/test_sandbox.py",
    )
]
"""Units that take longer than all others: the SDKs of all providers, other processes."""
_PLACES = [*(Path(__file__).parent / name for name in ("e2e", "helper", "langflow", "models/local")), *_HEAVY]

_HELPER = Path(__file__).parent / "helper"
_LONG = {"test_sigkill.py", "test_local_model.py", "test_scripts_recipes.py", "test_doubts.py", "test_llm_versions.py"}
"""Files with the tests that take longest, more than ten seconds each."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the weekly run, and of several machines."""
    parser.addoption("--weekly", action="store_true", help="run the long tests too, and properties with many examples")
    parser.addoption("--shard", type=_shard, default=(1, 1), metavar="N/OF", help="run only part N of OF equal parts")


def _shard(text: str) -> tuple[int, int]:
    part, of = map(int, text.split("/"))
    if not 1 <= part <= of:
        raise ValueError(text)
    return part, of


def pytest_configure(config: pytest.Config) -> None:
    """Choose the number of examples, before the modules of tests are imported."""
    if config.getoption("weekly"):
        settings.load_profile("weekly")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run more processes than there are cores: tests wait for servers, disks and ends of processes, units less."""
    return (os.cpu_count() or 1) + (1 if config.getoption("markexpr") == "not e2e" else 2)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import the modules that `-m "not e2e"` leaves out as a whole."""
    return True if config.getoption("markexpr") == "not e2e" and collection_path in _PLACES else None


def pytest_collection_finish() -> None:
    """Collect the garbage of the tests, in larger heaps, but look no more at what they imported."""
    # The first property warns if nothing refers to Hypothesis's random numbers, and does not see what is frozen.
    given(st.none())(lambda _: None)()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that take most of the time, and start the longest first: no process works on alone at the end.

    `pytest -m "not e2e"` leaves out the marked ones, and answers while one thinks. Skip what only Linux can do, and
    leave the long tests to the weekly run, and those of other shards to other machines.
    """
    part, of = config.getoption("shard")
    # By the name of a test, so that each machine leaves out the same ones, and a new test moves no other.
    left_out = {item for item in items if crc32(item.nodeid.encode()) % of != part - 1}
    if not config.getoption("weekly"):
        left_out |= {item for item in items if item.get_closest_marker("weekly")}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]
    for item in items:
        if (_is_linux_only(item) and sys.platform != "linux") or (item.path.parent == _HELPER and not is_supported()):
            item.add_marker(pytest.mark.skip(reason="only Linux has what it needs"))
        fixtures = _PROGRAMS & set(getattr(item, "fixturenames", ()))
        if fixtures or _is_heavy(item.path) or "postgres" in item.name:
            item.add_marker(pytest.mark.e2e)
    items.sort(key=lambda item: item.path.name not in _LONG)


@cache
def _is_heavy(path: Path) -> bool:
    return any(path.is_relative_to(place) for place in _PLACES)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """Let pytest call a test that is a coroutine, in an event loop of its own."""
    test = pyfuncitem.obj
    if inspect.iscoroutinefunction(test):
        pyfuncitem.obj = lambda **fixtures: asyncio.run(test(**fixtures))


def _is_linux_only(item: pytest.Item) -> bool:
    return item.get_closest_marker("linux") is not None


@pytest.fixture(autouse=True)
def _few_certificates(request: pytest.FixtureRequest) -> None:
    """Let the clients of units read one certificate."""
    if request.node.get_closest_marker("e2e") is None or request.path in _HEAVY:
        request.getfixturevalue("monkeypatch").setenv("SSL_CERT_FILE", str(ONE_CERTIFICATE))


@pytest.fixture(autouse=True)
def _words_alone() -> None:
    """Let no unit rank by meaning because one before it composed a run."""
    BY_MEANING.set(False)


@pytest.fixture
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of the test's own the current one, keep chat's files in it, and take the settings away; give it."""
    for variable in [name for name in os.environ if name.startswith("CHATCLI_")]:
        monkeypatch.delenv(variable)
    for name in ("config", "data", "state", "cache"):
        monkeypatch.setenv(f"XDG_{name.upper()}_HOME", str(tmp_path / name))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOpenAI]:
    """Run a scripted model server for a unit, and set a key for it."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with FakeOpenAI() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Give an empty home, and an environment without any key or setting of the developer's."""
    return Home.below(tmp_path)


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """Give what runs `chat` without the time of its imports."""
    server = ForkServer(Home.below(tmp_path_factory.mktemp("forks")).env) if is_supported() else NoForks()
    yield server
    server.close()


@pytest.fixture
def chat(home: Home, forks: ForkServer, request: pytest.FixtureRequest) -> Iterator[Chat]:
    """Give the program, to be run in `home`: forks of one process, or where marked `executable`, what is installed."""
    assert EXECUTABLE.exists(), f"{EXECUTABLE} is missing: install chatcli into this environment first"
    marked = request.node.get_closest_marker("executable") is not None
    program = Chat(home, reader=forks) if marked else Chat(home, forks)
    yield program
    program.close()


@pytest.fixture
def fake(home: Home) -> Iterator[FakeOpenAI]:
    """Run a scripted model server that programs in `home` talk to."""
    with FakeOpenAI() as server:
        server.key = KEY
        home.env["OPENAI_BASE_URL"] = server.base_url
        home.env["OPENAI_API_KEY"] = KEY
        yield server


@pytest.fixture(scope="session")
def weekly(pytestconfig: pytest.Config) -> bool:
    """Return whether this is the weekly run, in which tests repeat more often what they try."""
    return bool(pytestconfig.getoption("weekly"))


@pytest.fixture(scope="session")
def weights_cache() -> Path:
    """Give the default model's weights, fetched once a machine."""
    return cached(QWEN)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Run a real PostgreSQL server for the whole run of tests."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def langgraph_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a real LangGraph server for the whole run of tests, all processes of it; give its address."""
    with shared_server(_folder_of_all(tmp_path_factory)) as url:
        yield url


def _folder_of_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that all processes of this run of tests share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture
def alone_on_server() -> None:
    """Keep the other tests off the LangGraph server: for one that uses the thread used last there."""


@pytest.fixture(autouse=True)
def _turn_on_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hold a lock while a test uses the LangGraph server, so that one may have it alone."""
    if "langgraph_server" not in request.fixturenames:
        yield
        return
    with (_folder_of_all(tmp_path_factory) / "server_turns").open("w") as turns:
        fcntl.flock(turns, fcntl.LOCK_EX if "alone_on_server" in request.fixturenames else fcntl.LOCK_SH)
        yield


@pytest.fixture
def other(langgraph_server: str) -> Iterator[OtherProgram]:
    """Give another program on that server."""
    with other_program(langgraph_server) as program:
        yield program


@pytest.fixture(scope="session")
def mcp_forks() -> Iterator[ForkServer]:
    """Give what runs the MCP server of `fakes` without the second that its SDK takes to import."""
    server = ForkServer(dict(os.environ), "mcp_server") if is_supported() else NoForks("mcp_server")
    yield server
    server.close()


@pytest.fixture
def mcp_server(mcp_forks: ForkServer) -> dict[str, Any]:
    """Give the command of that server over stdio, as a configuration has it; it is no child of who starts it."""
    command, *arguments = mcp_forks.command()
    return {"command": command, "args": arguments}


@pytest.fixture
def served(tmp_path: Path, mcp_forks: ForkServer) -> Iterator[Served]:
    """Give what runs that server over HTTP, and returns its address, its process and the folder of its notes."""
    with ExitStack() as stack:

        def start(*kind: str, port: int = 0) -> tuple[str, Process, Path]:
            notes = Path(tempfile.mkdtemp(dir=tmp_path))
            environment = {**os.environ, "MCP_NOTES": str(notes)}
            with socket.create_server(("127.0.0.1", port)) as listening:
                streams, port = (listening.fileno(), 1, 2), listening.getsockname()[1]
                # It listens at its standard input.
                process: Process | None = mcp_forks.start(["0", *kind], environment, tmp_path, streams)
                if process is None:
                    process = subprocess.Popen(
                        [sys.executable, MCP_SERVER, "0", *kind],
                        env=environment,
                        cwd=tmp_path,
                        stdin=listening.fileno(),
                    )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return f"http://127.0.0.1:{port}/mcp", process, notes

        yield start


@pytest.fixture
def url(served: Served) -> str:
    """Run the server over HTTP."""
    return served()[0]
