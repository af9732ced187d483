"""How much memory this machine has for a model."""

from pathlib import Path

import psutil
import pytest

from chatcli.models.local.choice import available_memory


def test_without_control_groups_it_is_what_the_system_says(tmp_path: Path) -> None:
    assert 0 < available_memory(tmp_path) <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("limit", "used", "statistics", "reclaimable"),
    [
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        (
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
            "memory/memory.stat",
            "total_inactive_file",
        ),
    ],
)
def test_a_container_has_what_its_limit_leaves(
    tmp_path: Path, limit: str, used: str, statistics: str, reclaimable: str
) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / limit).write_text("64000000\n")
    (tmp_path / used).write_text("50000000\n")
    (tmp_path / statistics).write_text(f"anon 1\n{reclaimable} 30000000\n")
    assert available_memory(tmp_path) == 44_000_000


def test_a_container_may_have_no_limit(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("50000000\n")
    assert available_memory(tmp_path) > 64_000_000
