"""Finds or starts the embedded model's server, explains why it died, and sends HTTP requests to it."""

import asyncio
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

import httpx2

from chatcli import paths
from chatcli.config.installation import install_command, is_local_installed, is_local_possible
from chatcli.config.providers import LOCAL
from chatcli.errors import ChatcliError, InternalError, StoreError, UsageError
from chatcli.events import Notice, Progress
from chatcli.models.local.choice import available_memory, describe_fetch, offer_larger
from chatcli.models.local.download import ProgressCallback
from chatcli.models.local.fetch import fetch
from chatcli.models.local.runtime import Endpoint, FileLock, Runtime, is_taken
from chatcli.models.local.weights import KNOWN_WEIGHTS, Weights
from chatcli.models.sdk_http import httpx
from chatcli.paths import private_opener
from chatcli.runtime.background import in_background
from chatcli.runtime.http import request

# How long a thread of libgomp spins before it sleeps. The default of 300,000 rounds takes time from other programs,
# such as the terminal: beside two busy programs on two cores, answers came at 2 to 12 tokens a second, and at 22 with
# this value. On an idle machine it makes no difference (57), unlike OMP_WAIT_POLICY=passive (31).
_ENVIRONMENT = {"GOMP_SPINCOUNT": "1000"}
_EXCEPTION = re.compile(r"[\w.]*(Error|Exception)\b")
"""The last line of a Python traceback."""

_NOT_LOADED = "Failed to init server"
"""What the runtime raises for a file; it says no more."""

_IDLE_VARIABLE = "CHATCLI_LOCAL_IDLE_SECONDS"
_DEFAULT_IDLE_SECONDS = 180.0
_START_SECONDS = 120.0  # a gigabyte from a slow disk
_LONGEST_ANSWER = 4096
_PROBE_SECONDS = 5.0
_CHECK_SECONDS = 0.05

