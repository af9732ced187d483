"""Models that the user pulled from a hub or named on this disk: any GGUF file that can chat.

They are kept in `pulled.json` of the state folder. A file on this disk stays where it is.
"""

import re
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from chatcli import paths
from chatcli.errors import UsageError
from chatcli.models.local.choice import available_memory
from chatcli.models.local.gguf import read_header
from chatcli.models.local.weights import KNOWN_WEIGHTS, WINDOW, Weights
from chatcli.runtime.files import change_state, read_state

HUB = "hf:"
_LARGEST_WINDOW = 32_768
"""Tokens of context at the most: two cores would read for ten minutes, and each token takes memory from the start."""
_KNOWN_NAMES = frozenset(weights.name for weights in KNOWN_WEIGHTS)
_SUFFIX = ".gguf"
_PLAIN = re.compile(r"[\w.+-]+")
_HUB_FILE = re.compile(r"hf:([\w.-]+/[\w.-]+?)(?:@([\w./-]+?))?/((?:[\w.+ -]+/)*[\w.+ -]+\.gguf)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a model hub, as `hf:OWNER/REPO/FILE.gguf` names it."""

    repository: str
    revision: str
    path: str

    def __str__(self) -> str:
        return f"{HUB}{self.repository}/{self.path}"


def parse_hub_file(text: str) -> HubFile:
    """Return the file of a hub that `text` names: `hf:OWNER/REPO/FILE.gguf` or `hf:OWNER/REPO@REVISION/FILE.gguf`."""
    found = _HUB_FILE.fullmatch(text)
    if found is None or ".." in text:
        raise UsageError(f"{text!r} names no GGUF file of a hub", remedy="Name it as hf:OWNER/REPO/FILE.gguf.")
    if re.search(r"-\d{5}-of-\d{5}\.gguf$", text, re.IGNORECASE):
        raise UsageError(f"{text} is one of several parts of a model", remedy="Take a file that is whole.")
    return HubFile(found[1], found[2] or "main", found[3])


def model_name(text: str) -> str:
    """Return the name of the model in the file `text`: without its folder and its suffix."""
    name = text.rpartition("/")[2]
    return name[: -len(_SUFFIX)] if name.lower().endswith(_SUFFIX) else name


def pulled_models() -> dict[str, Weights]:
    """Return the pulled models by name, without those of a damaged record."""
    models: dict[str, Weights] = {}
    with suppress(OSError, ValueError):
        for name, entry in read_state(_file()).items():
            with suppress(TypeError):
                found = Weights(**{**entry, "wheels": ()})
                values = ((getattr(found, one.name), one.type) for one in fields(found) if one.name != "wheels")
                whole = all(type(value) is kind for value, kind in values)
                if whole and "/" not in found.file_name and found.name == name and name not in _KNOWN_NAMES:
                    models[name] = found
    return models


def find_model(name: str, override: Path | None = None) -> Weights:
    """Return the local model `name`: a known one, a pulled one, or the user's `override` (`CHATCLI_LOCAL_MODEL`)."""
    if override is not None and name == override_name(override):
        try:
            return copy_of_known(override) or own_weights(override)
        except UsageError as error:
            raise UsageError(f"CHATCLI_LOCAL_MODEL: {error.message}", remedy="Correct it, or unset it.") from error
    models = {weights.name: weights for weights in KNOWN_WEIGHTS} | pulled_models()
    if name not in models:
        raise UsageError(
            f"unknown local model {name!r}",
            remedy=f"Local models: {', '.join(models)}. Another one is fetched by `chat models pull`.",
        )
    return models[name]


def find_removable(name: str) -> Weights:
    """Return the local model `name`, or what has arrived of one whose first download was stopped."""
    try:
        return find_model(name)
    except UsageError:
        stub = Weights(name=name, title=name, file_name=f"{name}{_SUFFIX}", size=0, sha256="", hub_path="/")
        if _PLAIN.fullmatch(name) and stub.cache_file.with_name(f"{stub.file_name}.part").exists():
            return stub
        raise


def override_name(override: Path) -> str:
    """Return the name of the model that `override`, the value of `CHATCLI_LOCAL_MODEL`, stands for."""
    known = copy_of_known(override)
    return known.name if known else model_name(override.name)


def copy_of_known(path: Path) -> Weights | None:
    """Return the known model whose size the file at `path` has: it must be a copy of that one then."""
    try:
        size = path.stat().st_size
    except OSError:
        return None
    return next((weights for weights in KNOWN_WEIGHTS if weights.size == size), None)


def own_weights(path: Path) -> Weights:
    """Return the model in the GGUF file at `path`, which is used where it is.

    Its identity serves as its hash: the path, the size, the inode and the times. Another file at this path is
    then another model.
    """
    path = path.expanduser().absolute()
    try:
        identity = _identity(path)
        for known in pulled_models().values():
            if known.sha256 == identity:
                return known  # with the window that was chosen first: its server may be running
        name = model_name(path.name)
        size = path.stat().st_size
        own = Weights(name=name, title=name, file_name=path.name, size=size, sha256=identity, own_path=str(path))
        return add_header(own, path)
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}", remedy="Correct the path.") from error


