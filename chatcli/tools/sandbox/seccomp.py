"""The seccomp filter: the system calls that a confined command does not get, for what Landlock has no rule for.

The format is classic BPF over `struct seccomp_data` (linux/seccomp.h, linux/bpf_common.h, linux/audit.h). Numbers of
system calls are those of asm/unistd_64.h for x86-64, and of asm-generic/unistd.h for aarch64.
"""

import errno
import struct

# linux/bpf_common.h: load a word, compare, return.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
# Offsets in `struct seccomp_data`; an argument's low half comes first on both systems.
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
# linux/seccomp.h
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_X32 = 0x40000000
"""The bit of system calls of the x32 ABI, which have other numbers (asm/unistd.h)."""
ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""The AUDIT_ARCH of each machine that has a filter (linux/audit.h)."""

_REFUSED = {
    # Other processes: their memory, their descriptors, their limits.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "bpf": (321, 280),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # Memory and queues that are shared by name.
    "shmget": (29, 194),
    "shmat": (30, 196),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    # The keyring.
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # It would make all other calls without being seen by the filter.
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # Mounts and namespaces.
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "syslog": (103, 116),
}
_WITHOUT_EFFECT = {
    # Whatever a command starts stays in its process group, and is killed with it.
    "setsid": (112, 157),
    "setpgid": (109, 154),
    # Also other processes could be slowed down.
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
}
"""Calls that do nothing and succeed."""
_SOCKET, _IOCTL, _CLONE, _CLONE3, _PRLIMIT, _TRUNCATE = (41, 198), (16, 29), (56, 220), (435, 435), (302, 261), (76, 45)
_SOCKETPAIR = (53, 199)
_STREAMS = tuple(kind | flags for kind in (1, 5) for flags in (0, 0x800, 0x80000, 0x80800))
"""SOCK_STREAM and SOCK_SEQPACKET, perhaps with SOCK_NONBLOCK and SOCK_CLOEXEC: pairs of these reach nobody else."""
_INTERNET = (2, 10, 16)
"""AF_INET, AF_INET6, and AF_NETLINK, by which libraries list the interfaces."""
_TERMINAL_INPUT = (0x5412, 0x541C, 0x541D)
"""TIOCSTI types into a terminal, TIOCLINUX pastes into it, TIOCCONS redirects the console (asm-generic/ioctls.h)."""
_NAMESPACES = 0x7E020000
"""The CLONE_NEW... flags that `clone` takes (linux/sched.h)."""


def seccomp_filter(machine: str, *, network: bool, truncate: bool) -> bytes:
    """Return the filter, an array of `struct sock_filter`.

    Args:
        machine: One of `ARCHES`.
        network: Whether the command may use the network.
        truncate: Whether it may cut a file by its path, which Landlock judges from its version 3 on.

    """
    column = list(ARCHES).index(machine)
    blocks = [
        *[_if_number(numbers[column], [_refusal(errno.EPERM)]) for numbers in _REFUSED.values()],
        *[_if_number(numbers[column], [_refusal(0)]) for numbers in _WITHOUT_EFFECT.values()],
        _if_number(_CLONE3[column], [_refusal(errno.ENOSYS)]),  # its flags are in memory; libraries then use `clone`
        _if_number(_CLONE[column], [_argument(0), (_ANY_BIT, 0, 1, _NAMESPACES), _refusal(errno.EPERM), _ALLOWED]),
        _if_number(_PRLIMIT[column], [_argument(0), (_EQUAL, 1, 0, 0), _refusal(errno.EPERM), _ALLOWED]),
        _if_number(_IOCTL[column], _if_argument(1, _TERMINAL_INPUT, _refusal(errno.EPERM), _ALLOWED)),
        _if_number(_SOCKET[column], _if_argument(0, _INTERNET if network else (), _ALLOWED, _refusal(errno.EPERM))),
        _if_number(_SOCKETPAIR[column], _if_argument(1, _STREAMS, _ALLOWED, _refusal(errno.EPERM))),
        [] if truncate else _if_number(_TRUNCATE[column], [_refusal(errno.EPERM)]),
    ]
    # Calls of another machine's numbers (32-bit programs) end the process.
    head = [(_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, ARCHES[machine]), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER)]
    head += [(_AT_LEAST, 0, 1, _X32), _refusal(errno.ENOSYS)]
    program = [*head, *(step for block in blocks for step in block), _ALLOWED]
    return b"".join(struct.pack("=HBBI", *step) for step in program)


_Step = tuple[int, int, int, int]
"""A `struct sock_filter`: the code, how many steps to skip if it is true and if not, and a value."""
_ALLOWED: _Step = (_RETURN, 0, 0, _ALLOW)


def _if_number(number: int, then: list[_Step]) -> list[_Step]:
    return [(_EQUAL, 0, len(then), number), *then]


def _if_argument(index: int, values: tuple[int, ...], then: _Step, otherwise: _Step) -> list[_Step]:
    tests = [(_EQUAL, len(values) - skipped, 0, value) for skipped, value in enumerate(values)]
    return [_argument(index), *tests, otherwise, then]


def _argument(index: int) -> _Step:
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index)


def _refusal(error: int) -> _Step:
    return (_RETURN, 0, 0, _ERRNO | error)
