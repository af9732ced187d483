"""The real `llm` of simonw/llm in several versions, each in an environment of its own, made once a machine."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.openai_server import FakeOpenAI
from tests.models.local.shared_cache import cache_folder
from tests.waiting import WAIT_SECONDS

BEFORE, AFTER = "0.31", "0.36"
"""The last version with `responses`, and one of those with threads."""


@dataclass(frozen=True)
class Llm:
    """One version of the program, with a log of its own in `folder`, asking `server`."""

    python: Path
    folder: Path
    server: FakeOpenAI

    def __call__(self, *runs: Sequence[str]) -> str:
        """Run `llm ARGS` for each of `runs`, in one process, and return what it prints: its imports take a second."""
        return self.script(f"from llm.cli import cli\nfor run in {runs!r}: cli.main(run, standalone_mode=False)")

    def script(self, text: str) -> str:
        """Run Python with the library."""
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LLM_USER_PATH": str(self.folder),
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": self.server.base_url,
        }
        done = subprocess.run(
            [self.python, "-c", text],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def installed_llm(version: str) -> Path:
    """Return the Python of an environment with that version; it is installed when the cache has none."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache_folder() / "llm" / f"{version}-python{python}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several workers, one installs
        done = folder / "installed"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            # Versions before 0.34 import httpx, which the OpenAI SDK that they ask for no longer brings along.
            pip: list[str | Path] = [
                folder / "bin" / "python",
                "-m",
                "pip",
                "install",
                "-q",
                "--disable-pip-version-check",
            ]
            subprocess.run([*pip, f"llm=={version}", "httpx"], check=True, timeout=300)
            done.touch()
    return folder / "bin" / "python"
