"""A failure that ends a run: its lines, its object, and no key in either."""

import json
from pathlib import Path

import pytest

from chatcli.cli.report import MAX_TRACE_REASON_LENGTH, report, report_incomplete_trace
from chatcli.errors import AuthError, ChatcliError, InternalError, NetworkError, StoreError, UsageError

KEY = "sk-test-5fe2c0b49d7a41e8"
URLS = "postgresql://me:hunter2@db/chat and https://hunter2@host/v1?api_key=hunter2&x=1"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch, own_folders: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.mark.parametrize("args", [["--format", "json"], ["--json"], ["--format", "json-lines"], []])
@pytest.mark.parametrize("failure", [StoreError, UsageError, InternalError])
def test_no_password_of_a_url_is_printed(
    failure: type[ChatcliError], args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    report(failure(f"can't open {URLS}", remedy=f"Start {URLS}"), [*args, "--debug"])
    out, err = capsys.readouterr()
    assert "hunter2" not in out + err
    assert "Traceback" not in out
    shown = "can't open postgresql://me:***@db/chat and https://***@host/v1?api_key=***&x=1"
    assert err.startswith(f"error: {shown}\nStart postgresql://me:***@db")
    assert f"{failure.__name__}: can't open" in err  # for --debug
    if args:
        expected = {"code": failure.code, "message": shown, "retryable": False}
        assert json.loads(out) == {"thread_id": None, "error": expected}
    else:
        assert out == ""


def test_a_failure_of_our_own_holds_no_key(capsys: pytest.CaptureFixture[str]) -> None:
    report(InternalError(f"KeyError: {KEY}\x1b[31m"), ["--json"])
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["message"] == "KeyError: ***\x1b[31m"
    assert err == "error: KeyError: ***\n"


def test_a_failure_is_two_lines_at_most_and_retryable_or_not(capsys: pytest.CaptureFixture[str]) -> None:
    report(NetworkError("no route", remedy="Try again."), ["--json"])
    out, err = capsys.readouterr()
    assert err == "error: no route\nTry again.\n"
    assert json.loads(out)["error"]["retryable"] is True
    report(AuthError("no key"), [])
    assert capsys.readouterr() == ("", "error: no key\n")


def test_debug_may_be_switched_on_by_its_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    report(UsageError("wrong"), [])
    assert "UsageError" not in capsys.readouterr().err
    monkeypatch.setenv("CHATCLI_DEBUG", "1")
    report(UsageError("wrong"), [])
    assert "UsageError: wrong" in capsys.readouterr().err


def test_the_reason_of_an_incomplete_trace_is_short_and_clean(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGSMITH_API_KEY", KEY)
    report_incomplete_trace(f"{KEY}\x1b[2J{'x' * 500}")
    line = capsys.readouterr().err
    assert line.startswith("LangSmith did not take the whole trace: ***x")
    assert line.count("x") <= MAX_TRACE_REASON_LENGTH
