"""The packages whose `__init__` waits until somebody asks for a name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chatcli.runtime.deferred_packages import DEFERRED

_CODE = f"""
import sys
from contextlib import suppress
from importlib import import_module
from pkgutil import iter_modules

from chatcli.runtime.deferred_packages import defer_packages

defer_packages()
for name in {sorted(DEFERRED)}:
    package = import_module(name)
    for module in iter_modules(package.__path__):
        # One of langgraph_sdk's modules belongs to a server that is set up, and psutil has some for other systems.
        with suppress(KeyError, ImportError):
            import_module(f"{{name}}.{{module.name}}")
    init = import_module(f"{{name}}.__init__")
    everything = {{}}
    exec(f"from {{name}} import *", everything)
    for attribute, value in vars(init).items():
        if attribute[:2] != "__":
            assert getattr(package, attribute) is value, f"{{attribute}} in {{name}}"
            assert attribute in dir(package)
            assert attribute[0] == "_" or attribute in everything or attribute not in getattr(package, "__all__", ())
    print(name)
"""


def test_a_deferred_package_has_all_its_names() -> None:
    # All its modules are imported before: none may take the place of another name.
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == sorted(DEFERRED)


def test_a_module_may_import_another_while_init_waits_for_it(tmp_path: Path) -> None:
    package = tmp_path / "distro"
    package.mkdir()
    (package / "__init__.py").write_text("from distro.first import NAME")
    (package / "first.py").write_text("from distro import second\nNAME = second.NAME")
    (package / "second.py").write_text("NAME = 'second'")
    code = (
        "from chatcli.runtime.deferred_packages import defer_packages; defer_packages(); "
        "import distro.first; print(distro.NAME)"
    )
    assert (
        subprocess.check_output(
            [sys.executable, "-c", code], text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)}
        )
        == "second\n"
    )


_MODELS = """
from chatcli.runtime.deferred_packages import defer_packages

defer_packages()
from langchain_core.messages import SystemMessage
from langchain_core.prompts import PromptTemplate
from pydantic import BaseModel

class Own(BaseModel):
    text: str

print(Own.__pydantic_complete__, PromptTemplate.__pydantic_complete__, SystemMessage("hi").content)
"""


def test_only_models_of_the_libraries_are_built_late() -> None:
    assert subprocess.check_output([sys.executable, "-c", _MODELS], text=True).split() == ["True", "False", "hi"]


_LAZILY = """
import sys
from chatcli.runtime.deferred_packages import defer_packages

defer_packages()
import langgraph.graph
import html.parser

print("requests" in sys.modules, "_markupbase" in sys.modules, langgraph.graph.StateGraph.__name__)
"""


@pytest.mark.skipif(sys.version_info < (3, 15), reason="Python 3.15 imports lazily")
def test_only_large_packages_are_imported_lazily() -> None:
    printed = subprocess.check_output([sys.executable, "-c", _LAZILY], text=True).split()
    assert printed == ["False", "True", "StateGraph"]
