"""What a graph's failure is blamed on: its own code, unless a client of a model raised the error."""

import json
from pathlib import Path

import pytest

from tests.e2e.program import Chat

FAULTS = Path(__file__).parent.parent / "sample_graphs" / "faults.py"
NOBODY = {"SERVER": "http://127.0.0.1:9/v1"}


def line_of(words: str) -> int:
    return next(number for number, text in enumerate(FAULTS.read_text().splitlines(), 1) if words in text)


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("timeout", "TimeoutError: the archive gave no answer", "raise error"),
        ("connection", "ConnectionRefusedError: [Errno 111] the archive is closed", "raise error"),
        ("of_requests", "ReadTimeout: the archive's page took too long", "raise error"),
        ("of_httpx", "ConnectError: the archive's host is unknown", "raise error"),
        ("database", "OperationalError: the archive's database is locked", "raise error"),
        ("fetched", "ConnectionError: HTTPConnectionPool(host='127.0.0.1', port=9)", "requests.get"),
        ("denied", "PermissionError: [Errno 13] Permission denied: 'archive.txt'", "raise error"),
        ("grouped", "TimeoutError: one of several", 'raise TimeoutError("one'),
        ("rephrasing", "RuntimeError: the plan has no first step", "raise RuntimeError"),
        ("going_on", "KeyError: 'FALLBACK'", 'os.environ["FALLBACK"]'),
    ],
)
def test_a_nodes_own_error_is_its_own(chat: Chat, name: str, text: str, code: str) -> None:
    failed = chat("--graph", f"{FAULTS}:{name}", "hi", env=NOBODY)
    assert failed.returncode == 1, failed
    assert f"the graph {name!r} failed in the node research: {text}" in failed.stderr
    assert f"({FAULTS}, line {line_of(code)})" in failed.stderr


def test_a_node_of_a_subgraph_is_named_with_the_node_around_it(chat: Chat) -> None:
    assert "failed in the node team/look_up: ConnectionError" in chat("--graph", f"{FAULTS}:nested", "hi").stderr


def test_a_models_error_is_the_models(chat: Chat) -> None:
    failed = chat("--graph", f"{FAULTS}:asking", "hi", env=NOBODY)
    assert failed.returncode == 75, failed
    assert "error: a model of the graph 'asking' can't be reached" in failed.stderr


def test_a_graph_is_named_as_its_project_names_it(chat: Chat) -> None:
    project = {"graphs": {"archivist": f"{FAULTS}:timeout"}, "dependencies": ["."]}
    (chat.home.work / "langgraph.json").write_text(json.dumps(project))
    assert "the graph 'archivist' failed in the node research" in chat("--graph", "archivist", "hi").stderr


def test_the_command_that_installs_a_missing_package_is_said(chat: Chat) -> None:
    late = chat("--graph", f"{FAULTS}:late", "hi")
    assert late.returncode == 1
    assert "ModuleNotFoundError: No module named 'no_such_package'" in late.stderr
    assert "Install it: pip install no-such-package\n" in late.stderr

    work = chat.home.work
    (work / "agent.py").write_text("import yaml_of_nobody\n")
    project = {"graphs": {"agent": "./agent.py:graph"}, "dependencies": [".", "yaml-of-nobody>=2"]}
    (work / "langgraph.json").write_text(json.dumps(project))
    early = chat("--graph", "agent", "hi")
    assert early.returncode == 2
    assert early.stderr.endswith("install 'yaml-of-nobody>=2'\n")

    (work / "own").mkdir()
    (work / "agent.py").write_text("import own.tools\n")
    assert "Install it" not in chat("--graph", "agent", "hi").stderr
