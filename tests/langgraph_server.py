"""A real LangGraph server with the apps of `tests/server_app`, one for all processes of a run of tests."""

import fcntl
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from chatcli.tools.leash import leashed
from tests.waiting import WAIT_SECONDS

if TYPE_CHECKING:
    from langgraph_sdk.client import SyncLangGraphClient

APP = Path(__file__).parent / "server_app"
ANSWERS = Path(__file__).parent / "sample_graphs" / "answers.py"
"""Apps without messages, which are graphs of other tests too."""
START_TIMEOUT = 3 * WAIT_SECONDS
"""Its imports alone take some ten seconds of CPU."""


@dataclass(frozen=True)
class OtherProgram:
    """Another program that uses the server."""

    client: "SyncLangGraphClient"

    def thread(self, *questions: str) -> str:
        """Make a thread in which the app `echo` answered the questions; return its ID."""
        thread_id = str(self.client.threads.create()["thread_id"])
        for question in questions:
            message: Any = {"role": "user", "content": question}
            self.client.runs.wait(thread_id, "echo", input={"messages": [message]})
        return thread_id


@contextmanager
def other_program(url: str) -> Iterator[OtherProgram]:
    """Yield another program on the server."""
    from langgraph_sdk import get_sync_client  # half of what tests/conftest.py would import in every process

    with get_sync_client(url=url, api_key=None) as client:
        yield OtherProgram(client)


@contextmanager
def shared_server(folder: Path) -> Iterator[str]:
    """Yield the address of the server that the processes which name the same `folder` share.

    The first of them starts it, and stops it when the last one is done: each holds a lock meanwhile, which the kernel
    takes back from a process that dies.
    """
    address = folder / "address"
    with (folder / "users").open("w") as users:
        with _only_one(folder):
            fcntl.flock(users, fcntl.LOCK_SH)
            server = None if address.exists() else start_server(folder)
        try:
            yield address.read_text()
        finally:
            if server is not None:
                fcntl.flock(users, fcntl.LOCK_EX)
                address.unlink()
                stop_server(server)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    with (folder / "starting").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def start_server(folder: Path, port: int = 0) -> subprocess.Popen[bytes]:
    """Start a server whose files are in `folder`, at `port` or any; when it answers, `address` there has its URL.

    The test is skipped where the server can't be installed.
    """
    if (sys.platform, platform.machine()) == ("darwin", "x86_64"):
        pytest.skip("the server asks for a cryptography that has no wheel for Macs with an Intel processor")
    work = shutil.copytree(
        APP, folder / "app", dirs_exist_ok=True
    )  # the server writes its state beside its configuration
    shutil.copy(ANSWERS, work)
    with socket.create_server(("127.0.0.1", port)) as free:
        port = free.getsockname()[1]
    command = [
        str(Path(sys.executable).parent / "langgraph"),
        "dev",
        "--no-browser",
        "--no-reload",
        "--port",
        str(port),
    ]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            leashed([*command, "--n-jobs-per-worker", "8"]),
            cwd=work,
            stdout=log,
            stderr=log,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANGGRAPH_CLI_NO_ANALYTICS": "1"},
            start_new_session=True,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}", server, folder / "log")
    except BaseException:
        stop_server(server)
        raise
    (folder / "address").write_text(f"http://127.0.0.1:{port}")
    return server


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            if httpx2.get(f"{url}/ok", timeout=5).status_code == httpx2.codes.OK:
                return
        except httpx2.TransportError:
            if time.monotonic() > deadline or server.poll() is not None:
                raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}") from None
        time.sleep(0.1)


def stop_server(server: subprocess.Popen[bytes]) -> None:
    """End the server, within seconds."""
    os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
