"""The SHA-256 is computed once a file, and again after any change."""

import os
from pathlib import Path

import pytest

from chatcli.models.local.fetch import Verifier
from tests.models.local.tiny import CONTENT, tiny_weights


class Counter:
    """Counts the blocks that were hashed."""

    def __init__(self) -> None:
        self.blocks = 0

    def __call__(self) -> None:
        self.blocks += 1


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def verifier(tmp_path: Path, counter: Counter) -> Verifier:
    return Verifier(tiny_weights(), tmp_path / "stamps" / "tiny.verified", counter)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(CONTENT)
    return path


def test_hashed_once(verifier: Verifier, copy: Path, counter: Counter) -> None:
    assert not verifier.is_stamped(copy)
    assert verifier.verify(copy)
    hashed = counter.blocks
    assert verifier.is_stamped(copy)
    assert verifier.verify(copy)
    assert counter.blocks == hashed > 0


def test_flipped_byte_is_found_even_when_the_time_is_set_back(verifier: Verifier, copy: Path) -> None:
    assert verifier.verify(copy)
    before = copy.stat()
    with copy.open("r+b") as file:
        file.seek(1_000_000)
        file.write(bytes([CONTENT[1_000_000] ^ 1]))
    os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not verifier.is_stamped(copy)
    assert not verifier.verify(copy)


def test_truncated_file_is_refused_without_hashing(verifier: Verifier, copy: Path, counter: Counter) -> None:
    os.truncate(copy, 1000)
    assert not verifier.verify(copy)
    assert counter.blocks == 0


def test_spoilt_stamp_costs_a_hash_only(verifier: Verifier, copy: Path, tmp_path: Path) -> None:
    assert verifier.verify(copy)
    (tmp_path / "stamps" / "tiny.verified").write_bytes(b"\xff\x00")
    assert not verifier.is_stamped(copy)
    assert verifier.verify(copy)


def test_stamp_that_cannot_be_written_is_no_failure(tmp_path: Path, copy: Path, counter: Counter) -> None:
    (tmp_path / "file").touch()
    assert Verifier(tiny_weights(), tmp_path / "file" / "stamp", counter).verify(copy)
