"""How a failure is told: one or two lines on stderr, an object on stdout where JSON was asked for."""

import contextlib
import json
import os
import re
import sys
import traceback
from collections.abc import Callable

from chatcli.errors import ChatcliError, UsageError

_PASSWORD = re.compile(r"(?<=://)([^/@\s]*):[^/@\s]+(?=@)")


def mask_passwords(text: str) -> str:
    """Return `text` with the password of every URL in it replaced by `***`."""
    return _PASSWORD.sub(r"\1:***", text)


def report_traceback(failure: ChatcliError, redact: Callable[[str], str] = str) -> None:
    """Show where `failure` came from, as --debug promises."""
    print(redact("".join(traceback.format_exception(failure))), file=sys.stderr)


def report(failure: ChatcliError, args: list[str]) -> None:
    """Tell of `failure`, which ended the run of `args` before a renderer could."""
    from chatcli.rendering.sanitize import sanitize

    if _wants_json(args):
        error = {"code": failure.code, "message": failure.message, "retryable": failure.retryable}
        print(json.dumps({"thread_id": None, "error": error}))
    print(f"error: {sanitize(failure.message)}", file=sys.stderr)
    if failure.remedy:
        print(sanitize(failure.remedy), file=sys.stderr)
    if "--debug" in args or os.environ.get("CHATCLI_DEBUG"):
        report_traceback(failure, _redact)


def _redact(text: str) -> str:
    """Return `text` without the keys that the settings know, as far as there are any."""
    from chatcli.settings import Settings

    with contextlib.suppress(UsageError):  # a failure of the settings themselves names no values
        text = Settings.load().redact(text)
    return mask_passwords(text)


def _wants_json(args: list[str]) -> bool:
    """Tell whether JSON was asked for, even when the command line could not be read as a whole."""
    words = " ".join(args).replace("--format=", "--format ")
    if "--format" in words:
        return "--format json" in words
    return "--json" in args or os.environ.get("CHATCLI_FORMAT", "").startswith("json")
