"""Whether a file holds the weights it should: the SHA-256, computed once and remembered by a stamp."""

import contextlib
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from chatcli.models.local.weights import Weights
from chatcli.paths import private_dir

_BLOCK = 4 * 1024 * 1024


class Verifier:
    """Verifies copies of `weights`, and remembers the last good one in `stamp`.

    Hashing takes about two seconds a gigabyte, at every start of a server. A stamp saves that while the
    file's path, size, times and inode are the ones that were hashed.

    Args:
        weights: What a file must hold.
        stamp: Where to remember; a stamp that can't be written only costs time.
        between_blocks: Called some hundred times a gigabyte; may raise to give up.

    """

    def __init__(self, weights: Weights, stamp: Path, between_blocks: Callable[[], None]) -> None:
        self._weights = weights
        self._stamp = stamp
        self._between_blocks = between_blocks

    def is_stamped(self, path: Path) -> bool:
        """Return whether `path` is, unchanged, the file that was verified last; False if it is missing."""
        try:
            return self._stamp.read_text() == self._identity(path)
        except (OSError, UnicodeDecodeError):
            return False

    def verify(self, path: Path) -> bool:
        """Return whether `path` holds the weights: by its stamp, else by its hash, and stamp it then.

        Raises:
            OSError: The file can't be read.

        """
        if self.is_stamped(path):
            return True
        # Taken before the hash: a file that changes meanwhile no longer fits its stamp.
        identity = self._identity(path)
        if not self.holds_weights(path):
            return False
        self._remember(identity)
        return True

    def holds_weights(self, path: Path) -> bool:
        """Hash `path`, whatever the stamp says, and return whether it holds the weights.

        Raises:
            OSError: The file can't be read.

        """
        return path.stat().st_size == self._weights.size and self._sha256(path) == self._weights.sha256

    def stamp(self, path: Path) -> None:
        """Remember `path` as verified: for a file that was renamed since it was hashed."""
        self._remember(self._identity(path))

    def _remember(self, identity: str) -> None:
        with contextlib.suppress(OSError):
            private_dir(self._stamp.parent)
            self._stamp.write_text(identity)

    def _identity(self, path: Path) -> str:
        status = path.stat()
        # The change time besides the modification time: no program can set it back.
        fields = [self._weights.sha256, str(path.absolute()), status.st_size, status.st_ino]
        return json.dumps([*fields, status.st_mtime_ns, status.st_ctime_ns])

    def _sha256(self, path: Path) -> str:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                self._between_blocks()
                digest.update(block)
        return digest.hexdigest()
