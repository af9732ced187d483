"""The real weights, fetched once a machine with chatcli's own code and then used by every test."""

import os
from pathlib import Path

import pytest

from chatcli.events import Progress
from chatcli.models.local.fetch import fetch
from chatcli.models.local.weights import Weights

VARIABLE = "CHATCLI_TEST_CACHE"


def cache_folder() -> Path:
    """Return the tests' own cache folder: `CHATCLI_TEST_CACHE`, or one in the user's cache."""
    return Path(os.environ.get(VARIABLE) or Path.home() / ".cache" / "chatcli-tests")


def cached(weights: Weights) -> Path:
    """Return a verified file in the tests' own cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache_folder()))
        return fetch(weights, on_progress=_ignore)


def _ignore(_: Progress) -> None:
    """Tests have no screen."""
