"""The profile of `sandbox-exec`, with which macOS confines a command."""

import json
from collections.abc import Iterable
from pathlib import Path

_DEVICES = ("/dev/null", "/dev/zero", "/dev/tty", "/dev/dtracehelper")


def profile(folder: Path, temporary: Path, withheld: Iterable[str], *, network: bool) -> str:
    """Return the profile in Apple's language; of rules that match, the last one holds."""
    real = folder.resolve()
    secrets = sorted(withheld)
    writes = [*([real] if not any(_touches(real, Path(place)) for place in secrets) else []), temporary]
    lines = [
        "(version 1)",
        "(deny default)",
        "(allow process-exec process-fork sysctl-read)",
        "(allow signal (target same-sandbox))",
        "(allow process-info* (target same-sandbox))",
        "(allow file-read*)",
        *(f"(deny file-read-data (subpath {_quoted(place)}))" for place in secrets),
        *(f"(allow file-read* file-write* (subpath {_quoted(place)}))" for place in writes),
        *(f"(allow file-read* file-write-data file-ioctl (literal {_quoted(place)}))" for place in _DEVICES),
        *(f"(deny file-write* (subpath {_quoted(real / '.git' / name)}))" for name in ("hooks", "config")),
        *(["(allow network-outbound (remote ip))", "(allow system-socket)"] if network else []),
    ]
    return "\n".join(lines)


def _touches(folder: Path, place: Path) -> bool:
    return folder.is_relative_to(place) or place.is_relative_to(folder)


def _quoted(path: object) -> str:
    return json.dumps(str(path), ensure_ascii=False)
