"""The server as a child process: how it is started, and why it died."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

from chatcli.config.installation import install_command
from chatcli.errors import ChatcliError, InternalError, UsageError
from chatcli.models.local.locks import FileLock
from chatcli.models.local.runtime import Runtime
from chatcli.paths import private_opener
from chatcli.providers import LOCAL

# How long a thread of libgomp spins before it sleeps. The default of 300,000 rounds fights with whatever else runs,
# the terminal's own drawing included: beside two busy programs on two cores, answers came at 2 to 12 tokens a second,
# and at 22 with this. On a quiet machine it costs nothing (57), unlike OMP_WAIT_POLICY=passive (31).
_ENVIRONMENT = {"GOMP_SPINCOUNT": "1000"}

# Popen warns when it is collected while its process runs, but this process is meant to outlive its parent.
_children: list[subprocess.Popen[bytes]] = []


def require_runtime() -> None:
    """Return if the extra `local` is installed.

    Raises:
        UsageError: It is not.

    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise UsageError(
            "The embedded local model is not installed",
            remedy=f"Run `{install_command(LOCAL)}`, or set a key or a server of your own.",
        )


def spawn_server(runtime: Runtime, model: Path, lock: FileLock, idle_seconds: float) -> subprocess.Popen[bytes]:
    """Start a server for the file `model`, in a session of its own, and hand the lock over to it.

    The child inherits the locked descriptor, so there is no moment at which another client could start
    a second server. The caller, who holds `lock` on `runtime.server_lock`, closes it afterwards.

    Args:
        runtime: Where the server says where it is.
        model: The verified weights.
        lock: Taken by the caller.
        idle_seconds: How long the server stays without a client.

    """
    _children[:] = [child for child in _children if child.poll() is None]
    command = [
        # -P: a file in the current folder must not be imported instead of chatcli.
        *(sys.executable, "-P", "-m", "chatcli.models.local.server_main"),
        *("--model", str(model.absolute()), "--idle-seconds", str(idle_seconds)),
        *(
            "--folder",
            str(runtime.folder.absolute()),
            "--name",
            runtime.name,
            "--lock-fd",
            str(lock.fileno()),
        ),
    ]
    with open(runtime.log_file, "wb", opener=private_opener) as log:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            command,
            env=_ENVIRONMENT | os.environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock.fileno()],
        )
    _children.append(child)
    return child


def explain_death(returncode: int, log: Path) -> ChatcliError:
    """Return the error for a server that ended with `returncode` while starting, having written `log`."""
    text = log.read_text(errors="replace") if log.exists() else ""
    if "libgomp" in text:
        return UsageError(
            "The local model's runtime needs the library libgomp, which is missing",
            remedy="Install it, for instance with `apt-get install libgomp1`.",
        )
    if returncode == -signal.SIGILL:
        return UsageError(
            "The local model's runtime does not run on this processor: it needs AVX2",
            remedy="Use a server or a provider with a key instead: see `chat --help`.",
        )
    if returncode == -signal.SIGKILL:
        return InternalError(
            "The local model's server was killed while it was starting, probably for lack of memory",
            remedy="It needs some 700 MB; `local:smollm2-135m` needs 250 MB.",
        )
    lines = text.strip().splitlines()
    reason = lines[-1] if lines else f"exit status {returncode}"
    return InternalError(f"The local model's server did not start: {reason}", remedy=f"Its log is {log}.")
