"""Landlock, the kernel's own sandbox for files: its version here, and which rights a rule gives.

All constants are those of linux/landlock.h; each version of the ABI adds rights, and a ruleset names those that it
takes away. The calls that apply it are in `launcher.py`.
"""

import ctypes
import struct
import sys

READ = 1 | 1 << 2 | 1 << 3
"""Execute, read a file, list a folder."""
LIST = 1 << 3
_FILE_SYSTEM = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
"""The rights on files by the version that brought them: the first 13, REFER, TRUNCATE, IOCTL_DEV."""
_DEVICES = 1 << 6 | 1 << 11 | 1 << 15
"""MAKE_CHAR, MAKE_BLOCK, IOCTL_DEV."""
_NETWORK = 1 | 1 << 1
"""BIND_TCP, CONNECT_TCP, from version 4 on."""
_SCOPES = 1 | 1 << 1
"""ABSTRACT_UNIX_SOCKET, SIGNAL, from version 6 on."""
SIGNALS = 6
"""The version from which a confined command can't signal other processes."""
TRUNCATES = 3
"""The version from which a file can't be cut by its path."""


_LINUX: bool = sys.platform == "linux"


def version() -> int:
    """Return the version of Landlock's ABI, 0 if the system has none."""
    if not _LINUX:
        return 0
    found = ctypes.CDLL(None).syscall(444, None, 0, 1)  # LANDLOCK_CREATE_RULESET_VERSION
    return max(0, int(found))


def all_rights(abi: int) -> int:
    """Return every right on files that version `abi` knows."""
    return sum(rights for since, rights in _FILE_SYSTEM.items() if since <= abi)


def writing(abi: int) -> int:
    """Return the rights in a folder where the command may do anything but make devices."""
    return all_rights(abi) & ~_DEVICES


def device(abi: int) -> int:
    """Return the rights on a device that any command may use."""
    return (1 << 1 | 1 << 2 | 1 << 15) & all_rights(abi)


def ruleset(abi: int, *, network: bool) -> bytes:
    """Return the `struct landlock_ruleset_attr` that takes away all that version `abi` can, but perhaps the network."""
    words = [all_rights(abi)]
    words += [0 if network else _NETWORK] if abi >= 4 else []
    words += [_SCOPES] if abi >= SIGNALS else []
    return struct.pack(f"={len(words)}Q", *words)
