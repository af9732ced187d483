"""The child process that serves the model until it has had no client for some time, or until SIGTERM."""

import argparse
import os
import secrets
import signal
import threading
import time
from pathlib import Path
from typing import NoReturn

import xllamacpp

from chatcli.models.local.runtime import Endpoint, FileLock, Runtime

_SLOTS = 2
# A request that is cancelled while its prompt is read frees its slot after the current batch.
_BATCH_TOKENS = 256
_PROMPT_CACHE_MIB = 256
_HTTP_THREADS = 16  # an idle connection of a terminal holds one for some seconds
_SLEEP_SECONDS = 300  # releases the memory while open terminals send nothing; waking up takes a second
_CHECK_SECONDS = 1.0


def main() -> NoReturn:
    """Serve the model until no client needs it, then end the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the verified GGUF file")
    parser.add_argument("--context", required=True, type=int, help="tokens of context")
    parser.add_argument("--answer", required=True, type=int, help="the longest answer, in tokens")
    parser.add_argument("--folder", required=True, type=Path, help="where the runtime files are")
    parser.add_argument("--name", required=True, help="the beginning of their names")
    parser.add_argument("--lock-fd", required=True, type=int, help="the inherited descriptor of the server's lock")
    parser.add_argument("--idle-seconds", required=True, type=float, help="how long to run without a client")
    options = parser.parse_args()
    os.set_inheritable(options.lock_fd, False)
    os.chdir("/")  # so that no file system stays in use
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    runtime = Runtime(options.folder, options.name)
    api_key = secrets.token_urlsafe(32)
    server = _load(options.model, api_key, options.context, options.answer)
    endpoint = Endpoint(f"{server.listening_address}/v1", api_key, os.getpid())
    runtime.write_endpoint(endpoint)
    _serve_until_unused(runtime, endpoint, options.lock_fd, options.idle_seconds, stopping)
    runtime.forget_endpoint(endpoint)
    # A normal exit waits for answers that are being written, which took 30 seconds.
    os._exit(0)


def _load(model: str, api_key: str, context: int, answer: int) -> xllamacpp.Server:
    """Return a server that is ready. This holds the interpreter lock while it loads."""
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {"embedded"}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [api_key]
    params.n_ctx = context
    params.n_parallel = _SLOTS
    params.kv_unified = True  # otherwise each slot has only its share of the context
    params.n_batch = params.n_ubatch = _BATCH_TOKENS
    params.n_predict = answer
    params.n_threads_http = _HTTP_THREADS
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.sleep_idle_seconds = _SLEEP_SECONDS
    params.ui = False
    params.verbosity = 1
    return xllamacpp.Server(params)


def _serve_until_unused(
    runtime: Runtime, endpoint: Endpoint, lock_fd: int, idle_seconds: float, stopping: threading.Event
) -> None:
    """Return when no client has held the clients' lock for `idle_seconds`, or when `stopping` is set."""
    # In the first case the clients' lock is held until this process ends: a new client waits for that, and then starts
    # another server.
    clients = FileLock(runtime.clients_lock)
    needed_at, seen_ns = time.monotonic(), clients.modified_ns()
    while not stopping.wait(min(_CHECK_SECONDS, idle_seconds / 4)):
        _repair_state(runtime, endpoint, lock_fd)
        alone = clients.try_take()
        # A client touches the file when it starts, so a short use between two checks counts too.
        if not alone or clients.modified_ns() != seen_ns:
            needed_at, seen_ns = time.monotonic(), clients.modified_ns()
        elif time.monotonic() - needed_at >= idle_seconds:
            return
        if alone:
            clients.release()


def _repair_state(runtime: Runtime, endpoint: Endpoint, lock_fd: int) -> None:
    """Write the state file again if it was damaged, unless the whole folder was replaced."""
    if runtime.read_endpoint() == endpoint:
        return
    try:
        ours = os.path.samestat(os.fstat(lock_fd), runtime.server_lock.stat())
    except FileNotFoundError:
        return
    if ours:
        runtime.write_endpoint(endpoint)


if __name__ == "__main__":
    main()
