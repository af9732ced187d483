"""The graph that `--graph` names: found before any of its code runs."""

import json
import os
from pathlib import Path

import pytest

from chatcli.errors import UsageError
from chatcli.graphs.user.spec import GraphSpec, find_graph

RUNS = "raise AssertionError('this must not run')\n"


@pytest.fixture
def project(own_folders: Path) -> Path:
    """Give the folder of a project, which is not the current one, with graphs that are named in all ways."""
    folder = own_folders / "project"
    (folder / "src" / "package").mkdir(parents=True)
    for file in ("a.py", "other.py", "src/package/__init__.py", "src/package/inner.py"):
        (folder / file).write_text(RUNS)
    graphs = {
        "path": "./a.py:graph",
        "object": {"path": "./a.py:graph", "description": "x"},
        "module": "package.inner:graph",
        "script": "./a.ts:graph",
        "gone": "./gone.py:graph",
        "odd": "a.py",
        "number": 5,
    }
    (folder / "langgraph.json").write_text(json.dumps({"graphs": graphs}))
    return folder


@pytest.mark.parametrize("name", ["path", "object"])
def test_a_name_of_a_project_is_found_in_its_folder(project: Path, name: str) -> None:
    found = find_graph(f"{project}/langgraph.json:{name}")
    assert (found.path, found.name, found.title) == (project / "a.py", "graph", name)
    assert (found.folder, "graphs" in found.project) == (project, True)
    os.chdir(project)
    assert find_graph(name) == found
    assert str(found.model_name) == f"graph:{project}/langgraph.json:{name}", "it is found again in any folder"


def test_a_module_of_a_project_is_not_looked_for_before_its_path_is_set(project: Path) -> None:
    found = find_graph(f"{project}/langgraph.json:module")
    assert (found.path, found.module, found.name) == (None, "package.inner", "graph")


@pytest.mark.parametrize(("file", "listed"), [("a.py", True), ("src/package/inner.py", True), ("other.py", False)])
def test_a_path_has_the_project_that_lists_it(project: Path, file: str, listed: bool) -> None:
    found = find_graph(f"project/{file}:graph")
    assert found.label == f"{project / file}:graph", "it is found again in any folder"
    assert (found.folder, bool(found.project)) == ((project, True) if listed else (Path.cwd(), False))


def test_the_project_of_another_user_counts_for_nothing(project: Path) -> None:
    os.chown(project / "langgraph.json", 12345, 12345)
    assert not find_graph("project/a.py:graph").project
    (project / "langgraph.json").unlink()
    (project / "langgraph.json").symlink_to("/etc/hostname")
    assert not find_graph("project/a.py:graph").project


def test_to_find_a_module_runs_no_code(own_folders: Path) -> None:
    package = own_folders / "a_package_of_the_test"
    package.mkdir()
    (package / "__init__.py").write_text(RUNS)
    found = find_graph(f"{package.name}.inner:graph")
    assert (found.module, found.name) == (f"{package.name}.inner", "graph")


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("nothing", "has no graph 'nothing'"),
        ("script", "is JavaScript"),
        ("gone", r"is in \./gone\.py, which does not exist"),
        ("odd", r"is 'a\.py', not path/to/file\.py:name"),
        ("number", "is 5, not path"),
        ("a.ts:graph", "a.ts is JavaScript"),
        ("none.py:graph", "there is no file none.py"),
        ("./none:graph", "there is no file ./none"),
        ("no_such_module_of_ours:graph", "there is no module no_such_module_of_ours"),
        ("a b:graph", "'a b' is not a module name"),
        (":graph", "does not name a graph"),
        ("a.py:", "does not name a graph"),
        ("x" * 5000 + "/a.py:graph", "does not name a graph"),
        ("a\0.py:graph", "does not name a graph"),
        ("~nobody_of_this_name/a.py:graph", "does not name a graph"),
    ],
)
def test_what_names_no_graph_is_refused(project: Path, spec: str, problem: str) -> None:
    os.chdir(project)
    with pytest.raises(UsageError, match=problem):
        find_graph(spec)


@pytest.mark.parametrize(
    ("content", "problem"),
    [("no JSON", "can't be read"), ("[]", "lists no graphs"), ('{"graphs": []}', "lists no graphs")],
)
def test_a_file_that_lists_no_graphs_is_refused(own_folders: Path, content: str, problem: str) -> None:
    with pytest.raises(UsageError, match=r"there is no langgraph\.json"):
        find_graph("name")
    (own_folders / "langgraph.json").write_text(content)
    with pytest.raises(UsageError, match=problem):
        find_graph("name")
    (own_folders / "a.py").write_text(RUNS)
    assert not find_graph("a.py:graph").project


def test_an_object_of_a_program_is_not_shown() -> None:
    assert "secret" not in repr(GraphSpec("agent", "agent", target="secret"))