_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain HTTP: a client that is given no context reads all certificates."""

EMBEDDED_URL = "http://embedded.invalid/v1"
"""The base URL to give to a client that uses `EmbeddedTransport`; `.invalid` (RFC 2606) never resolves."""


def require_runtime() -> None:
    """Raise a `UsageError` unless the extra `local` is installed."""
    if not is_local_possible():
        raise UsageError(
            "The embedded local model does not run on this system and processor",
            remedy="Set a provider's key, or name a server with --base-url: see `chat help platforms`.",
        )
    if not is_local_installed():
        raise UsageError(
            "The embedded local model is not installed",
            remedy=f"Run `{install_command(LOCAL)}`, or set a provider's key, or name a server with --base-url.",
        )


def answer_room(weights: Weights) -> int:
    """Return the number of tokens of the window that are kept for the answer."""
    return min(_LONGEST_ANSWER, weights.window // 8)


def require_memory(weights: Weights) -> None:
    """Raise a `UsageError` unless this machine has the memory that the server of `weights` takes."""
    available = available_memory()
    if available < weights.memory_needed:
        raise UsageError(
            f"{weights.title} needs {weights.memory_needed / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB are"
            " available",
            remedy="Free some memory, or choose a smaller model: chat models list",
        )


def find_problem() -> ChatcliError | None:
    """Return why the runtime, which is installed, can't be loaded on this machine; None if it can.

    It is loaded in a process of its own, since an illegal instruction ends that.
    """
    command = [sys.executable, "-P", "-c", "import xllamacpp"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603 - as below
    text = done.stderr.decode(errors="replace")
    if done.returncode == 0:
        return None
    reason = (text.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return _known_death(done.returncode, text) or InternalError(
        f"The local model's runtime can't be loaded: {reason}",
        remedy=f"Install it again: {install_command(LOCAL)}",
    )


def start_server(
    runtime: Runtime, model: Path, weights: Weights, idle_seconds: float
) -> subprocess.Popen[bytes] | None:
    """Start a server for the file `model`, in a new session; return None if another one starts or runs.

    The child inherits the locked descriptor, so no other client can start a second server in between.
    """
    with closing(FileLock(runtime.server_lock)) as lock:
        if not lock.try_take():
            return None
        runtime.forget_endpoint()
        command = [
            # -P: a file in the current folder must not be imported instead of chatcli.
            *(sys.executable, "-P", "-m", "chatcli.models.local.server_main"),
            *("--model", str(model.absolute()), "--idle-seconds", str(idle_seconds)),
            *("--context", str(weights.window), "--answer", str(answer_room(weights))),
            *("--folder", str(runtime.folder.absolute()), "--name", runtime.name),
            *("--lock-fd", str(lock.fileno())),
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
    if (known := _known_death(returncode, text)) is not None:
        return known
    if _NOT_LOADED in text:
        return InternalError(
            "The local model can't be loaded: its file is damaged, or its architecture unknown to the runtime",
            remedy="Take another file with -m; see `chat models list`.",
        )
    lines = text.strip().splitlines()
    # The runtime logs from a thread of its own, so its last line may come after Python's error.
    errors = [line for line in lines if _EXCEPTION.match(line)]
    reason = (errors or lines or [f"exit status {returncode}"])[-1]
    return InternalError(f"The local model's server did not start: {reason}", remedy=f"See its log, {log}.")


def _known_death(returncode: int, text: str) -> ChatcliError | None:
    """Return the error for an exit code and an output that have one cause, and None for others."""
    if "libgomp" in text:
        return UsageError(
            "The local model's runtime needs the library libgomp, which is missing",
            remedy="Install it, for instance with `apt-get install libgomp1`.",
        )
    if returncode == -signal.SIGILL:
        return UsageError(
            "The local model's runtime does not run on this processor"
            + (": it needs AVX2" if os.uname().machine == "x86_64" else ""),
            remedy="Name a server with --base-url, or a provider's model with -m: see `chat --help`.",
        )
    if returncode == -signal.SIGKILL:
        return InternalError(
            "The local model's server was killed while it was starting, probably because memory ran out",
            remedy="Free some memory, or choose a smaller model: chat models list",
        )
    return None


@dataclass(eq=False)
class LocalServer:
    """This process's use of the server for `weights`, of which each user has one."""

    # Nothing happens before `ensure`. From then until `close`, or until this process ends in any way, the server knows
    # that it is needed. It ends `CHATCLI_LOCAL_IDLE_SECONDS` (180) after its last client. `override` is the user's own
    # copy of the file (`CHATCLI_LOCAL_MODEL`). `on_progress` is called from a worker thread during a download.
    weights: Weights
    _: KW_ONLY
    override: Path | None = None
    on_progress: ProgressCallback
    on_notice: Callable[[Notice], None] = lambda _: None
    _presence: FileLock | None = None
    _known: Endpoint | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _override_verified: bool = False

    async def ensure(self) -> Endpoint:
        """Return the address and the key of a server that is ready; fetch and start what is missing.

        While the server is running, a call takes well below a millisecond: make one before every request.
        """
        async with self._turn:
            try:
                runtime = Runtime.of(self.weights)
                if self.override is not None and not self._override_verified:
                    # Also if a server is running: it may serve another copy, but a wrong file must be refused.
                    await self._fetch()
                    self._override_verified = True
                await self._announce_presence(runtime)
                if not is_taken(runtime.server_lock):
                    self.distrust()
                elif (endpoint := await self._adopt(runtime)) is not None:
                    return endpoint
                require_runtime()
                require_memory(self.weights)
                model = await self._fetch()
                return await self._start_or_join(runtime, model)
            except OSError as error:
                raise StoreError(
                    f"The local model's server can't use {paths.state_dir() / 'local'}: {error.strerror}",
                    remedy="Make that folder writable, or set XDG_STATE_HOME to another one.",
                ) from error

    def distrust(self) -> None:
        """Let the next `ensure` check that the server answers: one that is dying still holds its lock."""
        self._known = None

    def close(self) -> None:
        """Announce that this process no longer needs the server. `ensure` may be called again later."""
        if self._presence is not None:
            self._presence.close()
            self._presence = None

    async def _announce_presence(self, runtime: Runtime) -> None:
        """Take the clients' lock; a server that is ending holds it until its process is gone, so wait for that."""
        if self._presence is not None:
            return
        presence = FileLock(runtime.clients_lock)
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not presence.try_take(shared=True):
                if time.monotonic() > deadline:
                    raise _no_server(runtime)
                await asyncio.sleep(_CHECK_SECONDS)
        except BaseException:
            presence.close()
            raise
        presence.touch()
        self._presence = presence

    async def _adopt(self, runtime: Runtime) -> Endpoint | None:
        """Return the endpoint in the state file if a server with its key answers there."""
        endpoint = runtime.read_endpoint()
        if endpoint is not None and endpoint != self._known:
            if not await _answers(endpoint):
                return None
            self._known = endpoint
        return endpoint

    async def _fetch(self) -> Path:
        """Return the verified weights; if this task is cancelled, the download stops too."""
        cancel = threading.Event()
        if self.override is None and self.weights in KNOWN_WEIGHTS and not self.weights.is_fetched:
            self.on_notice(Notice(describe_fetch(self.weights)))
        try:
            return await asyncio.to_thread(
                fetch, self.weights, override=self.override, on_progress=self.on_progress, cancel=cancel
            )
        finally:
            cancel.set()

    async def _start_or_join(self, runtime: Runtime, model: Path) -> Endpoint:
        """Return the endpoint of a server that this client or another one is starting."""
        if self.override is None and (offer := offer_larger(self.weights)):
            self.on_notice(Notice(offer))
        label = f"loading {self.weights.title}"
        idle_seconds = _idle_seconds()
        child: subprocess.Popen[bytes] | None = None
        deadline = time.monotonic() + _START_SECONDS
        self.on_progress(Progress(label))
        try:
            while time.monotonic() < deadline:
                if child is None:
                    child = start_server(runtime, model, self.weights, idle_seconds)
                elif (returncode := child.poll()) is not None:
                    raise explain_death(returncode, runtime.log_file)
                endpoint = await self._adopt(runtime)
                if endpoint is not None:
                    return endpoint
                await asyncio.sleep(_CHECK_SECONDS)
        finally:
            self.on_progress(Progress(label, finished=True))
        raise _no_server(runtime)


