"""What a helper must have in common with the process that asks it."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatcli.cli.run.dispatch import fits_helper
from chatcli.config.mcp_servers import McpServer
from chatcli.config.settings import Settings
from chatcli.helper.same_conditions import Environment, Files, process_conditions
from tests.e2e.program import Home
from tests.e2e.terminal import Terminal

AT_A_TERMINAL = [
    (["hello"], True),
    (["-t", "abc", "hello"], True),
    (["-q", "hello"], True),
    (["--thread=abc", "hello"], True),
    (["--", "threads"], True),
    ([], False),
    (["-t", "abc"], False),
    (["--thread=abc", "-q"], False),
    (["threads", "list"], False),
    (["-i", "hello"], False),
    (["--no-helper", "hello"], False),
    (["--helper", "hello"], True),
    (["--tools", "hello"], True),
    (["--no-tools", "hello"], True),
    (["--yes", "hello"], True),
    (["--allow-private-urls", "hello"], True),
    (["-qc", "hello"], True),
    (["-tabc", "hello"], True),
    (["-qtabc"], False),
    (["-qi", "hello"], False),
    (["--", "-i"], True),
    (["--helper", "threads", "list"], False),
    (["-m", "threads", "hello"], True),
    (["-q", "-"], False),
    (["--", "-"], True),
]
"""Arguments, and whether the helper may run them at a terminal."""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Give an environment in which ASKED was asked for, and MISSING in vain."""
    monkeypatch.setenv("ASKED", "a")
    monkeypatch.delenv("MISSING", raising=False)
    environment = Environment()
    with environment.watched():
        assert os.getenv("ASKED") == "a"
        assert "MISSING" not in os.environ
    return environment


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"OTHER": "x"}, True),
        ({"ASKED": "b"}, False),
        ({"MISSING": "x"}, False),
        ({"LC_ALL": "C"}, False),
        ({"LANG": "de_DE.UTF-8"}, False),
        ({"LANGFLOW_API_KEY": "x"}, True),
        ({"PYTHONUTF8": "0"}, False),
    ],
)
def test_variables_that_were_read_must_be_equal(environment: Environment, changed: dict[str, str], same: bool) -> None:
    assert environment.matches({**os.environ, **changed}) is same


def test_an_import_that_read_all_variables_needs_them_all_the_same() -> None:
    environment = Environment()
    with environment.watched():
        assert dict(os.environ)
    assert environment.matches(dict(os.environ))
    assert not environment.matches({**os.environ, "OTHER": "x"})


def test_the_environment_is_the_real_one_afterwards() -> None:
    real = os.environ
    with Environment().watched():
        os.environ["SET_MEANWHILE"] = "x"
    assert os.environ is real
    assert os.environ.pop("SET_MEANWHILE") == "x"


def test_a_module_whose_file_changed_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "soon_another.py"
    file.write_text("x = 1")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("soon_another")
    files = Files()
    assert files.unchanged()
    file.write_text("x = 22")
    assert not files.unchanged()
    file.unlink()
    assert not files.unchanged()
    del sys.modules["soon_another"]


def test_a_process_is_in_its_own_world() -> None:
    assert process_conditions(os.getpid()) == process_conditions(os.getpid())
    with pytest.raises(OSError, match="No such"):
        process_conditions(2**22 + 1)


def test_at_a_terminal_the_helper_runs_one_shots_only(home: Home) -> None:
    wrong = f"[arguments for arguments, asked in {AT_A_TERMINAL} if may_use_helper(arguments) is not asked]"
    code = f"from chatcli.helper.eligible import may_use_helper; print({wrong})"
    env = {**home.env, "CHATCLI_HELPER": "1"}
    terminal = Terminal([sys.executable, "-c", code], env=env, cwd=home.work)
    try:
        assert terminal.exit_code() == 0
        assert terminal.text() == "[]"
    finally:
        terminal.close()


@pytest.mark.parametrize(
    "given",
    [
        *(
            {"tools": True},
            {"recall": True},
            {"mcp_file": Path("mcp.json")},
            {"mcp_servers": {"a": McpServer(command="a")}},
        ),
        *({"graph": "a.py:a"}, {"url": "http://a"}, {"resume_with": "yes"}, {"script": "-"}, {"helper": False}),
    ],
)
def test_what_only_asks_a_model_runs_in_the_helper(given: dict[str, Any]) -> None:
    settings = Settings(no_save=True)
    assert fits_helper(settings)
    assert not fits_helper(replace(settings, **given))
