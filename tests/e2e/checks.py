"""What holds for every failure and every stream of events, whatever they are of."""

import re
from typing import Any

from jsonschema import Draft202012Validator

from chatcli.cli.schemas import read_schema
from tests.conftest import KEY
from tests.e2e.program import Result


def assert_reported(result: Result, code: int) -> None:
    """The failure has its exit code and is reported in one line, with at most one more of remedy."""
    assert result.returncode == code, result
    lines = result.stderr.splitlines()
    assert 1 <= len(lines) <= 2, result
    assert lines[0].startswith("error: "), result
    assert "Traceback" not in result.stderr + result.stdout, result
    assert KEY not in result.stderr + result.stdout, result


def valid(name: str, value: Any) -> None:
    """The value follows the shipped schema `name`."""
    Draft202012Validator(read_schema(name)).validate(value)


def valid_events(events: list[dict[str, Any]]) -> None:
    """Every event of a turn follows the schema, and the last one alone ends it."""
    for event in events:
        valid("event", event)
    ends = [event["type"] in ("turn_finished", "turn_interrupted", "turn_failed") for event in events]
    assert ends == [False] * (len(events) - 1) + [True], events


_FENCE = re.compile(r"^([0-9a-f]{16}) (<(file|stdin)\b[^>\n]*>\n(?:.*\n)*?)\1 (</\3>)$", re.MULTILINE)


def unfenced(text: str) -> str:
    """Return `text` without the markers of its fences; each fence has its own, which its text does not hold."""
    markers = [match[1] for match in _FENCE.finditer(text)]
    assert len(set(markers)) == len(markers)
    plain = _FENCE.sub(r"\2\4", text)
    assert not any(marker in plain for marker in markers), text
    return plain
