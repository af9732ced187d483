"""The built-in tool that runs a shell command; the user approves each call, unless a rule allows it."""

import shutil
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

from langchain_core.tools import StructuredTool, ToolException

from chatcli.tools.run_process import inherited_environment, run_process
from chatcli.tools.tool import Arguments, Tool

_OPERATORS = frozenset(";&|<>$`(){}\n\r\\\0")
"""The characters that can add a second command, another file or other words to a harmless command."""
_BLANK = " \t\r\n"
"""The white space that the shell ignores around a command; Python's `strip` knows more."""
_HARMLESS = frozenset(
    (
        *("ls", "pwd", "echo", "whoami", "id", "groups", "uname", "arch", "nproc", "uptime", "df", "stat"),
        *("basename", "dirname", "realpath", "readlink", "true", "false"),
        *("git status", "git ls-files", "git rev-parse"),
    )
)
"""Commands whose rule may end in `*`: no argument makes them run a program, write, send, or show a file's text.

A command is listed only if every option of it is known to be harmless. `git log`, `git diff` and `git show` write
to any file by `--output=FILE`; `cat`, `head`, `grep`, `git diff --no-index` and, in its errors, `du` show any file,
also one with keys; `sort`, `tree` and `find` have options that write or run something. Every shell, interpreter and
package manager runs commands, and so do `env`, `xargs` or `make`. Users who want such a rule can write it:
`--allow 'run_shell:git log *'`.
"""


def shell_tool(root: Path, seconds: float) -> Tool:
    """Return the tool that runs commands in `root`, each for at most `seconds`."""

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
    """Return whether `command` is a single command, without anything that the shell would read as another."""
    return not _OPERATORS.intersection(command)


def _command(arguments: Arguments) -> str:
    return str(arguments.get("command", "")).strip(_BLANK)


def _matches(command: str, pattern: str) -> bool:
    """Match the whole command; a wildcard matches single commands only: `git *` does not match `git log; rm x`."""
    if pattern in (command, escape(command)):
        return True
    # The space lets `git status *` match `git status` too.
    return is_simple(command) and fnmatchcase(f"{command} ", pattern)


def _suggest(arguments: Arguments) -> str:
    """Return the pattern for the same command with other arguments if that is harmless, else for this command alone."""
    command = _command(arguments)
    words = command.split(" ")
    for known in (words[0], " ".join(words[:2])):
        if known in _HARMLESS and _matches(command, f"{known} *"):
            return f"{known} *"
    return escape(command)  # escaped: a `*` in the command is not a wildcard
