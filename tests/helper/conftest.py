"""Fixtures of the tests of the helper: one helper a module, in a home of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chatcli.helper.kernel import peer
from chatcli.helper.wire import connect
from tests.conftest import KEY
from tests.e2e.forkserver import ForkServer
from tests.e2e.program import Chat, Home
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import echo
from tests.waiting import wait_until


class Helped(Chat):
    """A home in which `chat` may use the helper, and that helper."""

    def __init__(self, home: Home, forks: ForkServer) -> None:
        super().__init__(home, reader=forks)
        del home.env["CHATCLI_HELPER"]
        # Not below pytest's own folder: a socket's path has at most 107 bytes.
        self.runtime = Path(tempfile.mkdtemp(prefix="chat-"))
        home.env["XDG_RUNTIME_DIR"] = str(self.runtime)

    @property
    def folder(self) -> Path:
        """Where the sockets are."""
        return self.runtime / "chatcli"

    def pid(self) -> int:
        """Give the process that listens, 0 for none."""
        for path in self.folder.glob("*.sock"):
            with suppress(ConnectionRefusedError), connect(path, 5) as connection:
                return peer(connection)[0]
        return 0

    def children(self) -> list[int]:
        """Give the processes that run for somebody at the moment."""
        pid = self.pid()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children if not is_gone(int(child))]

    def ready(self) -> int:
        """Have a helper listen; give its process ID."""
        if not self.pid():
            assert self.forked("hello").returncode == 0
            wait_until(lambda: self.pid() != 0)
        return self.pid()

    def close(self) -> None:
        """Kill what was started and still runs; the helper leaves with its folder."""
        super().close()
        shutil.rmtree(self.runtime)


def state(pid: int) -> str:
    """Give the state of a process as proc(5) names it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def is_gone(pid: int) -> bool:
    """Return whether a process has ended, also when nobody has asked for its exit code yet."""
    try:
        return state(pid) == "Z"
    except (FileNotFoundError, ProcessLookupError):  # before it was opened, or between that and the reading
        return True


@pytest.fixture(scope="module")
def module_server() -> Iterator[FakeOpenAI]:
    """Run a scripted model server for a module."""
    with FakeOpenAI() as server:
        server.key = KEY
        yield server


@pytest.fixture(scope="module")
def module_home(
    module_server: FakeOpenAI, tmp_path_factory: pytest.TempPathFactory, forks: ForkServer
) -> Iterator[Helped]:
    """Give a home whose helper is the same for a module: each costs the time of all imports."""
    home = Home.below(tmp_path_factory.mktemp("helped"))
    home.env.update(
        {
            "OPENAI_BASE_URL": module_server.base_url,
            "OPENAI_API_KEY": KEY,
            "SOME_TOKEN": KEY,
        }
    )
    helped = Helped(home, forks)
    yield helped
    helped.close()


@pytest.fixture
def server(module_server: FakeOpenAI) -> FakeOpenAI:
    """Give the scripted model server, which nobody has asked yet."""
    module_server.requests.clear()
    module_server.disconnects.clear()
    module_server.default = echo
    return module_server


@pytest.fixture
def helped(module_home: Helped, server: FakeOpenAI) -> Helped:
    """Give a home with a helper that listens."""
    module_home.ready()
    server.requests.clear()
    return module_home
