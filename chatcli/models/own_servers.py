"""Ollama's and LM Studio's servers: where they are, what they offer, and how much of a request a model of theirs reads.

Anybody may listen on their ports. So what they answer is read up to a limit of time and size, and lists get no key.
"""

import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import httpx2

from chatcli.config.secrets import Secret
from chatcli.runtime.http import request
from chatcli.runtime.parse import read_json

LMSTUDIO_URL = "http://127.0.0.1:1234/v1"
OLLAMA_PORT = 11434
OLLAMA_WINDOW = 4096
"""Ollama's default window in tokens; with much graphics memory, newer versions take a larger one."""
WINDOW_SECONDS = 5.0
"""The most seconds that a server may take to say how much a model reads."""
MOST_MODELS = 200
_NAME_LENGTH = 200
_WINDOW_PARAMETER = re.compile(r"^\s*num_ctx +(\d+)\s*$", re.MULTILINE)
_NOT_FOR_CHATS = ("embedding", "embeddings")
"""The types of LM Studio's models that answer nothing."""

FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, ValueError, LookupError, TypeError, AttributeError)
"""What a server that is away, or is not what it seems, leads to."""


def ollama_key() -> Secret | None:
    """Return the key that Ollama's own client sends."""
    return Secret(key) if (key := os.environ.get("OLLAMA_API_KEY")) else None


def ollama_url(named: str | None = None) -> str:
    """Return the address of Ollama's server: `named`, or else OLLAMA_HOST. Raises `ValueError` if it is none."""
    host = named or os.environ.get("OLLAMA_HOST", "")
    scheme, colon, rest = host.partition("://")
    if not colon:
        scheme, rest = "http", host
    usual = OLLAMA_PORT if not colon else 443 if scheme == "https" else 80
    parts = urlsplit(f"{scheme}://{rest}")
    name = parts.hostname or "127.0.0.1"
    user, at, _ = parts.netloc.rpartition("@")
    return f"{scheme}://{user}{at}{f'[{name}]' if ':' in name else name}:{parts.port or usual}{parts.path.rstrip('/')}"


def pulled_by_ollama(seconds: float) -> list[str]:
    """Return the models of Ollama's server; none if it does not answer in time."""
    try:
        entries = _ask(f"{ollama_url()}/api/tags", seconds)["models"]
        return _usable_names(entry["name"] for entry in entries)
    except FAILURES:
        return []


def offered_by_lmstudio(url: str, seconds: float) -> list[str]:
    """Return the models of LM Studio's server at the base URL `url`; none if it does not answer in time."""
    end = time.monotonic() + seconds
    for path in (f"{_root(url)}/api/v0/models", f"{url}/models"):  # the first one has the types of models
        with suppress(*FAILURES):
            entries = _ask(path, end - time.monotonic())["data"]
            chats = [entry for entry in entries if entry.get("type") not in _NOT_FOR_CHATS]
            return _usable_names(entry["id"] for entry in chats if not entry["id"].startswith("text-embedding-"))
    return []


def _usable_names(names: Any) -> list[str]:
    """Return those of `names` that a user can type: no control characters, no escape sequences, not endless."""
    found = [name for name in names if isinstance(name, str) and 0 < len(name) <= _NAME_LENGTH and name.isprintable()]
    return found[:MOST_MODELS]


@dataclass(frozen=True, slots=True)
class OllamaWindow:
    """How much a model of Ollama reads, in tokens, None if unknown; Ollama cuts silently what is longer."""

    longest: int | None
    """What the model was made for: no request gets more."""
    own: int | None
    """The window of the model file (`num_ctx`), else the one that the model is loaded with, else the one that the user
    sets for the server (OLLAMA_CONTEXT_LENGTH)."""

    def size(self, wanted: int | None = None) -> int:
        """Return the window of a request that asks for `wanted` tokens; without, of a usual one."""
        size = wanted or self.own or OLLAMA_WINDOW
        return size if self.longest is None else min(size, self.longest)


def ollama_window(url: str, model: str, key: Secret | None, seconds: float) -> OllamaWindow | None:
    """Return the window of the `model` of the server at `url`; None if the server does not say."""
    seconds = min(seconds, WINDOW_SECONDS)
    try:
        shown = _ask(f"{url}/api/show", seconds, key, {"model": model})
        info = shown.get("model_info") or {}
        longest = _whole_number(info.get(f"{info.get('general.architecture')}.context_length"))
        if shown.get("remote_host"):  # a model of Ollama's cloud, which has no other window
            return OllamaWindow(longest, longest)
        parameter = _WINDOW_PARAMETER.search(str(shown.get("parameters") or ""))
        own = _whole_number(parameter[1]) if parameter else None
    except FAILURES:
        return None
    set_here = _whole_number(os.environ.get("OLLAMA_CONTEXT_LENGTH"))
    return OllamaWindow(longest, own or _loaded_window(url, model, key, seconds) or set_here)


def _loaded_window(url: str, model: str, key: Secret | None, seconds: float) -> int | None:
    names = (model, f"{model}:latest")
    with suppress(*FAILURES):
        for entry in _ask(f"{url}/api/ps", seconds, key)["models"]:
            if entry.get("name") in names or entry.get("model") in names:
                return _whole_number(entry.get("context_length"))
    return None


def lmstudio_window(url: str, model: str, key: Secret | None, seconds: float) -> int | None:
    """Return the window that `model` is loaded with by LM Studio at the base URL `url`; None if it is not known."""
    with suppress(*FAILURES):
        for entry in _ask(f"{_root(url)}/api/v0/models", min(seconds, WINDOW_SECONDS), key)["data"]:
            if entry.get("id") == model:
                return _whole_number(entry.get("loaded_context_length"))
    return None


def _root(url: str) -> str:
    return url.rstrip("/").removesuffix("/v1")


def _whole_number(value: object) -> int | None:
    """Return `value`, a number or its text, if it is a whole number above 0."""
    text = str(value).strip() if isinstance(value, int | str) else ""
    return int(text) or None if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _ask(url: str, seconds: float, key: Secret | None = None, body: Mapping[str, object] | None = None) -> Any:
    """Return the JSON value at `url`, to which `body`, if there is one, is posted."""
    headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
    reply = request("GET" if body is None else "POST", url, seconds=max(seconds, 0.01), headers=headers, json=body)
    reply.raise_for_status()
    return read_json(reply.content)


def begin(ask: Callable[[], list[str]], seconds: float) -> Callable[[], list[str]]:
    """Call `ask` in a thread; return what waits for its result, which is empty after `seconds` from now."""
    found: list[list[str]] = []
    thread = Thread(target=lambda: found.append(ask()), daemon=True)
    thread.start()
    end = time.monotonic() + seconds

    def wait() -> list[str]:
        thread.join(max(end - time.monotonic(), 0))
        return found[0] if found else []

    return wait
