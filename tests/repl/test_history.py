"""The history of the input line: kept where it may be, and nowhere else."""

from pathlib import Path

from chatcli.repl.history import LineHistory
from chatcli.repl.pastes import Pastes


def test_lines_are_kept_only_where_the_user_wants_that(own_folders: Path) -> None:
    passing = LineHistory(Pastes(), keep=False)
    passing.append_string("hello")
    assert passing.get_strings() == ["hello"]
    assert not [path for path in own_folders.rglob("*") if path.is_file()]


def test_a_history_that_cannot_be_kept_is_that_of_this_run(own_folders: Path) -> None:
    (own_folders / "state").write_text("in the place of its folder")
    history = LineHistory(Pastes(), keep=True)
    history.append_string("hello")
    assert history.get_strings() == ["hello"]


def test_a_line_about_keys_is_never_kept(own_folders: Path) -> None:
    history = LineHistory(Pastes(), keep=True)
    for line in ("  /keys set openai whatever it is", "my password: hunter2", "hello"):
        history.append_string(line)
    assert list(LineHistory(Pastes(), keep=True).load_history_strings()) == ["hello"]
