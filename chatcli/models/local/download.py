"""One download of weights: its partial file, its progress, how it is cancelled, and the space that it needs."""

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from chatcli.errors import InterruptedTurnError, StoreError
from chatcli.events import Progress
from chatcli.models.local.weights import Weights

ProgressCallback = Callable[[Progress], None]

ANSWER_SECONDS = 5.0
"""How long a source may take to answer before the next one is tried."""
STALL_SECONDS = 20.0
"""How long a transfer that has begun may pause before it is stopped."""
POLL_SECONDS = 0.1
"""How often a wait checks whether it was cancelled."""
_REPORT_SECONDS = 0.1


class SourceError(Exception):
    """A source of weights can't be used now; the text is the reason, to be put after the source's name and a colon."""


class Transfer:
    """One download of `weights` into `part`, which always holds the beginning of the file.

    So a source continues where another one, or an earlier process, stopped.

    Args:
        weights: What is fetched.
        part: The partial file.
        on_progress: Called with the bytes that have arrived, at most ten times a second.
        cancel: Another thread sets it to stop the transfer; what has arrived is kept.

    """

    def __init__(self, weights: Weights, part: Path, on_progress: ProgressCallback, cancel: threading.Event) -> None:
        self.weights = weights
        self.part = part
        self._on_progress = on_progress
        self._cancel = cancel
        self._reported_at = 0.0

    def received(self) -> int:
        """Return how many bytes of the file have arrived."""
        return self.part.stat().st_size if self.part.exists() else 0

    def restart(self) -> None:
        """Delete what has arrived."""
        self.part.unlink(missing_ok=True)

    def report(self, done: int, *, finished: bool = False) -> None:
        """Report that `done` bytes have arrived, unless the last report was a moment ago."""
        now = time.monotonic()
        if finished or now - self._reported_at >= _REPORT_SECONDS:
            self._reported_at = now
            total = self.weights.size
            label = f"downloading {self.weights.title}"
            self._on_progress(Progress(label, min(done, total), total, "bytes", finished=finished))

    def check_cancelled(self) -> None:
        """Return if the transfer may continue.

        Raises:
            InterruptedTurnError: It was cancelled.

        """
        if self._cancel.is_set():
            raise InterruptedTurnError("The download was stopped", remedy="Run the command again to continue it.")

    def pause(self) -> None:
        """Wait a moment; raise `InterruptedTurnError` as soon as the transfer is cancelled."""
        self._cancel.wait(POLL_SECONDS)
        self.check_cancelled()

    def require_space(self, needed: int) -> None:
        """Return if the partial file's disk has `needed` bytes free.

        Raises:
            StoreError: It has fewer.

        """
        if shutil.disk_usage(self.part.parent).free < needed:
            raise self.disk_full(needed)

    def disk_full(self, needed: int) -> StoreError:
        """Return the error for a disk that has less than `needed` bytes free."""
        free = shutil.disk_usage(self.part.parent).free
        return StoreError(
            f"The disk is full: {self.weights.title} needs {_megabytes(needed)} MB"
            f" in {self.part.parent}, and {free // 1_000_000} MB are free",
            remedy=f"Free some space, or set CHATCLI_LOCAL_MODEL to a copy of {self.weights.file_name}.",
        )


def _megabytes(size: int) -> int:
    """Return `size` bytes in megabytes, rounded up."""
    return -(-size // 1_000_000)
