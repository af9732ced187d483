"""One download of weights: its partial file, its progress, and how it is cancelled; and the model hub as its source.

The hub sends one file by HTTP, continued where an earlier transfer stopped.
"""

import os
import queue
import re
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import httpx2

from chatcli.errors import AuthError, InterruptedTurnError, NetworkError, RefusedError, StoreError
from chatcli.events import Progress
from chatcli.models.local.pulled import HubFile, model_name
from chatcli.models.local.weights import Weights
from chatcli.runtime.http import request
from chatcli.runtime.parse import read_json

_OFFICIAL_HUB = "https://huggingface.co"
_QUEUED_CHUNKS = 64
_MOST_REDIRECTS = 5
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_TOKEN = re.compile(r"[!-~]+")
"""What a header can carry; of anything else the HTTP client's error would show the token."""

ProgressCallback = Callable[[Progress], None]

ANSWER_SECONDS = 5.0
"""How long a source may take to answer before the next one is tried."""
STALL_SECONDS = 20.0
"""How long a transfer that has begun may pause before it is stopped."""
POLL_SECONDS = 0.1
_REPORT_SECONDS = 0.1


class SourceError(Exception):
    """A source of weights can't be used now; the text is the reason, to be put after the source's name and a colon."""


class Transfer:
    """One download of `weights` into `part`, which always holds the beginning of the file."""

    # So a source continues where another one, or an earlier process, stopped. `on_progress` is called with the bytes
    # that have arrived, at most ten times a second. Another thread sets `cancel` to stop the transfer.
    def __init__(self, weights: Weights, part: Path, on_progress: ProgressCallback, cancel: threading.Event) -> None:
        self.weights = weights
        self.part = part
        self._on_progress = on_progress
        self._cancel = cancel
        self._reported_at = 0.0

    def received(self) -> int:
        """Return the number of bytes of the file that have arrived."""
        return self.part.stat().st_size if self.part.exists() else 0

    def restart(self) -> None:
        """Delete what has arrived."""
        self.part.unlink(missing_ok=True)

    def report(self, done: int, *, finished: bool = False) -> None:
        """Report that `done` bytes have arrived, unless the last report was a moment ago."""
        now = time.monotonic()
        if finished or now - self._reported_at >= _REPORT_SECONDS:
            self._reported_at = now
            total = self.weights.size
            label = f"downloading {self.weights.title}"
            self._on_progress(Progress(label, min(done, total), total, "bytes", finished=finished))

    def check_cancelled(self) -> None:
        """Raise `InterruptedTurnError` if the transfer was cancelled."""
        if self._cancel.is_set():
            raise InterruptedTurnError("The download was stopped", remedy="Run the command again to continue it.")

    def pause(self) -> None:
        """Wait a moment; raise `InterruptedTurnError` as soon as the transfer is cancelled."""
        self._cancel.wait(POLL_SECONDS)
        self.check_cancelled()

    def require_space(self, needed: int) -> None:
        """Raise a `StoreError` unless the partial file's disk has `needed` bytes free."""
        if shutil.disk_usage(self.part.parent).free < needed:
            raise self.disk_full(needed)

    def disk_full(self, needed: int) -> StoreError:
        """Return the error for a disk that has less than `needed` bytes free."""
        free = shutil.disk_usage(self.part.parent).free
        return StoreError(
            f"The disk is full: {self.weights.title} needs {-(-needed // 1_000_000)} MB"
            f" in {self.part.parent}, and {free // 1_000_000} MB are free",
            remedy="Free some space, or name a copy on another disk by CHATCLI_LOCAL_MODEL.",
        )


