"""What holds for every failure, whatever it is."""

from tests.conftest import KEY
from tests.e2e.program import Result


def assert_told(result: Result, code: int) -> None:
    """The failure has its exit code and is told in one line, with at most one more of remedy."""
    assert result.returncode == code, result
    lines = result.stderr.splitlines()
    assert 1 <= len(lines) <= 2, result
    assert lines[0].startswith("error: "), result
    assert "Traceback" not in result.stderr + result.stdout, result
    assert KEY not in result.stderr + result.stdout, result
