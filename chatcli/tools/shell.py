"""The built-in tool that runs a shell command; each call is asked about, unless a rule allows it."""

import shutil
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

from langchain_core.tools import StructuredTool, ToolException

from chatcli.tools.run_process import inherited_environment, run_process
from chatcli.tools.tool import Arguments, Tool

_OPERATORS = frozenset(";&|<>$`(){}\n\r\\\0")
"""What can make a second command, another file or other words of a command that begins harmlessly."""
_BLANK = " \t\r\n"
"""What the shell takes no notice of around a command; Python's own list is longer."""
_HARMLESS = frozenset(
    (
        *("ls", "pwd", "echo", "whoami", "id", "groups", "uname", "arch", "nproc", "uptime", "df", "stat"),
        *("basename", "dirname", "realpath", "readlink", "true", "false"),
        *("git status", "git ls-files", "git rev-parse"),
    )
)
"""Commands that can be offered with any arguments: none makes them run a program, write, send, or show a file's text.

So a name is missing here unless every option of it is known to be harmless. `git log`, `git diff` and `git show` write
to any file by `--output=FILE`; `cat`, `head`, `grep`, `git diff --no-index` and, in its errors, `du` show any file,
also one with keys; `sort`, `tree` and `find` write or run by an option. Every shell, interpreter and package manager
runs commands, and so do `env`, `xargs` or `make`. Whoever wants such a rule can write it: `--allow
'run_shell:git log *'`.
"""


def shell_tool(root: Path, seconds: float) -> Tool:
    """Return the tool that runs commands in `root`, for `seconds` at most."""

    async def run_shell(command: str) -> str:
        """Run a command in the user's shell, in the current folder, without a keyboard.

        Args:
            command: One line or more for the shell.
        """
        shell = shutil.which("bash") or "/bin/sh"
        finished = await run_process([shell, "-c", command], cwd=root, env=inherited_environment(), seconds=seconds)
        output = finished.output.strip("\n")
        if finished.exit_code is None:
            raise ToolException(f"{output}\n[killed after {seconds:g} seconds]".lstrip())
        if finished.exit_code != 0:
            raise ToolException(f"{output}\n[exit code {finished.exit_code}]".lstrip())
        return output or "[no output]"

    runnable = StructuredTool.from_function(coroutine=run_shell, parse_docstring=True, handle_tool_error=True)
    return Tool(runnable, subject=_command, matches=_matches, suggest=_suggest)


def is_simple(command: str) -> bool:
    """Return whether `command` is a single one, with no part that the shell would read as another."""
    return not _OPERATORS.intersection(command)


def _command(arguments: Arguments) -> str:
    return str(arguments.get("command", "")).strip(_BLANK)


def _matches(command: str, pattern: str) -> bool:
    """Match a whole command; a pattern with a wildcard is for single commands only: `git *` is no `git log; rm x`."""
    if pattern in (command, escape(command)):
        return True
    # The space lets `git status *` match `git status` too.
    return is_simple(command) and fnmatchcase(f"{command} ", pattern)


def _suggest(arguments: Arguments) -> str:
    """Return the pattern for the same command with other arguments where that is harmless, else for it alone."""
    command = _command(arguments)
    words = command.split(" ")
    for known in (words[0], " ".join(words[:2])):
        if known in _HARMLESS and _matches(command, f"{known} *"):
            return f"{known} *"
    return escape(command)  # a `*` in it is the command's, not the rule's
