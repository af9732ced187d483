"""The header of GGUF files, which may come from anywhere: what it says, and what it can't do to its reader."""

import os
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatcli.errors import UsageError
from chatcli.models.local.gguf import read_header
from tests.models.local.gguf_files import CHAT, gguf_file, header, text, write_model
from tests.waiting import WAIT_SECONDS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def test_what_a_file_says_of_its_model(file: Path) -> None:
    file.write_bytes(gguf_file(CHAT))
    read = read_header(file)
    assert (read.architecture, read.window) == ("llama", 4096)
    assert read.token_bytes == 2 * 2 * (16 + 16) * 2  # layers, heads, a key and a value, two bytes
    assert not read.takes_tools


def test_lengths_of_keys_go_before_those_that_follow_from_others(file: Path) -> None:
    file.write_bytes(gguf_file(CHAT | {"llama.attention.key_length": 128, "llama.attention.value_length": 96}))
    assert read_header(file).token_bytes == 2 * 2 * (128 + 96) * 2


def test_a_template_with_tools(file: Path) -> None:
    file.write_bytes(gguf_file(CHAT | {"tokenizer.chat_template": "{% if tools %}{{ tools }}{% endif %}"}))
    assert read_header(file).takes_tools


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"tokenizer.chat_template": " "}, "no chat template"),
        ({"llama.pooling_type": 1}, "no chat template"),
        ({"general.type": "adapter"}, "a part of a model"),
        ({"general.architecture": "clip"}, "a part of a model"),
        ({"split.count": 3}, "one of several parts"),
        ({"llama.context_length": 0}, "how large its context is"),
        ({"llama.context_length": "many"}, "how large its context is"),
        ({"general.architecture": 7}, "a part of a model"),
    ],
    ids=str,
)
def test_what_cannot_chat_is_refused(file: Path, changed: dict[str, Any], reason: str) -> None:
    file.write_bytes(gguf_file(CHAT | changed))
    with pytest.raises(UsageError, match=reason):
        read_header(file)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GGUF",
        b"GGML" + b"\x00" * 100,
        gguf_file(CHAT, version=1),
        gguf_file(CHAT, count=2**40),
        gguf_file(CHAT, count=100),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**60),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sIIQ", 1, b"k", 9, 8, 2**60),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sIIQ", 1, b"k", 9, 4, 2**60),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sIIQ", 1, b"k", 9, 9, 1),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sI", 1, b"k", 77),
    ],
    ids=lambda content: str(content[:40]),
)
def test_a_damaged_file_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(UsageError, match="not a whole GGUF file"):
        read_header(file)


def test_every_beginning_of_a_header_is_refused(file: Path) -> None:
    whole = gguf_file(CHAT)
    for end in range(len(whole) - 64):
        file.write_bytes(whole[:end])
        with pytest.raises(UsageError):
            read_header(file)


@given(st.integers(0, len(gguf_file(CHAT)) - 1), st.binary(min_size=1, max_size=9))
def test_damage_anywhere_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, place: int, new: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "damaged.gguf"
    whole = gguf_file(CHAT)
    file.write_bytes(whole[:place] + new + whole[place + len(new) :])
    with suppress(UsageError):
        read = read_header(file)
        assert read.window > 0
        assert read.token_bytes >= 0


def test_file_without_its_end_is_refused(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf")
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(UsageError, match=r"^.* is not a whole GGUF file.*$") as raised:
        read_header(path)
    assert "\n" not in raised.value.message


_READ_BOUNDED = """
import resource, sys
from pathlib import Path
from chatcli.errors import UsageError
from chatcli.models.local.gguf import read_header
resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_header(Path(sys.argv[1]))
except UsageError:
    pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def _megabytes_to_read(path: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _READ_BOUNDED, str(path)], capture_output=True, text=True, timeout=WAIT_SECONDS
    )
    assert done.returncode == 0, f"it took too long: {done.returncode}"
    return int(done.stdout)


def test_endless_list_of_empty_texts(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(header(text("a") + struct.pack("<IIQ", 9, 8, 33_000_000), count=1))
    os.truncate(path, 300_000_000)  # sparse: it takes no disk
    assert _megabytes_to_read(path) < 50


def test_many_long_texts(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    with path.open("wb") as file:
        file.write(header(count=250))
        for number in range(250):
            file.write(text(f"k{number}") + struct.pack("<IQ", 8, 1_000_000))
            file.seek(1_000_000, os.SEEK_CUR)  # sparse
        file.truncate()
    assert _megabytes_to_read(path) < 50


def test_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.gguf")
    with pytest.raises((UsageError, OSError)):
        read_header(tmp_path / "m.gguf")
