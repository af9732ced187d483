"""Reports a failure: one or two lines on stderr, and an object on stdout for JSON formats."""

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable

from chatcli.config.secrets import redact, secrets_of
from chatcli.errors import AuthError, ChatcliError, InternalError, UsageError
from chatcli.runtime.signals import wanted_format


def report_traceback(failure: ChatcliError, clean: Callable[[str], str]) -> None:
    """Print the traceback of `failure`, for --debug."""
    print(clean("".join(traceback.format_exception(failure))), file=sys.stderr)


def report(failure: ChatcliError, args: list[str]) -> None:
    """Report `failure`, which ended the run of `args` without a renderer."""
    from chatcli.sanitize import sanitize

    failure = _explained(failure)
    # An unexpected error may hold anything; our own messages hold no keys, except in a URL.
    message = _redact(failure.message) if isinstance(failure, InternalError) else redact(failure.message, [])
    if wanted_format(args).startswith("json"):
        error = {"code": failure.code, "message": message, "retryable": failure.retryable}
        print(json.dumps({"thread_id": None, "error": error}))
    print(f"error: {sanitize(message)}", file=sys.stderr)
    if failure.remedy:
        print(sanitize(redact(failure.remedy, [])), file=sys.stderr)
    if "--debug" in args or os.environ.get("CHATCLI_DEBUG"):
        report_traceback(failure, _redact)


def _explained(failure: ChatcliError) -> ChatcliError:
    if not isinstance(failure, AuthError):
        return failure
    from chatcli.config.settings import Settings

    with contextlib.suppress(UsageError):  # the settings themselves are wrong
        return Settings.load().credentials.explain(failure)
    return failure


def _redact(text: str) -> str:
    """Return `text` without the keys that the settings know."""
    from chatcli.config.settings import Settings

    with contextlib.suppress(UsageError):  # a failure of the settings themselves names no values
        return Settings.load().credentials.redact(text)
    return redact(text, secrets_of(os.environ))
