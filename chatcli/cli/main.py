"""One run of the program: the only place where an error becomes an exit code."""

import errno
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from chatcli.cli.grammar.completion import variable
from chatcli.errors import BadGraphError, ChatcliError, ExitCode, InternalError, UsageError, limit_of, unexpected
from chatcli.runtime.options import read_plain
from chatcli.runtime.program import CHAT, current_program
from chatcli.runtime.signals import ignore_signals, point_at_devnull


def run(args: list[str], options: Mapping[str, Any] = MappingProxyType({})) -> int:
    """Run `chat` with `args` and return the exit code; an error is one or two lines on stderr.

    A program without a command line of its own gives its `options` in place of `args`. Raises `BadGraphError` if that
    program's graph can't be used.
    """
    try:
        return _program(args, options)
    except BadGraphError:
        raise
    except BrokenPipeError:
        point_at_devnull(sys.stdout)  # see SIGPIPE in https://docs.python.org/3/library/signal.html
        return ExitCode.OK
    except ChatcliError as error:
        failure = error
    except OSError as error:
        if error.errno == errno.EIO:  # the terminal is gone; its SIGHUP has stopped the turn
            return ExitCode.INTERRUPTED
        known = _bad_surroundings(error) or limit_of(error)
        if known is None:
            point_at_devnull(sys.stdout)  # Python must not try its buffer again when it exits
        failure = known or InternalError(f"the output can't be written: {error.strerror}")
        failure.__cause__ = error
    except Exception as error:  # noqa: BLE001 - the last resort: a user sees a line, not a traceback
        failure = unexpected(error)
    ignore_signals()
    from chatcli.cli.report import report

    with suppress(OSError):  # then only the exit code reports it
        report(failure, args)
    return failure.exit_code


def _bad_surroundings(error: OSError) -> UsageError | None:
    """Return the error for the user if `error` comes from the current folder or the certificates, else None."""
    try:
        Path.cwd()
    except OSError:
        return UsageError("the current folder does not exist any more", remedy="Change to another folder.")
    certificates = os.environ.get("SSL_CERT_FILE")
    if not certificates:
        return None
    remedy = "Correct or unset SSL_CERT_FILE."
    try:
        Path(certificates).read_bytes()
    except OSError as unreadable:
        return UsageError(f"the certificates in {certificates} can't be read: {unreadable.strerror}", remedy=remedy)
    if type(error).__module__ == "ssl":  # it is not imported for this question
        return UsageError(f"the certificates in {certificates} can't be used: {error.strerror}", remedy=remedy)
    return None


def _program(args: list[str], options: Mapping[str, Any]) -> int:
    read: tuple[Mapping[str, Any], list[str]] | None = options, []
    if args:
        read = read_plain(args) if current_program() is CHAT else None
    if read is None or variable() in os.environ:
        from chatcli.cli.app import run_command_line

        return run_command_line(args)
    # Without Typer, the prompt appears in two thirds of the time.
    from chatcli.cli.load_settings import load_settings
    from chatcli.cli.run.dispatch import start

    given, words = read
    return start(load_settings(given, starts_conversation=not words), words)
