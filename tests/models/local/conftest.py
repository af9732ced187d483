"""Fixtures of the embedded model's tests: the real weights, folders of their own, small sources."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatcli import paths
from chatcli.models.local.weights import SMOLLM
from tests.models.local.embedded import Embedded
from tests.models.local.hub import Hub
from tests.models.local.processes import stop_servers
from tests.models.local.shared_cache import cached

CLOSED_PORT = "http://127.0.0.1:9"


@pytest.fixture(scope="session")
def small_weights_cache() -> Path:
    """Give the small model's weights, which load in half a second: for tests of the server, not of answers."""
    return cached(SMOLLM)


@pytest.fixture
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give this test its own cache and state, no network, and end the servers that it leaves behind."""
    for variable in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    for variable in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HF_ENDPOINT", CLOSED_PORT)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("CHATCLI_LOCAL_IDLE_SECONDS", "1")
    yield tmp_path
    stop_servers(paths.state_dir() / "local")


@pytest.fixture
def hub(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Give a model hub on the loopback interface, which is the only source until a test adds another."""
    with Hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def wheelhouse(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder in which pip looks for wheels."""
    folder = own_folders / "wheelhouse"
    folder.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def small(small_weights_cache: Path) -> Iterator[Embedded]:
    embedded = Embedded(SMOLLM, small_weights_cache)
    yield embedded
    embedded.server.close()
