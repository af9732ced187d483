"""Packages of npm, which tests install once into their cache."""

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.models.local.shared_cache import cache_folder

_SECONDS = 240


def installed(*packages: str) -> Path:
    """Return the folder `node_modules` with `packages`, each NAME@VERSION; skip the test where that can't be had."""
    if shutil.which("node") is None or (npm := shutil.which("npm")) is None:
        pytest.skip("node is not installed")
    folder = cache_folder() / "npm" / "+".join(packages).replace("/", "_")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several workers, one installs
        if not (folder / "installed").exists():
            command = [npm, "install", "--no-audit", "--no-fund", *packages]
            try:
                subprocess.run(command, cwd=folder, capture_output=True, timeout=_SECONDS, check=True)
            except (subprocess.SubprocessError, OSError) as error:
                pytest.skip(f"{', '.join(packages)} can't be installed: {error}")
            (folder / "installed").touch()
    return folder / "node_modules"
