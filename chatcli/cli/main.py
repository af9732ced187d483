"""One run of the program: the only place where an error becomes an exit code."""

import errno
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from chatcli.errors import BadGraphError, ChatcliError, ExitCode, InternalError, UsageError
from chatcli.runtime.program import current_program
from chatcli.runtime.signals import ignore_signals, point_at_devnull
from chatcli.text_lines import one_line

if TYPE_CHECKING:
    import typer
    from typer.core import TyperGroup

NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def run(args: list[str], options: Mapping[str, Any] = NO_OPTIONS) -> int:
    """Run `chat` with `args` and return the exit code; an error is one or two lines on stderr.

    A program without a command line of its own gives its `options` in place of `args`.

    Raises:
        BadGraphError: That program's graph can't be used.

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
        # stdout can't be written: Python must not try its buffer again when it exits.
        point_at_devnull(sys.stdout)
        failure = InternalError(f"the output can't be written: {error.strerror}")
        failure.__cause__ = error
    except Exception as error:  # noqa: BLE001 - the last resort: a user sees a line, not a traceback
        failure = InternalError(
            f"{type(error).__name__}: {error}", remedy="Run again with --debug to see where, and report it."
        )
        failure.__cause__ = error
    ignore_signals()
    from chatcli.cli.report import report

    with suppress(OSError):  # the exit code alone tells it
        report(failure, args)
    return failure.exit_code


def _program(args: list[str], options: Mapping[str, Any]) -> int:
    from chatcli.cli.grammar.completion import variable

    if args or variable() in os.environ:
        return _parsed(args)
    # Nothing to parse: without Typer, the prompt appears in two thirds of the time.
    from chatcli.cli.load_settings import load_settings
    from chatcli.cli.run.dispatch import start

    return start(load_settings(options, starts_conversation=True), [])


def read_command_line(args: list[str], *, resilient: bool = False) -> "typer.Context":
    """Return the context that Typer makes of `chat ARGS`; do nothing yet.

    Args:
        args: The arguments.
        resilient: Whether to print nothing, and to ignore what is wrong.

    Raises:
        typer.TyperException: The arguments are wrong.
        typer.Exit: The arguments ask for help or the version, which was printed.

    """
    # Not `command.main()`, which swallows a broken pipe.
    context = _command().make_context(current_program().name, list(args), resilient_parsing=resilient)
    return cast("typer.Context", context)


def _command() -> "TyperGroup":
    from typer.core import TyperGroup
    from typer.main import get_command

    from chatcli.cli.app import app
    from chatcli.cli.grammar.group import fit_program, spare_pydantic

    spare_pydantic()
    command = get_command(app)
    assert isinstance(command, TyperGroup)
    fit_program(command, current_program())
    return command


def _parsed(args: list[str]) -> int:
    import typer

    from chatcli.cli.grammar.completion import run_completion, variable

    if variable() in os.environ:
        run_completion(_command())
        return ExitCode.OK
    code: int = ExitCode.OK
    try:
        with read_command_line(args) as context:
            context.command.invoke(context)
    except typer.Exit as end:
        code = end.exit_code
    except typer.TyperException as error:
        remedy = f"See `{current_program().name} --help`."
        raise UsageError(one_line(error.format_message()), remedy=remedy) from None
    except typer.Abort:
        return ExitCode.INTERRUPTED
    sys.stdout.flush()
    return code
