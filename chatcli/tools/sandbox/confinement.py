"""How commands are confined here, the plan that the launcher or macOS applies, and what the sandbox refused."""

import json
import marshal
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Literal

from chatcli.config.secret_files import is_secret_path
from chatcli.tools import leash
from chatcli.tools.sandbox import landlock, launcher, places, seccomp
from chatcli.tools.workspace import Access

Strength = Literal["full", "partial", "none"]
"""How well commands are confined. In part means without namespaces, or by a Landlock that does not know signals."""
_MACOS: bool = sys.platform == "darwin"
_PROBE_SECONDS = 10
_SHARED = "/dev/shm"  # noqa: S108 - it is replaced by a private folder
_TEMPORARY = ("TMPDIR", "TMP", "TEMP")
_TMP, _SHM, _NOTHING, _PLAN = "tmp", "shm", "nothing", "plan"
_START = """
import marshal, sys
with open(sys.argv[1], "rb") as file: plan = marshal.load(file)
exec(plan["program"])
start(plan, sys.argv[2:])
"""
_REFUSED = re.compile(r"Read-only file system|Permission denied|Operation not permitted")
_UNREACHABLE = re.compile(
    r"[Cc]ould(?:n't| not) (?:connect|resolve)|Temporary failure in name resolution|Name or service not known|EAI_AGAIN"
    r"|getaddrinfo|Network is unreachable|Failed to establish a new connection|_socket\.socket|[Cc]reate socket"
)
_WORD = re.compile(r"[^\s\0:'\"`,()]*[^\s\0:'\"`,().]")
_APPLE_DEVICES = ("/dev/null", "/dev/zero", "/dev/tty", "/dev/dtracehelper")
_SHOWN = 3
"""How many refusals are named."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The sandbox of one folder, where commands run and write."""

    folder: Path
    is_on: bool = True
    """Whether the user wants commands to be confined."""
    forced: Strength | None = None
    """How they are confined; None for as well as this system can."""
    more: tuple[Path, ...] = ()
    """Other folders in which they may write."""

    @property
    def strength(self) -> Strength:
        """How well commands are confined; the first time, that is tried out."""
        return (self.forced or find_strength()) if self.is_on else "none"

    @property
    def confines(self) -> bool:
        """Whether commands are confined at all."""
        return self.strength != "none"

    def describe(self, access: Access) -> str:
        """Return the words for the user about a command that asks for `access`."""
        if not self.confines:
            return "not confined: this system can't do that (`chat doctor` says more)"
        if access == "outside":
            return "asks to run outside of the sandbox"
        confined = "confined" if self.strength == "full" else "confined in part (`chat doctor` says more)"
        if not places.is_writable(self.folder.resolve(), places.withheld()):
            confined += "; it writes nothing here, beside your settings and secrets"
        return confined if access == "confined" else f"{confined}, but asks for the network"

    @contextmanager
    def launch(self, command: Sequence[str], access: Access, *, leashed: bool = True) -> Iterator[list[str]]:
        """Give the command that runs `command`, confined as `access` says; what it needs is removed at the end.

        It gets a temporary folder of its own. It ends with this process, unless `leashed` is false, for a command that
        another process starts.
        """
        if not self.confines or access == "outside":
            yield leash.leashed(command) if leashed else list(command)
            return
        with (
            tempfile.TemporaryDirectory(prefix="chat-", ignore_cleanup_errors=True) as private,
            places.complete_git([self.folder, *self.more]),
        ):
            root = Path(os.path.realpath(private))
            for name in (_TMP, _SHM):
                (root / name).mkdir(mode=0o700)
            if _MACOS:
                folders = [self.folder, *self.more]
                text = apple_profile(folders, root / _TMP, places.withheld(), network=access == "network")
                variables = [f"{name}={root / _TMP}" for name in _TEMPORARY]
                confined = ["/usr/bin/env", *variables, "sandbox-exec", "-p", text, *command]
                yield leash.leashed(confined) if leashed else confined
                return
            (root / _NOTHING).touch(mode=0o000)
            plan = self._plan(root, network=access == "network", parent=os.getpid() if leashed else 0)
            (root / _PLAN).write_bytes(marshal.dumps(plan))
            yield [sys.executable, "-I", "-S", "-c", _START, str(root / _PLAN), *command]

    def _plan(self, root: Path, *, network: bool, parent: int) -> dict[str, object]:
        """Return the launcher's plan; see its `start`."""
        abi, kept = landlock.version(), places.withheld()
        folder = Path(os.path.realpath(self.folder))
        # Beside the temporary folders of other commands, a command could change what these may do.
        apart = {*kept, str(root)}
        writable = [root / _TMP, root / _SHM]
        writable += [each for each in (folder, *self.more) if places.is_writable(each, apart)]
        rules = [("/", landlock.LIST)]
        rules += [(path, landlock.READ) for path in places.readable(kept)]
        rules += [(path, landlock.device(abi)) for path in places.DEVICES]
        rules += [(str(path), landlock.writing(abi)) for path in writable]
        git = places.git_folders(writable)
        mounts: list[tuple[str, str]] = []
        if self.strength == "full":  # folders and files on themselves, secrets hidden, a private `_SHARED`
            own = [str(path) for path in (*writable, *git, *places.guarded_in(writable))]
            hidden = [(str(root / _NOTHING), path) for folder in writable for path in places.secrets_in(folder)]
            mounts = [*zip(own, own, strict=True), (str(root / _SHM), _SHARED), *hidden]
        return {
            "program": _launcher(),
            "mounts": [(os.fsencode(source), os.fsencode(target)) for source, target in mounts],
            "writable": [os.fsencode(path) for path in [Path(_SHARED), *writable, *git]],
            "rules": [(os.fsencode(path), rights) for path, rights in rules],
            "ruleset": landlock.ruleset(abi, network=network),
            "filter": seccomp.seccomp_filter(places.machine(), network=network, truncate=abi >= landlock.TRUNCATES),
            "parent": parent,
            "environment": dict.fromkeys(_TEMPORARY, str(root / _TMP)),
        }

    def refusals(self, output: str, access: Access) -> list[str]:
        """Return the refusals of the sandbox to a command with `access`, as far as its `output` names them."""
        if not self.confines or access == "outside":
            return []
        kept = places.withheld()
        found = [self._refusal(line, kept) for line in output.splitlines() if _REFUSED.search(line)]
        if access == "confined" and any(map(_UNREACHABLE.search, output.splitlines())):
            found.append("the network")
        return list(dict.fromkeys(filter(None, found)))[:_SHOWN]

    def _refusal(self, line: str, kept: frozenset[str]) -> str:
        for shown in reversed(_WORD.findall(line)):  # the first path may be the program's
            home = Path.home() if shown.startswith("~/") else self.folder
            path = Path(os.path.realpath(home / shown.removeprefix("~/")))
            exists = os.path.lexists(path)  # any word may be here, also one that is too long for a name
            if not exists and "/" not in shown:
                continue
            if path.is_relative_to("/proc") or any(path.is_relative_to(folder) for folder in kept):
                return f"the access to {shown}"
            # Without the sandbox, the user could write it.
            if os.access(path if exists else path.parent, os.W_OK):
                if is_secret_path((path.name,)):
                    return f"the access to {shown}"
                if not self._may_write(path, kept):
                    return f"to write {shown}"
        return ""

    def _may_write(self, path: Path, kept: frozenset[str]) -> bool:
        folders = [Path(os.path.realpath(each)) for each in (self.folder, *self.more)]
        inside = any(path.is_relative_to(each) and places.is_writable(each, kept) for each in folders)
        return inside and not any(path.is_relative_to(guarded) for guarded in places.guarded_in(folders))


