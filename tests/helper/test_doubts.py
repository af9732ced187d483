"""Whatever is in doubt is run without the helper, and no helper does harm."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.conftest import KEY
from tests.e2e.forkserver import ForkServer
from tests.e2e.program import EXECUTABLE, Home
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Gated
from tests.helper.conftest import Helped
from tests.waiting import WAIT_SECONDS, wait_until


@pytest.mark.parametrize(
    "command",
    [
        "CHATCLI_HELPER=0 chat hello",
        "LANGGRAPH_STRICT_MSGPACK=true chat hello",
        "umask 027; chat hello",
        "ulimit -n 200; chat hello",
        "nice -n 1 chat hello",
        "trap '' HUP; chat hello",
        "chat hello <&-",
        "chat -f <(echo text) hello",
        "CHATCLI_SCHEMA_OF_MINE=<(echo text) chat hello",
        "chat --script <(echo hello)",
        "echo hello > questions; chat --script questions",
    ],
)
def test_in_doubt_it_is_run_without(helped: Helped, server: FakeOpenAI, command: str) -> None:
    before = helped.pid()
    gate = Event()
    server.script(Gated("the beginning", gate, " and the end"))
    running = subprocess.Popen(
        ["bash", "-c", f"PATH={EXECUTABLE.parent}:$PATH; {command}"],
        env=helped.home.env,
        cwd=helped.home.work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    with running:
        server.wait_for_requests(1)
        assert helped.children() == []
        gate.set()
        output, _ = running.communicate()
    assert "the beginning and the end" in output
    assert running.returncode == 0
    assert helped.pid() == before


def test_what_is_too_long_for_a_message_is_run_without(helped: Helped, server: FakeOpenAI) -> None:
    env = {f"LONG_{number}": "x" * 100_000 for number in range(4)}
    assert helped("hello", env=env).returncode == 0
    assert len(server.requests) == 1


def test_a_helper_that_hangs_is_not_waited_for(helped: Helped, server: FakeOpenAI) -> None:
    pid = helped.ready()
    os.kill(pid, signal.SIGSTOP)
    try:
        assert helped.forked("hello").stdout == "You said: hello\n"
        assert len(server.requests) == 1
        # It has lost its place to another.
        wait_until(lambda: helped.pid() not in (0, pid))
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_the_socket_of_one_that_was_killed_is_cleared_away(helped: Helped, server: FakeOpenAI) -> None:
    pid = helped.ready()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    assert helped.forked("hello").stdout == "You said: hello\n"
    wait_until(lambda: helped.pid() not in (0, pid))


def test_an_impostor_costs_some_time_at_most(helped: Helped, server: FakeOpenAI) -> None:
    with Impostor(helped, b"no", b"heard", b"nonsense", b"") as impostor:
        for number in range(4):
            assert helped.forked("hello").stdout == "You said: hello\n"
            assert len(server.requests) == number + 1
    assert len([request for request in impostor.received if request]) == 4


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_another_users_helper_gets_no_request(helped: Helped, server: FakeOpenAI) -> None:
    with Impostor(helped, b"heard", user=65534) as impostor:
        assert helped.forked("hello").stdout == "You said: hello\n"
    assert set(impostor.received) == {b""}


class Impostor:
    """Listens in the helper's place, and gives one of `replies` to each who asks."""

    def __init__(self, helped: Helped, *replies: bytes, user: int | None = None) -> None:
        pid = helped.ready()
        [self._path] = helped.folder.glob("*.sock")
        self._path.unlink()
        wait_until(lambda: not Path(f"/proc/{pid}").exists())
        self.received: list[bytes] = []
        self._replies = replies
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(self._path))
        if user is not None:
            os.seteuid(user)  # the kernel notes who listens
        self._listener.listen()
        if user is not None:
            os.seteuid(0)
        self._thread = Thread(target=self._serve)

    def _serve(self) -> None:
        replies = list(self._replies)
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # the listener was shut down
                return
            with connection:
                self.received.append(connection.recv(1 << 20))
                if self.received[-1]:  # else somebody only looks whether there is a helper
                    connection.send(replies.pop(0))
                    connection.settimeout(WAIT_SECONDS)
                    connection.recv(16)

    def __enter__(self) -> "Impostor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self._path.unlink(missing_ok=True)


@pytest.mark.parametrize("how", ["option", "variable", "config"])
def test_it_can_be_switched_off(helped: Helped, server: FakeOpenAI, how: str) -> None:
    """No process is left behind then; that of the other runs is out of sight in a folder of its own."""
    config = Path(helped.home.env["XDG_CONFIG_HOME"]) / "chatcli" / "config.toml"
    words, env = ["hello"], {"XDG_RUNTIME_DIR": str(helped.home.root / how)}
    if how == "option":
        words.insert(0, "--no-helper")
    elif how == "variable":
        env["CHATCLI_HELPER"] = "off"
    else:
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text("helper = false\n")
    assert helped.forked(*words, env=env).returncode == 0
    findings = helped.forked("doctor", "--json", env=env).json()
    [found] = [finding for finding in findings if finding["subject"] == "helper"]
    config.unlink(missing_ok=True)
    # A helper would be there, though not listening yet: posix_spawn returns once the new program runs.
    assert processes(env["XDG_RUNTIME_DIR"]) == []
    assert how == "option" or found["detail"].startswith("off")


