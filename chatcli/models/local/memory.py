"""How much memory a model could take on this machine."""

import resource
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_CGROUP_FILES = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
"""The files of control groups in version 2 and 1: limit, use, and the line that counts what can be given back."""


def available_memory(cgroup: Path = _CGROUP) -> int:
    """Return the bytes of memory that another process could take without pushing programs into the swap space.

    This is what the system calls available, or less in a container, whose limits are in `cgroup`, or under `ulimit -v`.
    """
    import psutil

    bounds = [psutil.virtual_memory().available]
    for limit, used, statistics, reclaimable in _CGROUP_FILES:
        with suppress(OSError, ValueError):  # there is no such file, or no limit: the word "max"
            free = int((cgroup / limit).read_text()) - int((cgroup / used).read_text())
            bounds.append(max(free + _statistic(cgroup / statistics, reclaimable), 0))
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if address_space != resource.RLIM_INFINITY:
        bounds.append(address_space)
    return min(bounds)


def _statistic(file: Path, name: str) -> int:
    for line in file.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
