"""Try whether the tests notice faults: `python -m tests.mutation [NAME...]`.

Each fault of `faults.toml`, or each whose file or words contain a NAME, is made in a temporary copy of this tree, where
the tests that should notice it run. The exit code is 1 if a fault survives, or no longer applies.
"""

import importlib.util
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import langchain_openai  # noqa: F401 - once for all runs
import langgraph.graph  # noqa: F401
import pytest

from tests.mutation.faults import FAULTS, Fault

ROOT = Path(__file__).parents[2]
SECONDS = 120
"""Time for the tests of one fault; one that makes them hang is noticed, too."""
_OPTIONS = ("-n0", "-x", "-q", "--no-header", "-p", "no:cacheprovider")


def main(names: Sequence[str]) -> int:
    """Try the faults with one of `names`, or all; return the exit code."""
    chosen = [each for each in FAULTS if not names or any(name in f"{each.file} {each.what}" for name in names)]
    if not chosen:  # without tests to run, pytest would run all
        print(f"no fault has one of these names: {', '.join(names)}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        copy = _copied(Path(folder))
        if _tests(copy, sorted({test for each in chosen for test in each.tests})):
            print(f"{(copy.parent / 'log').read_text()}without any fault, these tests fail")
            return 1
        results = [_try(copy, each) for each in chosen]
    print(f"{results.count('killed')} of {len(results)} faults are noticed")
    return int(results.count("killed") != len(chosen))


def _copied(folder: Path) -> Path:
    copy = folder / "tree"
    left_out = shutil.ignore_patterns("__pycache__", ".*")
    for name in ("chatcli", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=left_out)
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", ".env.example"):
        shutil.copy(ROOT / name, copy)
    return copy


def _try(copy: Path, fault: Fault) -> str:
    """Make `fault` in `copy`, run its tests, and undo it; return and print what came of it."""
    path = copy / fault.file
    whole = path.read_text(encoding="utf-8")
    result = "does not apply"
    if whole.count(fault.old) == 1:
        _write(path, whole.replace(fault.old, fault.new))
        result = "killed" if _tests(copy, fault.tests, seconds=SECONDS) else "survived"
        _write(path, whole)
    print(f"{result:8} {fault.file}: {fault.what}", flush=True)
    return result


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    # Python takes a compiled module for current that has the same size and the same second.
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


def _tests(copy: Path, tests: Sequence[str], *, seconds: int = 0) -> int:
    """Run `tests` in `copy`, at most `seconds` if not 0; return the exit code, negative for a signal.

    A fork of this process has done most of the imports already.
    """
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if seconds:
        signal.alarm(seconds)
    # What does not come because of a fault is waited for in vain. A test that needs more has to fail without one, too.
    os.environ["CHATCLI_TEST_WAIT"] = "20"
    os.chdir(copy)
    log = os.open(copy.parent / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ["CI"] = "1"  # each property has as many examples as there
    # Before the folder of the editable installation.
    os.environ["PYTHONPATH"] = sys.path[0] = str(copy)
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    code = 3
    try:
        code = pytest.main([*_OPTIONS, *tests])
    finally:
        os._exit(code)  # also after an error of pytest itself, which would else remove the copy


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
