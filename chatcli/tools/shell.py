"""The built-in tool that runs a shell command; each call is asked about, unless a rule allows it."""

import os
import shutil
from fnmatch import fnmatchcase
from pathlib import Path

from langchain_core.tools import StructuredTool, ToolException

from chatcli.providers import PROVIDERS
from chatcli.tools.process import run_process
from chatcli.tools.tool import Arguments, Tool

_OPERATORS = frozenset(";&|<>$`()\n\r\\")
"""What can make a second command, or another file, of a command that begins harmlessly."""


def shell_tool(root: Path, seconds: float) -> Tool:
    """Return the tool that runs commands in `root`, for `seconds` at most."""

    async def run_shell(command: str) -> str:
        """Run a command in the user's shell, in the current folder, without a keyboard.

        Args:
            command: One line or more for the shell.
        """
        shell = shutil.which("bash") or "/bin/sh"
        finished = await run_process([shell, "-c", command], cwd=root, env=_environment(), seconds=seconds)
        output = finished.output.strip("\n")
        if finished.exit_code is None:
            raise ToolException(f"{output}\n[killed after {seconds:g} seconds]".lstrip())
        if finished.exit_code != 0:
            raise ToolException(f"{output}\n[exit code {finished.exit_code}]".lstrip())
        return output or "[no output]"

    runnable = StructuredTool.from_function(coroutine=run_shell, parse_docstring=True, handle_tool_error=True)
    return Tool(runnable, subject=_command, matches=_matches, suggest=_suggest)


def is_simple(command: str) -> bool:
    """Tell whether `command` is a single one, with no part that the shell would read as another."""
    return not _OPERATORS.intersection(command)


def _command(arguments: Arguments) -> str:
    return str(arguments.get("command", "")).strip()


def _matches(command: str, pattern: str) -> bool:
    """Match a whole command; a pattern with a wildcard is for single commands only: `git *` is no `git log; rm x`."""
    # The space lets `git status *` match `git status` too.
    return command == pattern or (is_simple(command) and fnmatchcase(f"{command} ", pattern))


def _suggest(arguments: Arguments) -> str:
    """Return the pattern for the same command with other arguments: `git log *`, `ls *`."""
    command = _command(arguments)
    if not is_simple(command):
        return command
    words = command.split()
    return " ".join([*words[: 2 if len(words) > 1 and words[1].isalpha() else 1], "*"])


def _environment() -> dict[str, str]:
    """Return the environment without the keys of models, which a command has no need of and might show."""
    keys = {name for provider in PROVIDERS.values() for name in provider.key_variables}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in keys and name.removeprefix("CHATCLI_") not in keys
    }
