"""How a failure is told: one or two lines on stderr, an object on stdout where JSON was asked for."""

import json
import os
import sys
import traceback
from collections.abc import Callable

from chatcli.errors import ChatcliError


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
        report_traceback(failure)


def _wants_json(args: list[str]) -> bool:
    """Tell whether JSON was asked for, even when the command line could not be read as a whole."""
    words = " ".join(args).replace("--format=", "--format ")
    if "--format" in words:
        return "--format json" in words
    return "--json" in args or os.environ.get("CHATCLI_FORMAT", "").startswith("json")