def find_on_hub(file: HubFile) -> Weights:
    """Return the hub's facts about `file`: its size, its SHA-256 and the newest commit of its branch.

    As the hub's own client does, this asks for the file and reads only the headers of the response; a hub that names
    no SHA-256 there is asked by its API (https://huggingface.co/docs/hub/api).
    """
    if os.environ.get("HF_TOKEN", "").strip() and not _hub_headers():
        raise AuthError(
            "HF_TOKEN is no token: it has a line break, a space or a character that is not ASCII",
            remedy="Correct it, or unset it.",
        )
    try:
        with httpx2.Client(timeout=STALL_SECONDS, headers=_hub_headers()) as client:
            facts = _ask_for_headers(client, file)
            if not _SHA256.fullmatch(facts[0]):
                facts = _ask_api(file)
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, OSError) as error:
        raise NetworkError(
            f"the model hub can't be asked for {file}: {str(error) or type(error).__name__}",
            remedy="Connect to the network; HF_ENDPOINT names another hub.",
        ) from error
    sha256, size, revision = facts
    if not _SHA256.fullmatch(sha256) or size <= 0:
        raise RefusedError(f"the hub names no SHA-256 of {file}", remedy="Fetch it yourself: chat models pull PATH")
    name = model_name(file.path)
    return Weights(
        name=name,
        title=name,
        file_name=file.path.rpartition("/")[2],
        size=size,
        sha256=sha256.lower(),
        hub_repository=file.repository,
        hub_revision=revision,
        hub_path=file.path,
    )


_Facts = tuple[str, int, str]
"""The SHA-256 of a file or an empty text, its size in bytes or 0, and the commit."""


def _ask_for_headers(client: httpx2.Client, file: HubFile) -> _Facts:
    url = httpx2.URL(_file_url(file.repository, file.revision, file.path))
    for _ in range(_MOST_REDIRECTS):
        with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
            headers = response.headers
        linked = headers.get("X-Linked-Etag")
        moved = response.is_redirect and linked is None and url.join(headers.get("Location", ""))
        if not moved or (moved.scheme, moved.netloc) != (url.scheme, url.netloc):
            break
        url = moved  # to the new name of a repository
    status = response.status_code
    if status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
        raise AuthError(
            f"the hub does not give {file} (HTTP status {status})",
            remedy="Check its name; for a closed repository, accept its terms and set HF_TOKEN.",
        )
    if status == httpx2.codes.NOT_FOUND:
        raise RefusedError(f"the hub has no {file}", remedy="Check the owner, the repository and the file's name.")
    if response.is_error:
        raise NetworkError(f"the hub does not give {file} now (HTTP status {status})", remedy="Try again later.")
    size: str = headers.get("X-Linked-Size", "")
    if not size and not response.is_redirect:
        size = headers.get("Content-Length", "")
    sha256 = (linked or headers.get("ETag") or "").removeprefix("W/").strip('"')
    return sha256, int(size) if size.isdecimal() else 0, headers.get("X-Repo-Commit") or file.revision


def _ask_api(file: HubFile) -> _Facts:
    api = f"{_hub()}/api/models/{file.repository}"
    revision = quote(file.revision, safe="")
    for url in (f"{api}/revision/{revision}?blobs=true", f"{api}/tree/{revision}?recursive=true"):
        response = request("GET", url, seconds=STALL_SECONDS, headers=_hub_headers(), follow_redirects=True)
        if response.status_code != httpx2.codes.OK:
            continue
        answer = read_json(response.content)
        about = answer if isinstance(answer, dict) else {"siblings": answer}
        entries = about.get("siblings")
        for entry in entries if isinstance(entries, list) else ():
            with suppress(LookupError, TypeError, AttributeError):  # a hub may list anything
                if file.path in (entry.get("rfilename"), entry.get("path")):
                    stored = entry["lfs"]
                    sha256 = str(stored.get("sha256") or stored["oid"])
                    return sha256, int(stored["size"]), str(about.get("sha") or file.revision)
    return "", 0, file.revision


def _hub() -> str:
    return (os.environ.get("HF_ENDPOINT") or _OFFICIAL_HUB).rstrip("/")


def _hub_headers() -> dict[str, str]:
    """Return the headers for the hub alone: the client drops the token where it is sent to another host."""
    token = os.environ.get("HF_TOKEN", "").strip()
    return {"Authorization": f"Bearer {token}"} if token and _TOKEN.fullmatch(token) else {}


