"""What a helper has imported before anybody asks it."""

import json
import subprocess
import sys

from chatcli.helper.wire import IDLE_VARIABLE
from tests.e2e.program import Home
from tests.fakes.openai_server import FakeOpenAI
from tests.helper.conftest import Helped

ALL_BUT_A_FEW = 30
"""Modules that libraries import when they are used, by names that are their own."""
RUN = """
import sys, threading
from chatcli.cli.helper_main import import_all
from chatcli.runtime.deferred_packages import defer_packages
defer_packages()
import_all()
assert threading.active_count() == 1
from pydantic import BaseModel

def models(base=BaseModel):
    for kind in base.__subclasses__():
        if kind.__pydantic_complete__:
            yield f"{kind.__module__}.{kind.__name__}"
        yield from models(kind)

before, built = set(sys.modules), set(models())
from chatcli.cli.main import run
assert run(["--no-helper", "hello"]) == 0
print(sorted(set(sys.modules) - before))
print(sorted(set(models()) - built))
"""


def test_a_one_shot_has_little_left_to_import_and_no_model_to_build(module_home: Helped, server: FakeOpenAI) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        env=module_home.home.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    answer, imported, built = done.stdout.splitlines()
    assert answer == "You said: hello"
    names = json.loads(imported.replace("'", '"'))
    assert len(names) < ALL_BUT_A_FEW, names
    assert [name for name in names if name.partition(".")[0] in ("langgraph", "chatcli")] == []
    assert built == "[]"


END = """
import atexit
from chatcli.cli.helper_main import main

class Module:
    def __del__(self):
        print("taken apart")

kept = Module()
main()
atexit.register(print, "handled")
"""


def test_it_ends_after_the_exit_handlers_and_takes_nothing_apart(home: Home) -> None:
    env = home.env | {IDLE_VARIABLE: "0.1"}
    done = subprocess.run([sys.executable, "-c", END], env=env, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("handled\n", "")
