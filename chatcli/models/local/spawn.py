"""Starts the server as a child process, and explains why it died."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

from chatcli.config.installation import install_command
from chatcli.errors import ChatcliError, InternalError, UsageError
from chatcli.models.local.runtime import FileLock, Runtime
from chatcli.paths import private_opener
from chatcli.providers import LOCAL

# How long a thread of libgomp spins before it sleeps. The default of 300,000 rounds takes time from other programs,
# such as the terminal: beside two busy programs on two cores, answers came at 2 to 12 tokens a second, and at 22 with
# this value. On an idle machine it makes no difference (57), unlike OMP_WAIT_POLICY=passive (31).
_ENVIRONMENT = {"GOMP_SPINCOUNT": "1000"}

_EXCEPTION = re.compile(r"[\w.]*(Error|Exception)\b")
"""The last line of a Python traceback."""


def require_runtime() -> None:
    """Return if the extra `local` is installed.

    Raises:
        UsageError: It is not.

    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise UsageError(
            "The embedded local model is not installed",
            remedy=f"Run `{install_command(LOCAL)}`, or set a provider's key, or name a server with --base-url.",
        )


def spawn_server(runtime: Runtime, model: Path, lock: FileLock, idle_seconds: float) -> subprocess.Popen[bytes]:
    """Start a server for the file `model`, in a new session, and pass the lock to it.

    The child inherits the locked descriptor, so no other client can start a second server in between. The caller,
    which holds `lock` on `runtime.server_lock`, closes it afterwards.

    Args:
        runtime: Where the server writes its address.
        model: The verified weights.
        lock: The lock that the caller holds.
        idle_seconds: How long the server runs without a client.

    """
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
    # A Popen warns if it is collected while its process is running, also when the interpreter ends, but the server is
    # meant to outlive its parent. A thread that waits for it keeps the Popen to the very end.
    threading.Thread(target=child.wait, daemon=True).start()
    return child


def explain_death(returncode: int, log: Path) -> ChatcliError:
    """Return the error for a server that ended with `returncode` while it was starting, and wrote `log`."""
    text = log.read_text(errors="replace") if log.exists() else ""
    if "libgomp" in text:
        return UsageError(
            "The local model's runtime needs the library libgomp, which is missing",
            remedy="Install it, for instance with `apt-get install libgomp1`.",
        )
    if returncode == -signal.SIGILL:
        return UsageError(
            "The local model's runtime does not run on this processor: it needs AVX2",
            remedy="Name a server with --base-url, or a provider's model with -m: see `chat --help`.",
        )
    if returncode == -signal.SIGKILL:
        return InternalError(
            "The local model's server was killed while it was starting, probably because memory ran out",
            remedy="It needs some 700 MB: free some memory, or use -m local:smollm2-135m, which needs 250 MB.",
        )
    lines = text.strip().splitlines()
    # The runtime logs from a thread of its own, so its last line may come after Python's error.
    errors = [line for line in lines if _EXCEPTION.match(line)]
    reason = (errors or lines or [f"exit status {returncode}"])[-1]
    return InternalError(f"The local model's server did not start: {reason}", remedy=f"See its log, {log}.")
