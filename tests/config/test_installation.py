"""Each hint is the command that works in the environment that chatcli runs from; the environments are real."""

import json
import os
import shlex
import subprocess
import sys
import tomllib
import venv
from itertools import product
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

import chatcli
from chatcli.config.installation import LOCAL_MACHINES

pytestmark = pytest.mark.e2e

MACHINES = list(product(("linux", "darwin", "win32"), ("x86_64", "aarch64", "arm64", "AMD64", "armv7l")))
CHECKOUT = Path(chatcli.__file__).parent.parent
METADATA = """Metadata-Version: 2.1
Name: {name}
Version: 1.0
{requires}
"""
EXTRAS = 'Provides-Extra: anthropic\nRequires-Dist: some-client; extra == "anthropic"'


class Environment:
    """A virtual environment in which the distribution threadchat is installed."""

    def __init__(self, folder: Path, *, with_pip: bool = False) -> None:
        venv.create(folder, with_pip=with_pip, symlinks=True)
        self.folder = folder
        self.python = folder / "bin" / "python"
        [self.packages] = folder.glob("lib/python*/site-packages")
        (self.packages / "chatcli.pth").write_text(f"{CHECKOUT}\n")
        self.metadata = self.packages / "threadchat-1.0.dist-info"
        self.metadata.mkdir()
        (self.metadata / "METADATA").write_text(METADATA.format(name="threadchat", requires=EXTRAS))
        (self.metadata / "RECORD").touch()

    def hint(self, call: str = "install_command('anthropic')", **variables: str) -> str:
        code = f"from chatcli.config.installation import *; print({call})"
        found = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
        run = subprocess.run(
            [self.python, "-c", code], env={**found, **variables}, capture_output=True, text=True, check=True
        )
        return run.stdout.rstrip("\n")

    def is_editable_of(self, folder: Path) -> None:
        origin = {"url": folder.as_uri(), "dir_info": {"editable": True}}
        (self.metadata / "direct_url.json").write_text(json.dumps(origin))


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "threadchat")


def test_a_virtual_environment_without_pip_is_filled_by_uv(environment: Environment) -> None:
    assert environment.hint() == f"uv pip install --python {environment.python} 'threadchat[anthropic]'"
    active = environment.hint(VIRTUAL_ENV=str(environment.folder))
    assert active == "uv pip install 'threadchat[anthropic]'"
    added = environment.hint("add_command('some-client>=2')")
    assert added == f"uv pip install --python {environment.python} 'some-client>=2'"


def test_a_checkout_is_installed_again_with_the_extra(environment: Environment) -> None:
    environment.is_editable_of(Path("/my code/chatcli"))
    hint = environment.hint(VIRTUAL_ENV=str(environment.folder))
    assert hint == "uv pip install -e '/my code/chatcli[anthropic]'"
    added = environment.hint("add_command('some-client')", VIRTUAL_ENV=str(environment.folder))
    assert added == "uv pip install some-client"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"url": 1}', '{"url": "file:///x", "dir_info": {}}'])
def test_any_other_origin_is_named_as_installed(environment: Environment, content: str) -> None:
    (environment.metadata / "direct_url.json").write_text(content)
    assert environment.hint(VIRTUAL_ENV=str(environment.folder)) == "uv pip install 'threadchat[anthropic]'"


def test_pipx_puts_it_into_the_environment_of_the_application(environment: Environment) -> None:
    (environment.folder / "pipx_metadata.json").write_text("{}")
    environment.is_editable_of(Path("/my code/chatcli"))
    assert environment.hint() == "pipx inject threadchat 'threadchat[anthropic]'"
    assert environment.hint("add_command('some-client')") == "pipx inject threadchat some-client"


def test_uv_tool_is_asked_again_for_what_it_installed_before(environment: Environment) -> None:
    receipt = environment.folder / "uv-receipt.toml"
    receipt.write_text('[tool]\nrequirements = [{ name = "threadchat" }]\n')
    assert environment.hint() == "uv tool install 'threadchat[anthropic]'"
    assert environment.hint("add_command('some-client')") == "uv tool install threadchat --with some-client"
    own = '{ name = "threadchat", extras = ["local", "anthropic"], directory = "/my code" }'
    others = '{ name = "langmem", specifier = ">=1" }, { name = "mine", editable = "/mine" }'
    receipt.write_text(f"[tool]\nrequirements = [{own}, {others}]\n")
    again = "uv tool install 'threadchat[local,anthropic{}]' --with 'langmem>=1' --with-editable /mine"
    assert environment.hint() == again.format("")
    assert environment.hint("install_command('mcp')") == again.format(",mcp")
    assert environment.hint("add_command('some-client')") == f"{again.format('')} --with some-client"


@pytest.mark.parametrize("receipt", ["", "tool = 1", "[tool]\nrequirements = []", "requirements = ["])
def test_a_receipt_that_names_something_else_does_not_count(environment: Environment, receipt: str) -> None:
    (environment.folder / "uv-receipt.toml").write_text(receipt)
    assert environment.hint(VIRTUAL_ENV=str(environment.folder)) == "uv pip install 'threadchat[anthropic]'"


def test_the_command_for_pip_really_installs_the_extra_where_chatcli_runs(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "my env", with_pip=True)
    hint = environment.hint()
    assert hint == f"{shlex.quote(str(environment.python))} -m pip install 'threadchat[anthropic]'"
    active = {"PATH": f"{environment.python.parent}:{os.environ['PATH']}"}
    assert environment.hint(**active) == "pip install 'threadchat[anthropic]'"
    assert environment.hint("add_command('some-client')", **active) == "pip install some-client"
    environment.is_editable_of(Path("/my code/chatcli"))
    assert environment.hint(**active) == "pip install -e '/my code/chatcli[anthropic]'"

    with ZipFile(tmp_path / "some_client-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("some_client.py", "")
        folder = "some_client-1.0.dist-info"
        wheel.writestr(f"{folder}/METADATA", METADATA.format(name="some-client", requires=""))
        wheel.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{folder}/RECORD", "")
    offline = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": tmp_path.as_uri(), "PIP_CONFIG_FILE": os.devnull}
    subprocess.run(hint, shell=True, env=offline, check=True, capture_output=True)
    assert (environment.packages / "some_client.py").is_file()
    assert Path(sys.prefix) != environment.folder


def test_the_extra_local_is_installed_where_the_program_says_so() -> None:
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    runtimes = [requirement for text in extras["local"] if (requirement := Requirement(text)).name == "xllamacpp"]
    for system, machine in MACHINES:
        environment = {"sys_platform": system, "platform_machine": machine}
        installed = [one for one in runtimes if one.marker is None or one.marker.evaluate(environment)]
        assert bool(installed) is ((system, machine) in LOCAL_MACHINES), (system, machine)
