"""What a helper has imported before anybody asks it."""

import json
import subprocess
import sys

from tests.fakes.openai_server import FakeOpenAI
from tests.helper.conftest import Helped

ALL_BUT_A_FEW = 30
"""Modules that libraries import when they are used, by names that are their own."""
RUN = """
import sys, threading
from chatcli.cli.helper_main import import_all
import_all()
assert threading.active_count() == 1
before = set(sys.modules)
from chatcli.cli.main import run
assert run(["--no-helper", "hello"]) == 0
print(sorted(set(sys.modules) - before))
"""


def test_a_one_shot_has_little_left_to_import(module_home: Helped, server: FakeOpenAI) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        env=module_home.home.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    answer, imported = done.stdout.splitlines()
    assert answer == "You said: hello"
    names = json.loads(imported.replace("'", '"'))
    assert len(names) < ALL_BUT_A_FEW, names
    assert [name for name in names if name.partition(".")[0] in ("langgraph", "chatcli")] == []