@cache
def _launcher() -> CodeType:
    """Return the launcher, compiled: else each command would wait for that, for 4 milliseconds."""
    return compile(Path(launcher.__file__).read_text(encoding="utf-8"), launcher.__file__, "exec")


@cache
def find_strength() -> Strength:
    """Return how well this system confines a command; found once, by confining one."""
    if _MACOS:
        return "full" if shutil.which("sandbox-exec") else "none"
    if not landlock.version() or places.machine() not in seccomp.ARCHES:
        return "none"
    levels: tuple[Strength, ...] = ("full", "partial") if landlock.version() >= landlock.SIGNALS else ("partial",)
    return next((level for level in levels if _works(level)), "none")


def _works(level: Strength) -> bool:
    with tempfile.TemporaryDirectory(prefix="chat-") as folder:
        sandbox = Sandbox(Path(folder), forced=level)
        try:
            with sandbox.launch(["/bin/sh", "-c", "exit 0"], "confined") as command:
                subprocess.run(command, cwd=folder, capture_output=True, timeout=_PROBE_SECONDS, check=True)  # noqa: S603
        except (OSError, subprocess.SubprocessError):
            return False
        return True


def describe_sandbox() -> str:
    """Return how commands are confined here, and what is missing."""
    abi, strength = landlock.version(), find_strength()
    if _MACOS:
        return "commands are confined by sandbox-exec" if strength == "full" else "none: there is no sandbox-exec"
    if strength == "full":
        return f"commands are confined by Landlock (version {abi}), namespaces and seccomp"
    if strength == "none":
        return "none: this system has no Landlock, or forbids it; commands can do all that you can"
    lacks = ["modes and times of files outside can be changed, and git's hooks written: there are no user namespaces"]
    lacks += ["your other processes can be signalled: Landlock is too old"] if abi < landlock.SIGNALS else []
    return f"commands are confined in part, by Landlock (version {abi}) and seccomp; {'; '.join(lacks)}"


def apple_profile(folders: Iterable[Path], temporary: Path, withheld: Iterable[str], *, network: bool) -> str:
    """Return the profile of `sandbox-exec` for a command that writes in `folders`; the last match holds."""
    real = [folder.resolve() for folder in folders]
    secrets = sorted(withheld)
    apart = [Path(secret) for secret in secrets]
    beside = [each for each in real if not any(each.is_relative_to(one) or one.is_relative_to(each) for one in apart)]
    guarded = [each / ".git" / name for each in real for name in places.GUARDED]
    lines = [
        "(version 1)",
        "(deny default)",
        "(allow process-exec process-fork sysctl-read)",
        "(allow signal (target same-sandbox))",
        "(allow process-info* (target same-sandbox))",
        "(allow file-read*)",
        *(f"(deny file-read-data (subpath {_quoted(path)}))" for path in secrets),
        *(f"(allow file-read* file-write* (subpath {_quoted(path)}))" for path in (*beside, temporary)),
        *(f"(allow file-read* file-write-data file-ioctl (literal {_quoted(path)}))" for path in _APPLE_DEVICES),
        *(f"(deny file-write* (subpath {_quoted(path)}))" for path in guarded),
        *(["(allow network-outbound (remote ip))", "(allow system-socket)"] if network else []),
    ]
    return "\n".join(lines)


def _quoted(path: object) -> str:
    return json.dumps(str(path), ensure_ascii=False)
