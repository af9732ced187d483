"""Compares two processes, since a run in the helper must give the same as one without it."""

import os
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from chatcli import __version__
from chatcli.helper import kernel

_FLAGS = ("optimize", "dev_mode", "utf8_mode", "isolated", "ignore_environment", "no_user_site")
_STATUS = (
    *("Umask", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"),
    *("NoNewPrivs", "Seccomp", "Seccomp_filters", "Cpus_allowed", "Mems_allowed"),
)
_OF_LIBC = 1 << 31 | 1 << 32
"""The C library's own signals 32 and 33: it ignores them in processes started by posix_spawn."""
_INTERPRETERS = ("PYTHON", "LD_", "LC_", "GLIBC_", "MALLOC_", "OPENSSL_", "SSL_", "TZ")
"""Prefixes of the variables that Python, the C library and OpenSSL read."""
_LANGUAGES = {"LANG", "LANGUAGE"}
"""Other such variables. As prefixes they would name LANGFLOW_API_KEY, which a helper never has."""


def installation() -> list[str]:
    """Return the installation of this process: the version, the interpreter and its flags, and the import path."""
    flags = [str(getattr(sys.flags, name)) for name in _FLAGS]
    # The first entry is the script's own folder, unless Python runs with -P.
    folders = sys.path[not sys.flags.safe_path :]
    return [__version__, sys.version, sys.executable, sys.prefix, *flags, *sys.warnoptions, *folders]


def process_conditions(pid: int) -> list[object]:
    """Return the kernel's conditions for the process `pid`. Raises `OSError` if it may not be examined."""
    folder = Path("/proc") / str(pid)
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    seen: list[object] = [status.get(name) for name in _STATUS]
    seen += [int(status[name], 16) & ~_OF_LIBC for name in ("SigBlk", "SigIgn")]
    seen += [(folder / "limits").read_text(), os.getpriority(os.PRIO_PROCESS, pid), kernel.scheduling_policy(pid)]
    for link in sorted([*(folder / "ns").iterdir(), folder / "root"]):
        found = link.stat()
        seen.append((link.name, found.st_dev, found.st_ino))
    return seen


class Environment:
    """The environment variables that were read while modules were imported, with their values."""

    def __init__(self) -> None:
        self._names: set[str | None] = set()
        """Those that were read; None if all were."""

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note which variables are read in the `with` block."""
        real = os.environ
        os.environ = _Watched(real, self._names.add)  # type: ignore[assignment]  # noqa: B003 - it is restored
        try:
            yield
        finally:
            os.environ = real  # noqa: B003

    def matches(self, other: dict[str, str]) -> bool:
        """Return whether imports in the environment `other` would have read the same values."""
        if None in self._names and other != dict(os.environ):
            return False
        names = {name for name in {*os.environ, *other} if name.startswith(_INTERPRETERS)} | _LANGUAGES
        names |= {name for name in self._names if name is not None}
        return all(os.environ.get(name) == other.get(name) for name in names)


class _Watched(MutableMapping[str, str]):
    """`os.environ`, which reports each name that is read, or None for all of them."""

    def __init__(self, real: MutableMapping[str, str], note: Callable[[str | None], None]) -> None:
        self._real, self._note = real, note

    def __getitem__(self, name: str) -> str:
        self._note(name)
        return self._real[name]

    def __setitem__(self, name: str, value: str) -> None:
        self._note(None)  # a run in the helper would find it set
        self._real[name] = value

    def __delitem__(self, name: str) -> None:
        self._note(None)
        del self._real[name]

    def copy(self) -> dict[str, str]:
        return dict(self)

    def __iter__(self) -> Iterator[str]:
        self._note(None)
        return iter(self._real)

    def __len__(self) -> int:
        return len(self._real)


class Files:
    """The imported files of this process, with their time and size."""

    def __init__(self) -> None:
        paths = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        self._stamps = {path: _stamp(path) for path in paths if path is not None}

    def unchanged(self) -> bool:
        """Return whether no file has changed since then."""
        return all(_stamp(path) == stamp for path, stamp in self._stamps.items())


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - two thousand times a request
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
