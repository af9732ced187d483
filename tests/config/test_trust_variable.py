"""`CHATCLI_TRUST=1` trusts the current folder for one run, and no other."""

from pathlib import Path

import pytest

from chatcli.config.trust import FILES, RUN_VARIABLE, is_trusted, read_folder_file
from chatcli.memory.instructions import read_instructions


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a repository with files to trust in every folder; the current one is in the middle."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv(RUN_VARIABLE, "1")
    here = tmp_path / "root" / "here"
    for folder in (here / "below", tmp_path / "root" / "beside", tmp_path / "elsewhere"):
        folder.mkdir(parents=True)
    (tmp_path / "root" / ".git").mkdir()
    for folder in (*here.rglob("."), tmp_path / "root", tmp_path / "root" / "beside", tmp_path / "elsewhere"):
        for name in FILES:
            (folder / name).write_text("X=1\n")
    (tmp_path / "link").symlink_to(here)
    monkeypatch.chdir(here)
    return here


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("folder", "trusted"),
    [
        *((other, False) for other in ("below", "..", "../beside", "../../elsewhere")),
        *((current, True) for current in ("", "../../link", "below/..")),
    ],
)
def test_the_current_folder_alone_is_trusted_by_any_name(here: Path, name: str, folder: str, trusted: bool) -> None:
    file = read_folder_file(name, here / folder)
    assert file is not None
    assert is_trusted(file) is trusted


def test_the_instructions_of_parents_and_other_folders_are_left_out(here: Path) -> None:
    found = read_instructions(here)
    assert [file.folder for file in found.files] == [here]
    assert [file.folder for file in found.untrusted] == [here.parent]
    assert read_instructions(here / "below").files == found.files  # it is a parent there, and still the current one
    assert read_instructions(here.parent / "beside").files == ()


@pytest.mark.parametrize("value", ["", "0", "false", "no", "off", "2", "/"])
def test_other_values_trust_nothing(here: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(RUN_VARIABLE, value)
    file = read_folder_file(".env", here)
    assert file is not None
    assert not is_trusted(file)
