"""The header of a GGUF file from anywhere: what it says, and what it can't do to its reader."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from chatcli.errors import UsageError
from chatcli.models.local.gguf import read_header
from tests.models.local.foreign import header, text, write_model


def _refused(path: Path) -> str:
    with pytest.raises(UsageError) as raised:
        read_header(path)
    assert "\n" not in raised.value.message
    return raised.value.message


def test_file_without_its_end_is_refused(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf")
    os.truncate(path, path.stat().st_size // 2)
    assert "is not a whole GGUF file" in _refused(path)


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
    done = subprocess.run([sys.executable, "-c", _READ_BOUNDED, str(path)], capture_output=True, text=True, timeout=60)
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
