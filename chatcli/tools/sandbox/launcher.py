"""Confines this process as a plan says, and becomes the command.

A program by itself, with little to import: it runs before every confined command, compiled, as `confinement.py` starts
it. The constants are those of linux/prctl.h, linux/mount.h, linux/sched.h, linux/landlock.h, linux/capability.h and
asm/unistd.h.
"""

import _signal  # type: ignore[import-not-found]  # `signal` imports much more
import ctypes
import errno
import os
import struct
import sys

TYPE_CHECKING = False  # as in `typing`, which takes long to import
if TYPE_CHECKING:
    from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
_NEW_NAMESPACES = 0x10000000 | 0x00020000  # CLONE_NEWUSER | CLONE_NEWNS
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _RDONLY = 442, -100, 0x8000, 1
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF, _PATH_BENEATH = 444, 445, 446, 1
_DEATH_SIGNAL, _DROP_BOUNDING, _SET_SECCOMP, _NO_NEW_PRIVS, _AMBIENT, _CLEAR_AMBIENT = 1, 24, 22, 38, 47, 4
_FILTER_MODE, _CAPABILITIES_3 = 2, 0x20080522
_O_PATH = 0o10000000  # asm-generic/fcntl.h; other systems have no name for it
_FILE_RIGHTS = 0b1_1000_0000_0000_0111  # of Landlock: what a rule for a single file may allow


def start(plan: "dict[str, Any]", command: list[str]) -> None:
    """Become `command`, a path and arguments, confined by `plan`; or end with 126."""
    try:
        _become(plan, command)
    except OSError as error:
        sys.stderr.write(f"the command can't be confined, and did not run: {error}\n")
        os._exit(126)


def _become(plan: "dict[str, Any]", command: list[str]) -> None:
    os.environ.update(plan["environment"])
    if plan["mounts"]:
        _enter_namespaces()
        _mount(plan["mounts"], plan["writable"])
        os.chdir(os.getcwd())  # noqa: PTH109 - the folder that was entered before has the mount above it
    _check(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))
    _restrict(plan["ruleset"], plan["rules"])
    _drop_capabilities()
    _filter(plan["filter"])
    if plan["parent"]:
        _libc.prctl(_DEATH_SIGNAL, 9)
        if os.getppid() != plan["parent"]:
            os._exit(137)
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    os.execv(command[0], command)  # noqa: S606 - the command is the user's; `execvp` may import what is not readable


def _enter_namespaces() -> None:
    user, group = os.geteuid(), os.getegid()
    _check(_libc.unshare(_NEW_NAMESPACES))
    for name, line in (("setgroups", "deny"), ("gid_map", f"{group} {group} 1"), ("uid_map", f"{user} {user} 1")):
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123
            file.write(line)


def _mount(mounts: list[tuple[bytes, bytes]], writable: list[bytes]) -> None:
    """Let nothing be written but what is below `writable`, up to the `mounts` in it, each a source and a target."""
    _check(_libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None))
    for source, target in mounts:
        _check(_libc.mount(source, target, None, _MS_BIND | _MS_REC, None))
    _set_attributes(b"/", _AT_RECURSIVE, _RDONLY, 0)
    for path in writable:
        _set_attributes(path, 0, 0, _RDONLY)


def _set_attributes(path: bytes, flags: int, on: int, off: int) -> None:
    attributes = struct.pack("=4Q", on, off, 0, 0)
    _check(_libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, path, flags, attributes, len(attributes)))


def _restrict(ruleset: bytes, rules: list[tuple[bytes, int]]) -> None:
    descriptor = _check(_libc.syscall(_CREATE_RULESET, ruleset, len(ruleset), 0))
    for path, rights in rules:
        try:
            parent = os.open(path, _O_PATH | os.O_CLOEXEC)
        except OSError:  # it is gone, or not for this user
            continue
        try:
            _add_rule(descriptor, parent, rights)
        except NotADirectoryError:
            _add_rule(descriptor, parent, rights & _FILE_RIGHTS)
        os.close(parent)
    _check(_libc.syscall(_RESTRICT_SELF, descriptor, 0))
    os.close(descriptor)


def _add_rule(ruleset: int, parent: int, rights: int) -> None:
    beneath = struct.pack("=Qi", rights, parent)
    if _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, beneath, 0) < 0:
        error = ctypes.get_errno()
        # A right of folders in a rule for a file is invalid.
        raise NotADirectoryError if error == errno.EINVAL else OSError(error, os.strerror(error))


def _drop_capabilities() -> None:
    _libc.prctl(_AMBIENT, _CLEAR_AMBIENT, 0, 0, 0)
    for capability in range(64):
        _libc.prctl(_DROP_BOUNDING, capability, 0, 0, 0)  # fails beyond the last one, and without privileges
    _check(_libc.capset(struct.pack("=Ii", _CAPABILITIES_3, 0), bytes(24)))


def _filter(program: bytes) -> None:
    steps = ctypes.create_string_buffer(program, len(program))
    pointer = struct.pack("@HP", len(program) // 8, ctypes.addressof(steps))
    _check(_libc.prctl(_SET_SECCOMP, _FILTER_MODE, pointer, 0, 0))


def _check(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
