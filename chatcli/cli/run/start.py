"""Starts a command line without a sub-command: a one-shot or the REPL."""

import sys

from chatcli.config.settings import Settings
from chatcli.errors import ExitCode, UsageError


def start(
    settings: Settings,
    words: list[str],
    *,
    from_stdin: bool = False,
    continue_: bool = False,
    resume: bool = False,
    interactive: bool = False,
) -> ExitCode:
    """Ask the prompt `words`, or start a conversation; return the exit code.

    Args:
        settings: The user's choices.
        words: The prompt as it stands on the command line.
        from_stdin: Whether `-` stands in its place: the prompt is read from standard input, even from a terminal.
        continue_: Whether to continue the thread used last.
        resume: Whether the user chooses a thread first.
        interactive: Whether to stay in the conversation after the answer.

    Raises:
        ChatcliError: The command line contradicts itself, or something can't be read.

    """
    from chatcli.cli.run.dispatch import converse
    from chatcli.cli.run.request import read_request

    request = read_request(settings, words, from_stdin=from_stdin)
    stay = interactive or resume or not (request.prompt or request.script or request.answer is not None)
    if stay and request.script:
        raise UsageError("a script does not stay in the conversation", remedy="Leave out --interactive and --resume.")
    if stay and not sys.stdout.isatty():
        raise UsageError("a conversation needs a terminal", remedy='For a pipe, give a prompt: chat "your question"')
    code = converse(settings, request, stay=stay, continue_=continue_, resume=resume)
    if not stay and code is ExitCode.OK:
        _start_helper(settings)
    return code


def _start_helper(settings: Settings) -> None:
    """Start the helper, if it could have run this."""
    from chatcli.cli.run.helper_fit import fits_helper
    from chatcli.helper.spawn import spawn_helper

    if fits_helper(settings):
        spawn_helper()