def _file_url(repository: str, revision: str, path: str) -> str:
    return f"{_hub()}/{repository}/resolve/{quote(revision, safe='')}/{quote(path)}"


def fetch_from_hub(transfer: Transfer) -> None:
    """Complete the partial file from the model hub.

    `HF_ENDPOINT` names another hub, for example a mirror, as for every Hugging Face tool. Raises `SourceError` if the
    hub can't be reached, does not have the file, or stops sending.
    """
    weights = transfer.weights
    url = _file_url(weights.hub_repository, weights.hub_revision, weights.hub_path or weights.file_name)
    with closing(_Reader(url, transfer.received())) as reader:
        response = reader.next(transfer, ANSWER_SECONDS)
        if not isinstance(response, httpx2.Response):
            raise SourceError("no answer")
        with transfer.part.open("ab" if _starts_at(response, transfer) else "wb") as part:
            while isinstance(chunk := reader.next(transfer, STALL_SECONDS), bytes):
                part.write(chunk)
                if part.tell() > weights.size:
                    raise SourceError("sent more bytes than the file has")
                transfer.report(part.tell())


def _starts_at(response: httpx2.Response, transfer: Transfer) -> int:
    """Return the position of the response's first byte in the file. Raises `SourceError` if it is of another file."""
    received, size = transfer.received(), transfer.weights.size
    headers = response.headers
    if response.status_code == httpx2.codes.PARTIAL_CONTENT:
        if headers.get("Content-Range") == f"bytes {received}-{size - 1}/{size}":
            return received
        raise SourceError("sent another part than the one requested")
    if response.status_code != httpx2.codes.OK:
        raise SourceError(f"HTTP status {response.status_code}")
    if headers.get("Content-Length", str(size)) != str(size):
        raise SourceError("has a file of another size")
    return 0


class _Reader:
    """Reads a URL from byte `start` on, in a separate thread."""

    # Looking up a name can't be interrupted, and a connect timeout starts again for each address of the host and each
    # redirect. Waiting for a thread can be limited, and be cancelled at any moment. The thread is a daemon: the process
    # can end even if it hangs.
    def __init__(self, url: str, start: int) -> None:
        self._url = url
        # Positions in a compressed response would not be positions in the file.
        wanted = {"Range": f"bytes={start}-"} if start else {}
        self._headers = _hub_headers() | {"Accept-Encoding": "identity"} | wanted
        self._items: queue.Queue[httpx2.Response | bytes | SourceError | None] = queue.Queue(_QUEUED_CHUNKS)
        self._abandoned = threading.Event()
        threading.Thread(target=self._run, name="chatcli-hub", daemon=True).start()

    def close(self) -> None:
        self._abandoned.set()

    def next(self, transfer: Transfer, limit: float) -> httpx2.Response | bytes | None:
        """Return the response, each chunk of its body, then None. Raises `SourceError` if that takes too long."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            transfer.check_cancelled()
            try:
                item = self._items.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if isinstance(item, SourceError):
                raise item
            return item
        raise SourceError(f"sent nothing for {limit:.0f} seconds")

    def _run(self) -> None:
        timeout = httpx2.Timeout(ANSWER_SECONDS, read=STALL_SECONDS)
        try:
            with httpx2.stream(
                "GET", self._url, headers=self._headers, follow_redirects=True, timeout=timeout
            ) as response:
                self._put(response)
                for chunk in response.iter_raw():
                    if not self._put(chunk):
                        return
            self._put(None)
        except httpx2.TimeoutException:
            self._put(SourceError("no answer"))
        # The last two come from the environment: an invalid proxy, a missing certificate file.
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, OSError) as error:
            self._put(SourceError(str(error) or type(error).__name__))

    def _put(self, item: httpx2.Response | bytes | SourceError | None) -> bool:
        """Pass `item` to the reader; return False if it has stopped reading."""
        while not self._abandoned.is_set():
            try:
                self._items.put(item, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False
