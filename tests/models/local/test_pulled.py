"""Models that the user pulled: from a hub, verified by its hash, or by the path of a file."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from chatcli import paths
from chatcli.errors import AuthError, ChatcliError, NetworkError, RefusedError, UsageError
from chatcli.events import Progress
from chatcli.models.local.client import require_memory
from chatcli.models.local.fetch import fetch, fetch_from_user_hub
from chatcli.models.local.pulled import (
    find_model,
    find_removable,
    forget,
    own_weights,
    parse_hub_file,
    pulled_models,
    remember,
    source_of,
)
from chatcli.models.local.weights import QWEN, SMOLLM, Weights
from tests.models.local.gguf_files import CHAT, gguf_file, write_model
from tests.models.local.hub import Hub

pytestmark = pytest.mark.usefixtures("own_folders")

CONTENT = gguf_file(CHAT) + bytes(200_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SPEC = "hf:acme/Small-GGUF/q4/small.gguf"
NEWEST = "/acme/Small-GGUF/resolve/main/q4/small.gguf"
PINNED = "/acme/Small-GGUF/resolve/abc123/q4/small.gguf"


def ignore(_: Progress) -> None:
    """Tests have no screen."""


def pull(spec: str = SPEC) -> Weights:
    return fetch_from_user_hub(parse_hub_file(spec), on_progress=ignore)


@pytest.fixture
def stocked(hub: Hub) -> Hub:
    """Give a hub with one file, which it describes and stores as the real one does."""
    hub.heads[NEWEST] = {
        "X-Linked-Etag": f'"{SHA256}"',
        "X-Linked-Size": str(len(CONTENT)),
        "X-Repo-Commit": "abc123",
        "Location": f"{hub.url}/storage/7f",
    }
    hub.heads[PINNED] = {"Location": f"{hub.url.replace('127.0.0.1', 'localhost')}/storage/7f"}
    hub.files["/storage/7f"] = CONTENT
    return hub


def test_a_file_of_a_hub_becomes_a_model(stocked: Hub) -> None:
    weights = pull()
    assert weights.cache_file.read_bytes() == CONTENT
    assert (weights.name, weights.window, weights.sha256) == ("small", 4096, SHA256)
    assert find_model("small") == weights
    assert source_of(weights) == SPEC
    assert stocked.requests == [(NEWEST, None), (PINNED, None), ("/storage/7f", None)]
    assert pull() == weights
    assert stocked.requests[3:] == [(NEWEST, None)], "what is here is not fetched again"


def test_a_download_that_breaks_off_is_continued(stocked: Hub) -> None:
    stocked.cut_after = 65536
    with pytest.raises(NetworkError) as broken:
        pull()
    assert f"chat models pull {SPEC}" in broken.value.remedy
    assert pulled_models() == {}
    stocked.cut_after = None
    assert pull().cache_file.read_bytes() == CONTENT
    assert stocked.requests[-1] == ("/storage/7f", "bytes=65536-")


def test_a_stopped_first_download_is_removed(stocked: Hub) -> None:
    stocked.cut_after = 65536
    with pytest.raises(NetworkError):
        pull()
    forget(find_removable("small"))
    assert not any((paths.cache_dir() / "models" / "pulled").iterdir())
    with pytest.raises(UsageError, match="unknown local model"):
        find_removable("small")


def test_other_bytes_than_the_hub_names_are_refused(stocked: Hub) -> None:
    stocked.files["/storage/7f"] = CONTENT[:-1] + b"x"
    with pytest.raises(NetworkError, match="SHA-256 differs"):
        pull()
    assert pulled_models() == {}


def test_a_file_that_cannot_chat_is_not_kept(stocked: Hub) -> None:
    content = gguf_file(CHAT | {"general.type": "adapter"})
    stocked.files["/storage/7f"] = content
    stocked.heads[NEWEST] |= {
        "X-Linked-Etag": hashlib.sha256(content).hexdigest(),
        "X-Linked-Size": str(len(content)),
    }
    with pytest.raises(UsageError, match="a part of a model"):
        pull()
    assert pulled_models() == {}
    assert not any((paths.cache_dir() / "models" / "pulled").iterdir())


def test_the_token_goes_to_the_hub_alone(stocked: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull()
    assert stocked.tokens == ["Bearer hf_secret", "Bearer hf_secret", None]


def test_a_token_with_a_line_break_is_not_printed(stocked: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret\nhf_secret")
    with pytest.raises(ChatcliError) as raised:
        pull()
    assert "hf_secret" not in f"{raised.value.message} {raised.value.remedy}"


STORED = {"sha256": SHA256, "oid": SHA256, "size": len(CONTENT)}


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("revision/main?blobs=true", {"sha": "abc123", "siblings": [{"rfilename": "q4/small.gguf", "lfs": STORED}]}),
        ("tree/main?recursive=true", [7, {"path": "README.md"}, {"path": "q4/small.gguf", "lfs": STORED}]),
    ],
    ids=["repository", "tree"],
)
def test_the_api_names_the_hash_where_the_headers_do_not(stocked: Hub, path: str, answer: object) -> None:
    del stocked.heads[NEWEST]
    stocked.files[NEWEST] = CONTENT
    stocked.files[f"/api/models/acme/Small-GGUF/{path}"] = json.dumps(answer).encode()
    weights = pull()
    assert weights.sha256 == SHA256
    assert weights.hub_revision == ("abc123" if isinstance(answer, dict) else "main")


def test_a_file_without_a_hash_is_refused(hub: Hub) -> None:
    hub.files[NEWEST] = CONTENT
    with pytest.raises(RefusedError, match="names no SHA-256"):
        pull()


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AuthError), (403, AuthError), (404, RefusedError), (429, NetworkError), (500, NetworkError)],
)
def test_a_hub_that_does_not_give_the_file(hub: Hub, status: int, error: type[ChatcliError]) -> None:
    hub.heads[NEWEST] = {}
    hub.status = status
    with pytest.raises(error, match=r"acme/Small-GGUF/q4/small\.gguf"):
        pull()
    assert pulled_models() == {}


def test_a_hub_that_is_not_there() -> None:
    with pytest.raises(NetworkError, match="can't be asked"):
        pull()


@pytest.mark.parametrize(
    "spec",
    [
        "hf:acme/small.gguf",
        "hf:acme/repo/small.bin",
        "hf:acme/repo/../x.gguf",
        "hf:",
        "hf:a/b/model-00001-of-00003.gguf",
    ],
)
def test_a_spec_that_names_no_whole_file(spec: str) -> None:
    with pytest.raises(UsageError):
        parse_hub_file(spec)


def test_a_revision_may_be_named() -> None:
    file = parse_hub_file("hf:acme/Small-GGUF@v1.2/small.gguf")
    assert (file.repository, file.revision, file.path) == ("acme/Small-GGUF", "v1.2", "small.gguf")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "mine.gguf"
    path.write_bytes(CONTENT)
    return path


def test_a_file_of_ones_own_is_used_where_it_is(own: Path) -> None:
    remember(own_weights(own))
    weights = find_model("mine")
    assert fetch(weights, on_progress=ignore) == own
    forget(weights)
    assert own.exists()
    with pytest.raises(UsageError, match="unknown local model 'mine'"):
        find_model("mine")


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(CONTENT + b"x"), os.unlink], ids=["changed", "gone"])
def test_a_file_that_changed_is_not_loaded(own: Path, change: Callable[[Path], object]) -> None:
    remember(own_weights(own))
    change(own)
    with pytest.raises(UsageError, match="is gone, or has changed"):
        fetch(find_model("mine"), on_progress=ignore)


def test_names_that_are_taken_are_refused(own: Path, tmp_path: Path) -> None:
    remember(own_weights(own))
    other = tmp_path / "other" / "mine.gguf"
    other.parent.mkdir()
    other.write_bytes(CONTENT)
    with pytest.raises(UsageError, match=f"local:mine is {own} already"):
        remember(own_weights(other))
    known = tmp_path / f"{QWEN.name}.gguf"
    known.write_bytes(CONTENT)
    with pytest.raises(UsageError, match="chatcli knows"):
        remember(own_weights(known))
    odd = tmp_path / "two words.gguf"
    odd.write_bytes(CONTENT)
    with pytest.raises(UsageError, match="can't be the name"):
        remember(own_weights(odd))


def test_a_damaged_record_is_left_out(own: Path) -> None:
    remember(own_weights(own))
    record = paths.state_dir() / "local" / "pulled.json"
    text = record.read_text()
    for damage in ("{", "[]", text.replace('"window": 4096', '"window": "x"'), text.replace("mine.gguf", "a/b")):
        record.write_text(damage)
        assert pulled_models() == {}


def test_the_override_is_what_local_means(own: Path, tmp_path: Path) -> None:
    assert find_model("mine", own).own_path == str(own)
    assert find_model(SMOLLM.name, own) is SMOLLM, "other models are there too"
    copy = tmp_path / "copy.gguf"
    copy.touch()
    os.truncate(copy, SMOLLM.size)
    assert find_model(SMOLLM.name, copy) is SMOLLM
    with pytest.raises(UsageError, match="can't be read"):
        find_model("missing", tmp_path / "missing.gguf")


def test_the_override_is_remembered_with_its_window(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own.write_bytes(gguf_file(CHAT | {"llama.context_length": 131072}))
    first = find_model("mine", own)
    fetch(first, on_progress=ignore)
    assert find_model("mine") == first, "threads name it without the variable"
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=3_000_000))
    assert find_model("mine", own) == first, "its server may be running"


@pytest.mark.parametrize(
    ("trained", "available", "window"),
    [(131072, 10**12, 32768), (131072, 3_000_000, 8192), (2048, 10**12, 2048), (131072, 17_000_000, 32768)],
)
def test_the_window_is_what_the_file_and_the_memory_allow(
    own: Path, monkeypatch: pytest.MonkeyPatch, trained: int, available: int, window: int
) -> None:
    own.write_bytes(gguf_file(CHAT | {"llama.context_length": trained}))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=available))
    assert own_weights(own).window == window


def test_memory_is_checked_before_anything_is_loaded(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = own_weights(own)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=weights.memory_needed))
    require_memory(weights)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=weights.memory_needed - 1))
    with pytest.raises(UsageError, match=r"needs 0\.1 GB of memory"):
        require_memory(weights)


def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    path = write_model(tmp_path / "Mine.gguf")
    remember(own_weights(path))
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(UsageError, match="has changed"):
        fetch(pulled_models()["Mine"], on_progress=ignore)
