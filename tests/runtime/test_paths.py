"""The folders of each system, in an interpreter that takes itself for one of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDERS = """
import json, sys
sys.platform = sys.argv[1]
from chatcli import paths
print(json.dumps([str(folder()) for folder in (paths.data_dir, paths.config_dir, paths.cache_dir, paths.state_dir)]))
"""
NAMES = ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")


def folders(system: str, home: Path, **env: str) -> list[str]:
    command = [sys.executable, "-c", FOLDERS, system]
    done = subprocess.run(command, env={"HOME": str(home), **env}, capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("linux", [".local/share", ".config", ".cache", ".local/state"]),
        ("darwin", [*["Library/Application Support"] * 2, "Library/Caches", "Library/Application Support"]),
    ],
)
def test_the_folders_are_those_of_the_system(tmp_path: Path, system: str, expected: list[str]) -> None:
    assert folders(system, tmp_path) == [f"{tmp_path}/{folder}/chatcli" for folder in expected]


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_the_xdg_variables_name_them_on_every_system(tmp_path: Path, system: str) -> None:
    env = {name: f"{tmp_path}/{name.lower()}" for name in NAMES}
    assert folders(system, tmp_path, **env) == [f"{folder}/chatcli" for folder in env.values()]
