"""The file `.env` as it is read, and config.toml as it is written."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from chatcli import paths
from chatcli.config.files import parse_dotenv, read_config_file, read_dotenv, remove_value, set_value
from chatcli.config.trust import state_path
from chatcli.errors import UsageError


@pytest.fixture
def config(own_folders: Path) -> Path:
    """Give the path of config.toml, which is not there yet."""
    path = paths.config_file()
    path.parent.mkdir(parents=True)
    return path


def test_a_dotenv_sets_what_stands_there() -> None:
    content = "\ufeffA=1\nexport B='two words'\nHERE=${HOME}/x $USER\nEMPTY=\nALONE\n# C=3\n".encode()
    assert parse_dotenv(content) == {"A": "1", "B": "two words", "HERE": "${HOME}/x $USER"}


@pytest.mark.parametrize(
    ("content", "problem"), [(b"A=\xff", "not UTF-8"), (b"A=" + b" " * 1001 + b"x", "more than 1000 blanks in a row")]
)
def test_a_dotenv_that_can_not_be_read_sets_nothing_and_says_why(
    own_folders: Path, content: bytes, problem: str
) -> None:
    (own_folders / ".env").write_bytes(content)
    found = read_dotenv()
    assert (found.values, found.trusted) == ({}, False)
    assert problem in found.problem


def test_a_dotenv_is_not_trusted_while_what_is_trusted_can_not_be_read(own_folders: Path) -> None:
    (own_folders / ".env").write_text("CHATCLI_SYSTEM=secret\n")
    assert not read_dotenv().trusted
    state = state_path()
    state.parent.mkdir(parents=True, exist_ok=True)
    state.write_text("no JSON")
    found = read_dotenv()
    assert (dict(found.values), found.trusted) == ({"CHATCLI_SYSTEM": "secret"}, False)
    assert "what you trust can't be read" in found.problem
    assert "secret" not in repr(found)


def test_the_config_file_may_be_one_of_windows(config: Path) -> None:
    assert read_config_file() == {}
    config.write_bytes("\ufeffsystem = '''\r\na\r\nb'''\r\n".encode())
    assert read_config_file() == {"system": "a\nb"}


def test_a_folder_in_its_place_is_refused(config: Path) -> None:
    config.mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        read_config_file()
    with pytest.raises(UsageError, match="can't be changed"):
        set_value(("system",), "x")


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ("a = 1", lambda: set_value(("b",), 2), "a = 1\nb = 2\n"),
        ("a = 1\r\n\r\n# b\r\n", lambda: set_value(("a",), 2), "a = 2\r\n\r\n# b\r\n"),
        ("a = 1\r\nb = 1\n", lambda: set_value(("a",), 2), "a = 2\r\nb = 1\n"),
        ("\ufeffa = 1\n", lambda: set_value(("a",), 2), "\ufeffa = 2\n"),
        ("[t]\na = 1\nb = 2\n", lambda: remove_value(("t", "a")), "[t]\nb = 2\n"),
        ("x = 1\n\n[t]\na = 1\n", lambda: remove_value(("t", "a")), "x = 1\n\n"),
        ("[t]\n# why\na = 1\n", lambda: remove_value(("t", "a")), "[t]\n# why\n"),
    ],
)
def test_what_is_not_changed_stays_to_the_byte(
    config: Path, before: str, change: Callable[[], None], after: str
) -> None:
    config.write_bytes(before.encode())
    config.chmod(0o640)
    change()
    assert config.read_bytes().decode() == after
    assert config.stat().st_mode & 0o777 == 0o640


def test_a_change_that_is_refused_writes_nothing(config: Path) -> None:
    config.write_text("a = 1\n")

    def refuse(content: object) -> None:
        raise UsageError("no")

    with pytest.raises(UsageError, match="no"):
        set_value(("a",), 2, refuse)
    with pytest.raises(UsageError, match="no"):
        remove_value(("a",), refuse)
    with pytest.raises(UsageError, match="a is not a table"):
        set_value(("a", "b"), 2)
    assert config.read_text() == "a = 1\n"
    assert [path.name for path in config.parent.iterdir() if path.suffix == ".toml"] == ["config.toml"]
    assert tomllib.loads(config.read_text()) == {"a": 1}
