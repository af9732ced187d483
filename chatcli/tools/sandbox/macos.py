"""The profile of `sandbox-exec`, with which macOS confines a command."""

import json
from collections.abc import Iterable
from pathlib import Path

from chatcli.tools.sandbox import places

_DEVICES = ("/dev/null", "/dev/zero", "/dev/tty", "/dev/dtracehelper")


def profile(folders: Iterable[Path], temporary: Path, withheld: Iterable[str], *, network: bool) -> str:
    """Return the profile in Apple's language, for a command that writes in `folders`; the last match holds."""
    real = [folder.resolve() for folder in folders]
    secrets = sorted(withheld)
    writes = [*(each for each in real if not any(_touches(each, Path(place)) for place in secrets)), temporary]
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
        *(f"(deny file-write* (subpath {_quoted(each / '.git' / name)}))" for each in real for name in places.GIT),
        *(["(allow network-outbound (remote ip))", "(allow system-socket)"] if network else []),
    ]
    return "\n".join(lines)


def _touches(folder: Path, place: Path) -> bool:
    return folder.is_relative_to(place) or place.is_relative_to(folder)


def _quoted(path: object) -> str:
    return json.dumps(str(path), ensure_ascii=False)