class EmbeddedTransport(httpx.AsyncBaseTransport):
    """Sends each request to the server that `server.ensure` returns, with its key."""

    # So the server may end and start again between two requests. If one dies before its response begins, another is
    # started and gets the request, once. A response that has begun is never repeated: its reader gets an
    # `httpx.TransportError`. The errors of `LocalServer.ensure` pass through unchanged, also through the OpenAI client.
    def __init__(self, server: LocalServer) -> None:
        self._server = server
        # No proxy from the environment: the loopback interface is never behind one.
        self._inner = httpx.AsyncHTTPTransport(verify=_NO_CERTIFICATES, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`, whose URL begins with `EMBEDDED_URL`, and return the response as it begins.

        Raises `httpx.TransportError` if the server died twice, or the request's own time limits have passed.
        """
        body = await request.aread()
        try:
            return await self._send(request, body)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            self._server.distrust()
            return await self._send(request, body)

    async def _send(self, request: httpx.Request, body: bytes) -> httpx.Response:
        endpoint = await self._server.ensure()
        server = httpx.URL(endpoint.base_url)
        headers = request.headers.copy()
        headers["Host"] = server.netloc.decode("ascii")
        headers["Authorization"] = f"Bearer {endpoint.api_key}"
        url = request.url.copy_with(scheme=server.scheme, host=server.host, port=server.port)
        sent = httpx.Request(request.method, url, headers=headers, content=body, extensions=request.extensions)
        return await self._inner.handle_async_request(sent)

    async def aclose(self) -> None:
        """Close the connections, and announce that this process no longer needs the server."""
        await self._inner.aclose()
        self._server.close()


async def _answers(endpoint: Endpoint) -> bool:
    """Return whether a server with that key answers; `/health` needs no key, so it would prove nothing."""
    url, headers = f"{endpoint.base_url}/models", {"Authorization": f"Bearer {endpoint.api_key}"}
    try:
        response = await in_background(lambda: request("GET", url, seconds=_PROBE_SECONDS, headers=headers))
    except httpx2.HTTPError:
        return False
    return response.status_code == httpx2.codes.OK


def _idle_seconds() -> float:
    text = os.environ.get(_IDLE_VARIABLE) or str(_DEFAULT_IDLE_SECONDS)
    with suppress(ValueError):
        if 0.0 < float(text) < float("inf"):
            return float(text)
    raise UsageError(f"{_IDLE_VARIABLE}={text} is not a number of seconds above 0", remedy="Correct it, or unset it.")


def _no_server(runtime: Runtime) -> InternalError:
    return InternalError(
        f"The local model's server did not answer within {_START_SECONDS:.0f} seconds",
        remedy=f"See its log, {runtime.log_file}, and try again.",
    )
