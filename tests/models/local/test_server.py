"""One server for all terminals of a user, tested with real processes and real weights."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chatcli import paths
from chatcli.errors import InternalError, InterruptedTurnError, NetworkError, StoreError, UsageError
from chatcli.events import Progress
from chatcli.models.local.client import LocalServer, explain_death
from chatcli.models.local.fetch import fetch
from chatcli.models.local.runtime import Endpoint, FileLock, Runtime
from chatcli.models.local.weights import SMOLLM
from tests.models.local.processes import ClientProcess, alive, command_lines, kill, servers_in
from tests.models.local.tiny import CONTENT, tiny_weights
from tests.waiting import WAIT_SECONDS, wait_until

pytestmark = [pytest.mark.local_model, pytest.mark.usefixtures("own_folders")]

MakeServer = Callable[[], LocalServer]


def _ignore(_: Progress) -> None:
    pass


@pytest.fixture
def weights(small_weights_cache: Path) -> Path:
    return small_weights_cache


@pytest.fixture
def make_server(weights: Path) -> Iterator[MakeServer]:
    with ExitStack() as stack:

        def make() -> LocalServer:
            server = LocalServer(SMOLLM, override=weights, on_progress=_ignore)
            stack.callback(server.close)
            return server

        yield make


@pytest.fixture
def runtime(own_folders: Path) -> Runtime:
    return Runtime.of(SMOLLM)


def _ensure(server: LocalServer) -> Endpoint:
    return asyncio.run(server.ensure())


def _models(endpoint: Endpoint, key: str) -> int:
    url = f"{endpoint.base_url}/models"
    return httpx2.get(url, headers={"Authorization": f"Bearer {key}"}, trust_env=False).status_code


def test_started_once_and_reused_without_a_wait(make_server: MakeServer, weights: Path) -> None:
    async def ensure_twice(server: LocalServer) -> Endpoint:
        endpoint = await server.ensure()
        with pytest.raises(StopIteration) as ended:  # at its first step: no thread, no lock and no request
            server.ensure().send(None)
        assert ended.value.value == endpoint
        return endpoint

    first = make_server()
    endpoint = asyncio.run(ensure_twice(first))
    assert _ensure(first) == endpoint
    assert _ensure(make_server()) == endpoint
    with ClientProcess(SMOLLM, weights) as other:
        assert other.server_pid() == endpoint.pid


def test_loading_is_reported(weights: Path) -> None:
    seen: list[Progress] = []
    server = LocalServer(SMOLLM, override=weights, on_progress=seen.append)
    _ensure(server)
    server.close()
    assert seen == [Progress("loading SmolLM2 135M"), Progress("loading SmolLM2 135M", finished=True)]


def test_guarded_by_a_key_that_only_the_user_can_read(make_server: MakeServer, runtime: Runtime) -> None:
    endpoint = _ensure(make_server())
    assert _models(endpoint, endpoint.api_key) == 200
    assert _models(endpoint, "another") == 401
    assert stat.S_IMODE(runtime.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in runtime.folder.iterdir()} == {0o600}
    assert endpoint.api_key not in command_lines()[endpoint.pid] + runtime.log_file.read_text()
    assert endpoint.api_key not in repr(endpoint)


def test_three_terminals_at_the_same_moment_share_one_server(weights: Path) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(ClientProcess(SMOLLM, weights)) for _ in range(3)]
        for client in clients:
            client.begin()
        assert len({client.server_pid() for client in clients}) == 1
        assert len(servers_in(paths.state_dir() / "local")) == 1


@pytest.mark.parametrize("end", ["kill", "leave"])
def test_server_leaves_after_its_last_client(weights: Path, runtime: Runtime, end: str) -> None:
    with ClientProcess(SMOLLM, weights) as client:
        pid = client.server_pid()
        time.sleep(1.6)  # longer than it stays alone
        assert alive(pid)
        began = time.monotonic()
        getattr(client, end)()
        time.sleep(0.3)
        assert alive(pid) or time.monotonic() - began > 1  # under load, its time may be over
        wait_until(lambda: not alive(pid))
    assert not runtime.state_file.exists()


def test_client_that_meets_a_leaving_server_gets_another(
    weights: Path, monkeypatch: pytest.MonkeyPatch, runtime: Runtime
) -> None:
    monkeypatch.setenv("CHATCLI_LOCAL_IDLE_SECONDS", "0.2")

    async def visit(pause: float) -> int:
        await asyncio.sleep(pause)
        server = LocalServer(SMOLLM, override=weights, on_progress=_ignore)
        try:
            endpoint = await server.ensure()
            assert await asyncio.to_thread(_models, endpoint, endpoint.api_key) == 200
        finally:
            server.close()
        return endpoint.pid

    pids = {asyncio.run(visit(0.2 + step * 0.02)) for step in range(6)}
    assert len(pids) > 1
    wait_until(lambda: not runtime.state_file.exists())


def test_killed_server_is_replaced(make_server: MakeServer) -> None:
    server = make_server()
    first = _ensure(server)
    kill(first.pid)
    server.distrust()  # its last threads may still hold the lock
    second = _ensure(server)
    assert second.pid != first.pid
    assert _models(second, second.api_key) == 200


def test_terminated_server_cleans_up(make_server: MakeServer, runtime: Runtime) -> None:
    endpoint = _ensure(make_server())
    os.kill(endpoint.pid, signal.SIGTERM)
    wait_until(lambda: not alive(endpoint.pid))
    assert not runtime.state_file.exists()


FOREIGN = '{"base_url": "http://192.0.2.1:80/v1", "api_key": "key", "pid": 1}'


@pytest.mark.parametrize("state", ["", "[]", '{"base_url": 3}', FOREIGN])
def test_a_state_file_that_names_no_server_of_this_machine_is_as_none(runtime: Runtime, state: str) -> None:
    runtime.state_file.write_text(state)
    assert runtime.read_endpoint() is None


@pytest.mark.parametrize("state", ["foreign", "stale"])
def test_stale_state_file_is_replaced(make_server: MakeServer, runtime: Runtime, state: str) -> None:
    if state == "stale":  # the process id now belongs to another program
        runtime.write_endpoint(Endpoint("http://127.0.0.1:9/v1", "key", os.getpid()))
    else:
        runtime.state_file.write_text(FOREIGN)
    endpoint = _ensure(make_server())
    assert runtime.read_endpoint() == endpoint
    assert alive(endpoint.pid)


def test_spoilt_state_of_a_living_server_heals(make_server: MakeServer, runtime: Runtime) -> None:
    endpoint = _ensure(make_server())
    runtime.write_endpoint(Endpoint(endpoint.base_url, "wrong key", endpoint.pid))
    assert _ensure(make_server()) == endpoint
    runtime.state_file.unlink()
    assert _ensure(make_server()) == endpoint


def test_server_survives_the_end_of_its_starter(make_server: MakeServer, weights: Path) -> None:
    with ClientProcess(SMOLLM, weights) as starter:
        pid = starter.server_pid()
        server = make_server()
        assert _ensure(server).pid == pid
        starter.kill()
        time.sleep(1.6)
        assert _ensure(server).pid == pid


def test_file_that_is_no_model_is_a_clear_failure(tmp_path: Path) -> None:
    override = tmp_path / "tiny.gguf"
    override.write_bytes(CONTENT)
    server = LocalServer(tiny_weights(), override=override, on_progress=_ignore)
    with pytest.raises(InternalError, match="its file is damaged"):
        _ensure(server)
    server.close()


def test_a_wrong_file_is_refused_while_a_server_runs(make_server: MakeServer, tmp_path: Path) -> None:
    endpoint = _ensure(make_server())
    (tmp_path / "no_model.gguf").write_bytes(b"hello")
    (tmp_path / "another_model.gguf").write_bytes(CONTENT)
    for given in ("missing", "no_model", "another_model"):
        server = LocalServer(SMOLLM, override=tmp_path / f"{given}.gguf", on_progress=_ignore)
        with pytest.raises(UsageError, match="CHATCLI_LOCAL_MODEL"):
            _ensure(server)
        server.close()
    assert _ensure(make_server()) == endpoint


def test_no_weights_and_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    server = LocalServer(SMOLLM, on_progress=_ignore)
    with pytest.raises(NetworkError, match="can't be downloaded"):
        _ensure(server)
    server.close()


def test_a_client_that_ends_does_not_warn_of_the_server_that_goes_on(weights: Path) -> None:
    command = [sys.executable, "-W", "default::ResourceWarning", "-m", "tests.models.local.client_main"]
    client = subprocess.run(
        [*command, SMOLLM.name, str(weights)],
        input="\n",
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=True,
    )
    assert "still running" not in client.stderr


def test_cancelled_download_stops_with_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")

    ends: list[type[BaseException]] = []

    def download(*args: Any, **options: Any) -> Path:
        try:
            return fetch(*args, **options)
        except BaseException as error:
            ends.append(type(error))
            raise

    monkeypatch.setattr("chatcli.models.local.client.fetch", download)

    async def scenario() -> None:
        server = LocalServer(SMOLLM, on_progress=_ignore)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.ensure(), 0.2)
        server.close()

    asyncio.run(scenario())  # waits for the download's thread
    assert ends == [InterruptedTurnError]


def test_state_folder_that_cannot_be_made(own_folders: Path) -> None:
    (own_folders / "xdg_state_home").write_text("a file in the way")
    with pytest.raises(StoreError, match=r"can't use .*xdg_state_home.*: File exists"):
        _ensure(LocalServer(SMOLLM, on_progress=_ignore))


@pytest.mark.parametrize("text", ["soon", "-1", "0", "nan", "inf"])
def test_impossible_idle_time(make_server: MakeServer, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CHATCLI_LOCAL_IDLE_SECONDS", text)
    with pytest.raises(UsageError, match=f"CHATCLI_LOCAL_IDLE_SECONDS={text}"):
        _ensure(make_server())


def test_reasons_of_a_death_are_named(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert "AVX2" in explain_death(-signal.SIGILL, log).message
    assert "memory" in explain_death(-signal.SIGKILL, log).message
    assert "exit status 3" in explain_death(3, log).message
    log.write_text("Traceback (most recent call last):\nRuntimeError: no model\n0.01 E srv init: exiting\n")
    assert explain_death(1, log).message.endswith("RuntimeError: no model")  # the runtime's own log may come last
    log.write_text("ImportError: libgomp.so.1: cannot open shared object file\n")
    assert "apt-get install libgomp1" in explain_death(1, log).remedy


def test_lock_of_a_frozen_starter_is_waited_for(
    make_server: MakeServer, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatcli.models.local.client._START_SECONDS", 0.3)
    lock = FileLock(runtime.server_lock)
    assert lock.try_take()
    with pytest.raises(InternalError, match="did not answer within"):
        _ensure(make_server())
    lock.close()
