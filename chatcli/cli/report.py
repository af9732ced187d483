"""Reports a failure: one or two lines on stderr, and an object on stdout for JSON formats."""

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from chatcli.config.secrets import redact, secrets_of
from chatcli.errors import AuthError, ChatcliError, InternalError, UsageError
from chatcli.runtime.signals import wanted_format
from chatcli.sanitize import sanitize
from chatcli.text import tell

if TYPE_CHECKING:
    from chatcli.config.credentials import Credentials

MAX_TRACE_REASON_LENGTH = 300
"""Characters of LangSmith's own message that are shown."""


def report_traceback(failure: ChatcliError, clean: Callable[[str], str]) -> None:
    """Print the traceback of `failure`, for --debug."""
    print(clean("".join(traceback.format_exception(failure))), file=sys.stderr)


def report(failure: ChatcliError, args: list[str]) -> None:
    """Report `failure`, which ended the run of `args` without a renderer."""
    if isinstance(failure, AuthError):
        with contextlib.suppress(UsageError):  # the settings themselves are wrong
            failure = _load_credentials().explain(failure)
    # An unexpected error may hold anything; our own messages hold no keys, except in a URL.
    message = _redact(failure.message) if isinstance(failure, InternalError) else redact(failure.message, [])
    if wanted_format(args).startswith("json"):
        error = {"code": failure.code, "message": message, "retryable": failure.retryable}
        print(json.dumps({"thread_id": None, "error": error}))
    tell(f"error: {sanitize(message)}")
    if failure.remedy:
        tell(sanitize(redact(failure.remedy, [])))
    if "--debug" in args or os.environ.get("CHATCLI_DEBUG"):
        report_traceback(failure, _redact)


def _redact(text: str) -> str:
    """Return `text` without the keys that the settings know."""
    with contextlib.suppress(UsageError):  # a failure of the settings themselves names no values
        return _load_credentials().redact(text)
    return redact(text, secrets_of(os.environ))


def _load_credentials() -> "Credentials":
    from chatcli.config.settings import Settings  # late: a wrong option is reported without it

    return Settings.load().credentials


def report_incomplete_trace(reason: str) -> None:
    """Print on stderr that LangSmith did not take the whole trace, and why."""
    shown = sanitize(redact(reason, secrets_of(os.environ))[:MAX_TRACE_REASON_LENGTH])
    sys.stderr.write(f"LangSmith did not take the whole trace: {shown}\n")