def test_it_leaves_when_it_is_not_needed(helped: Helped, server: FakeOpenAI) -> None:
    folder = helped.runtime / "idle"
    folder.mkdir(mode=0o700)
    env = {"XDG_RUNTIME_DIR": str(folder), "CHATCLI_HELPER_IDLE_SECONDS": "0.5"}
    assert helped.forked("hello", env=env).returncode == 0
    assert len(processes(str(folder))) == 1
    wait_until(lambda: processes(str(folder)) == [])
    assert list(folder.rglob("*.sock")) == []


def test_one_that_suits_nobody_leaves_though_it_is_asked(helped: Helped, server: FakeOpenAI) -> None:
    folder = helped.runtime / "unlike"
    folder.mkdir(mode=0o700)
    env = {"XDG_RUNTIME_DIR": str(folder), "CHATCLI_HELPER_IDLE_SECONDS": "1"}
    assert helped.forked("hello", env=env | {"TZ": "Asia/Tokyo"}).returncode == 0
    [first] = processes(str(folder))
    wait_until(lambda: list(folder.rglob("*.sock")) != [])

    def asked_in_vain() -> bool:
        assert helped.forked("hello", env=env).returncode == 0
        return first not in processes(str(folder))

    wait_until(asked_in_vain)
    # The next one leaves, too, or its socket could vanish while the folder is removed.
    wait_until(lambda: processes(str(folder)) == [])


def test_another_home_gets_a_helper_of_its_own(helped: Helped, server: FakeOpenAI, tmp_path: Path) -> None:
    pid = helped.ready()
    assert helped.forked("hello", env={"HOME": str(tmp_path)}).stdout == "You said: hello\n"
    wait_until(lambda: helped.pid() not in (0, pid))
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    os.kill(helped.pid(), signal.SIGKILL)  # the tests to come live where they did


def test_of_many_that_start_one_stays(helped: Helped) -> None:
    folder = helped.runtime / "many"
    folder.mkdir(mode=0o700)
    env = helped.home.env | {"XDG_RUNTIME_DIR": str(folder), "CHATCLI_HELPER_IDLE_SECONDS": "1"}
    command = [sys.executable, "-P", "-m", "chatcli.cli.helper_main"]
    started = [subprocess.Popen(command, env=env) for _ in range(5)]
    wait_until(lambda: list(folder.rglob("*.sock")) != [])
    wait_until(lambda: sum(one.poll() is None for one in started) == 1)
    assert [one.wait(WAIT_SECONDS) for one in started] == [0] * 5


def test_it_holds_no_key_and_no_folder_while_it_waits(helped: Helped, server: FakeOpenAI) -> None:
    process = Path(f"/proc/{helped.ready()}")
    assert KEY.encode() not in (process / "environ").read_bytes()
    assert (process / "cwd").readlink() == Path("/")

    def open_files() -> set[str]:
        names = set()
        for file in (process / "fd").iterdir():
            with suppress(FileNotFoundError):  # a connection that ends meanwhile
                names.add(str(file.readlink()))
        return {name for name in names if not name.startswith("socket:")}

    # It still looks at the process that asked whether it is ready, for a moment.
    wait_until(lambda: open_files() == {"/dev/null"})


def test_nothing_of_a_run_is_left_in_its_memory(helped: Helped, server: FakeOpenAI) -> None:
    memory_of(helped.pid(), skip=True)
    names = ("key", "url", "option", "question", "piped", "answer")
    marks = {name: f"{name}-{os.urandom(8).hex()}" for name in names}
    gate = Event()
    server.key = None
    server.script(Gated(marks["answer"], gate, "."))
    server.default = Answer(marks["answer"])
    env = {"OPENAI_API_KEY": marks["key"], "SERVICE_ADDRESS": f"https://me:{marks['url']}@host/"}
    words = ["-s", marks["option"], marks["question"]]
    before = helped.pid()
    running = helped.start(*words, env=env)
    running.wait_for_output(marks["answer"])
    assert len(helped.children()) == 1
    gate.set()
    assert running.finish().returncode == 0
    assert helped(*words, env=env, input=marks["piped"]).stdout == f"{marks['answer']}\n"
    assert [request.key for request in server.requests] == [marks["key"]] * 2
    server.key = KEY
    assert helped.pid() == before
    memory = memory_of(before)
    assert b"chatcli" in memory
    assert {name: memory.count(mark.encode()) for name, mark in marks.items()} == dict.fromkeys(marks, 0)


def test_one_that_is_started_gets_no_password_of_a_url(server: FakeOpenAI, forks: ForkServer, tmp_path: Path) -> None:
    other = Helped(Home.below(tmp_path), forks)
    try:
        other.home.env.update(OPENAI_BASE_URL=server.base_url, OPENAI_API_KEY=KEY)
        other.home.env["HTTPS_PROXY"] = "http://me:proxy-password@localhost:9"
        memory = memory_of(other.ready(), skip=True)
        assert b"proxy-password" not in memory
    finally:
        other.close()


def memory_of(pid: int, *, skip: bool = False) -> bytes:
    """Give all that the process holds in memory that it may write to; with `skip`, skip where nobody may read it."""
    found = []
    try:
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                place, rights = line.split()[:2]
                if "w" in rights:
                    start, end = (int(part, 16) for part in place.split("-"))
                    memory.seek(start)
                    found.append(memory.read(end - start))
    except PermissionError as error:
        if skip:
            pytest.skip(f"the memory of another process can't be read here: {error}")
        raise
    return b"".join(found)


def processes(runtime: str) -> list[int]:
    """Give the helpers whose socket is, or will be, in the folder `runtime`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            named = b"chatcli.cli.helper_main" in (process / "cmdline").read_bytes().split(b"\0")
            if named and f"XDG_RUNTIME_DIR={runtime}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found
