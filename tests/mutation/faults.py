"""The faults of `faults.toml`."""

import tomllib
from pathlib import Path
from typing import NamedTuple


class Fault(NamedTuple):
    """A fault: in `file`, `new` instead of `old`, which occurs there exactly once; `tests` notice it."""

    file: str
    tests: tuple[str, ...]
    what: str
    old: str
    new: str


def _read() -> list[Fault]:
    table = tomllib.loads(Path(__file__).with_name("faults.toml").read_text(encoding="utf-8"))
    return [
        Fault(f"chatcli/{file}", tuple(f"tests/{test}" for test in entry["tests"]), *fault)
        for file, entry in table.items()
        for fault in entry["faults"]
    ]


FAULTS = _read()