def is_unchanged(weights: Weights) -> bool:
    """Return whether the user's own file of `weights` is still the one that was pulled."""
    try:
        return _identity(Path(weights.own_path)) == weights.sha256
    except OSError:
        return False


def _identity(path: Path) -> str:
    import hashlib

    status = path.stat()
    fields = (str(path), status.st_size, status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return hashlib.sha256(repr(fields).encode()).hexdigest()


def add_header(weights: Weights, path: Path) -> Weights:
    """Return `weights` with the window and template of the file at `path`. Raises as `read_header` does."""
    header = read_header(path)
    window = min(header.window, _LARGEST_WINDOW)
    room = max(available_memory() - weights.size, 0) // 2  # half of the memory beside the file
    while window > WINDOW and window * header.token_bytes > room:
        window //= 2
    return replace(weights, window=window, token_bytes=header.token_bytes, takes_tools=header.takes_tools)


def remember(weights: Weights) -> None:
    """Keep `weights` as the model `local:NAME`. Raises `OSError` if the record can't be written."""
    require_free_name(weights.name, source_of(weights))
    entry: dict[str, Any] = asdict(weights)
    change_state(_file(), lambda state: state.update({weights.name: entry}))


def require_free_name(name: str, source: str) -> None:
    """Raise a `UsageError` unless the model from `source` may be called `name`."""
    if not _PLAIN.fullmatch(name):
        raise UsageError(f"{name!r} can't be the name of a model", remedy="Rename the file: letters, digits, . + - _")
    if name in _KNOWN_NAMES:
        raise UsageError(
            f"local:{name} is a model that chatcli knows", remedy=f"Take it: chat models pull local:{name}"
        )
    other = pulled_models().get(name)
    if other is not None and source_of(other) != source:
        raise UsageError(
            f"local:{name} is {source_of(other)} already", remedy=f"Remove that one first: chat models remove {name}"
        )


def source_of(weights: Weights) -> str:
    """Return the source of the user's model: `hf:OWNER/REPO/FILE.gguf`, or a path."""
    return weights.own_path or f"{HUB}{weights.hub_repository}/{weights.hub_path}"


def forget(weights: Weights) -> None:
    """Delete the file of `weights`, unless it is the user's own, and forget a model that was pulled."""
    if not weights.own_path:
        for suffix in ("", ".part", ".verified", ".lock"):
            weights.cache_file.with_name(f"{weights.cache_file.name}{suffix}").unlink(missing_ok=True)
    if weights.name not in _KNOWN_NAMES:
        change_state(_file(), lambda state: state.pop(weights.name, None))


def _file() -> Path:
    return paths.state_dir() / "local" / "pulled.json"
