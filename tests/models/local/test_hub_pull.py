"""Pulling GGUF files: where the token goes, what a stopped download leaves, which changes of a file are seen."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from chatcli import paths
from chatcli.errors import ChatcliError, NetworkError, UsageError
from chatcli.events import Progress
from chatcli.models.local.fetch import fetch, fetch_from_user_hub
from chatcli.models.local.pulled import (
    find_removable,
    forget,
    own_weights,
    parse_hub_file,
    pulled_models,
    remember,
)
from tests.models.local.foreign import model, write_model
from tests.models.local.hub import Hub, _Handler

NAME = "hf:someone/some-models/sub/Foreign.Q4.gguf"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_secretsecretsecret"


class _HubHandler(_Handler):
    """Answers as the model hub does: the hash in the header of a redirect to another host, which has the bytes."""

    hub: ClassVar["ForeignHub"]

    def do_GET(self) -> None:  # noqa: N802 - the base class names it so
        self.hub.keys.append(self.headers.get("Authorization"))
        if self.hub.refusal:
            self.send_error(self.hub.refusal)
            return
        if self.path in self.hub.files:
            self.send_response(302)
            self.send_header("Location", f"{self.hub.storage.url}/blob")
            if self.hub.names_hash:
                self.send_header("X-Linked-Etag", f'"{self.hub.sha256}"')
            self.send_header("X-Linked-Size", str(len(self.hub.files[self.path])))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_error(404)

    do_HEAD = do_GET  # noqa: N815 - the base class names it so


class _StorageHandler(_Handler):
    hub: ClassVar["Storage"]

    def do_GET(self) -> None:  # noqa: N802 - the base class names it so
        self.hub.keys.append(self.headers.get("Authorization"))
        super().do_GET()


class Storage(Hub):
    """The host that has the bytes."""

    handler = _StorageHandler

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str | None] = []


class ForeignHub(Hub):
    """A hub with one file, whose bytes another host has."""

    handler = _HubHandler

    def __init__(self, storage: Storage, data: bytes) -> None:
        super().__init__()
        self.storage = storage
        self.names_hash = True
        self.refusal = 0
        self.keys: list[str | None] = []
        self.sha256 = hashlib.sha256(data).hexdigest()
        for revision in ("main", COMMIT):
            self.files[f"/someone/some-models/resolve/{revision}/sub/Foreign.Q4.gguf"] = data
        storage.files["/blob"] = data


@pytest.fixture
def foreign(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForeignHub]:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with Storage() as storage, ForeignHub(storage, model()) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def _ignore(_: Progress) -> None:
    pass


def _pull(name: str = NAME) -> None:
    fetch_from_user_hub(parse_hub_file(name), on_progress=_ignore)


def _files() -> list[str]:
    folder = paths.cache_dir() / "models" / "pulled"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_token_goes_to_the_hub_alone(foreign: ForeignHub) -> None:
    _pull()
    assert set(foreign.keys) == {f"Bearer {TOKEN}"}
    assert set(foreign.storage.keys) == {None}


def test_token_with_a_line_break_is_not_printed(foreign: ForeignHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", f"{TOKEN}\n{TOKEN}")
    with pytest.raises(ChatcliError) as raised:
        _pull()
    assert TOKEN not in f"{raised.value.message} {raised.value.remedy}"


def test_stopped_first_download_is_removed(foreign: ForeignHub) -> None:
    foreign.storage.cut_after = 200_000
    with pytest.raises(NetworkError):
        _pull()
    forget(find_removable("Foreign.Q4"))
    assert not _files()
    with pytest.raises(UsageError, match="unknown local model"):
        find_removable("Foreign.Q4")


@pytest.mark.usefixtures("own_folders")
def test_change_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    path = write_model(tmp_path / "Mine.gguf")
    remember(own_weights(path))
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(UsageError, match="has changed"):
        fetch(pulled_models()["Mine"], on_progress=_ignore)
