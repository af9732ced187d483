"""How long a test waits for what has to come, wherever it waits."""

import os
import time
from collections.abc import Callable

WAIT_SECONDS = float(os.environ.get("CHATCLI_TEST_WAIT", "120"))
"""A passing test never waits that long: where twenty other processes want each core, all takes ten times its time."""


def wait_until(condition: Callable[[], bool]) -> None:
    """Return as soon as `condition` is true; fail if it does not come true."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"it did not come true within {WAIT_SECONDS} s"
        time.sleep(0.02)
