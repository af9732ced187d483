"""The built-in tool that runs a shell command, which the user approves; and how any tool runs a process."""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

from langchain_core.tools import StructuredTool, ToolException

from chatcli.tools.sandbox.confinement import Sandbox
from chatcli.tools.tool import Arguments, Tool
from chatcli.tools.workspace import ACCESS, KEPT, Access, EditorTerminal, Finished

DRAIN = 0.1
"""Seconds to read the rest of the pipe after the command ends; a process that it left behind may hold the pipe open."""
_INHERITED = frozenset(
    (
        # User, folders and language.
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "TERM", "COLORTERM", "NO_COLOR", "LANG", "LANGUAGE", "TZ"),
        *("TMPDIR", "TMP", "TEMP", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"),
        *("XDG_CONFIG_DIRS", "XDG_DATA_DIRS", "EDITOR", "VISUAL", "PAGER", "MANPATH"),
        # Compilers, interpreters and their libraries.
        *("VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "PYENV_ROOT", "PYENV_VERSION", "PYTHONPATH", "NVM_DIR"),
        *("NODE_PATH", "VOLTA_HOME", "GOPATH", "GOROOT", "GOBIN", "CARGO_HOME", "RUSTUP_HOME", "JAVA_HOME"),
        *("GRADLE_USER_HOME", "ANDROID_HOME", "DOTNET_ROOT", "GEM_HOME", "GEM_PATH", "LD_LIBRARY_PATH"),
        *("DYLD_LIBRARY_PATH", "PKG_CONFIG_PATH", "HOMEBREW_PREFIX", "NIX_PATH", "NIX_PROFILES"),
        # Trusted certificates.
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
        *("NIX_SSL_CERT_FILE", "GIT_SSL_CAINFO", "NO_PROXY", "no_proxy"),
    )
)
_PROXIES = frozenset(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"))
"""Inherited too, unless the address holds a password."""

_OPERATORS = frozenset(";&|<>$`(){}\n\r\\\0")
"""The characters that can add a second command, another file or other words to a harmless command."""
_BLANK = " \t\r\n"
"""The white space that the shell ignores around a command; Python's `strip` knows more."""
_HARMLESS = frozenset(
    (
        *("ls", "pwd", "echo", "whoami", "id", "groups", "uname", "nproc", "uptime", "df", "stat"),
        *("basename", "dirname", "realpath", "readlink", "true", "false"),
    )
)
"""Programs whose rule may end in `*`: no argument makes them run a program, write, send, or show a file's text, and
they read no configuration.

A program is listed only if every option of it is known to be harmless. `git` runs what a folder's `.git/config` names,
even for `git status`, and so do `make`, `npm`, `cargo` and their like with files of their own; `cat`, `head`, `grep`
and, in their errors, `wc`, `du` and `date` show any file, also one with keys; `sort`, `tree` and `find` have options
that write or run something. Every shell, interpreter and package manager runs commands, and so do `env`, `xargs` or,
on macOS, `arch`. Users who want such a rule can write it.
"""


def inherited_environment() -> dict[str, str]:
    """Return the part of this process's environment that a shell or an MCP server gets.

    It is a list of harmless names, since the names of keys can't be listed. Variables that lead to other programs are
    left out: by SSH_AUTH_SOCK a command could log in with the user's SSH keys, by DBUS_SESSION_BUS_ADDRESS
    and XDG_RUNTIME_DIR ask the keyring for every password, by DISPLAY and WAYLAND_DISPLAY read the clipboard. BASH_ENV
    and exported shell functions would run code before the command does.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if (name in _INHERITED or name.startswith("LC_") or (name in _PROXIES and "@" not in value))
        and not value.startswith("()")  # an exported function of old shells
    }


async def run_process(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], seconds: float) -> Finished:
    """Run `command` to its end, or for `seconds`; at the end, its whole process group is killed.

    The command should be leashed, so that it ends with this process. It has no standard input; its standard output and
    error are joined. Raises `OSError` if it can't be started.
    """
    loop = asyncio.get_running_loop()
    transport, output = await loop.subprocess_exec(
        _Output,
        *command,
        cwd=cwd,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    timed_out = False
    try:
        await asyncio.wait_for(output.exited.wait(), seconds)
        await asyncio.wait([asyncio.ensure_future(output.closed.wait())], timeout=DRAIN)
    except TimeoutError:
        timed_out = True
    finally:
        with suppress(ProcessLookupError):  # all of the group have ended
            os.killpg(transport.get_pid(), signal.SIGKILL)
        # A killed process ends at once; the loop must notice that before it is closed, or it writes a warning.
        await asyncio.wait_for(output.exited.wait(), DRAIN * 10)
        transport.close()
    return Finished(output.text(), None if timed_out else transport.get_returncode())


class _Output(asyncio.SubprocessProtocol):
    """Keeps the end of the output of a process."""

    def __init__(self) -> None:
        self.exited = asyncio.Event()
        self.closed = asyncio.Event()
        self._data = bytearray()
        self._dropped = 0

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        assert isinstance(data, bytes)
        self._data += data
        if (excess := len(self._data) - 2 * KEPT) > 0:
            excess += KEPT
            del self._data[:excess]
            self._dropped += excess

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.closed.set()

    def process_exited(self) -> None:
        self.exited.set()

    def text(self) -> str:
        kept = bytes(self._data[-KEPT:])
        dropped = self._dropped + len(self._data) - len(kept)
        note = f"[the first {dropped} bytes are left out]\n" if dropped else ""
        return note + kept.decode("utf-8", "replace")


def shell_tool(sandbox: Sandbox, seconds: float, terminal: EditorTerminal | None = None) -> Tool:
    """Return the tool that runs commands in `sandbox`, for `seconds` at most, in the editor's `terminal` if given."""
    root = sandbox.folder

    async def run(command: Sequence[str]) -> Finished:
        env = inherited_environment()
        if terminal is not None:
            with sandbox.launch(command, ACCESS.get(), leashed=False) as confined:
                if finished := await terminal.run(confined, cwd=root, env=env, seconds=seconds):
                    return finished
        with sandbox.launch(command, ACCESS.get()) as confined:
            return await run_process(confined, cwd=root, env=env, seconds=seconds)

    async def run_shell(command: str, access: Access = "confined") -> str:
        """Run a command in the user's shell, in the current folder, without a keyboard.

        Args:
            command: One line or more for the shell.
            access: Commands may be confined: they write in the current folder only, and have no network. If that is not
                enough, ask the user for "network", or for "outside" of the sandbox.
        """
        shell = shutil.which("bash") or "/bin/sh"
        finished = await run([shell, "-c", command])
        output = finished.output.strip("\n")
        if finished.exit_code is None:
            raise ToolException(f"{output}\n[killed after {seconds:g} seconds]".lstrip())
        if finished.exit_code != 0:
            refused = sandbox.refusals(output, ACCESS.get())
            lines = [*(f"[the sandbox refused {each}]" for each in refused), output]
            raise ToolException("\n".join([*filter(None, lines), f"[exit code {finished.exit_code}]"]))
        return output or "[no output]"

    runnable = StructuredTool.from_function(coroutine=run_shell, parse_docstring=True, handle_tool_error=True)
    return Tool(
        runnable,
        subject=_command,
        matches=_matches,
        suggest=_suggest,
        is_harmless=lambda arguments: sandbox.strength == "full",
        sandbox=sandbox,
    )


def _command(arguments: Arguments) -> str:
    return str(arguments.get("command", "")).strip(_BLANK)


def _matches(command: str, pattern: str) -> bool:
    """Match the whole command; a wildcard matches single commands only: `ls *` does not match `ls x; rm x`."""
    if pattern in (command, escape(command)):
        return True
    # Nothing in it may be read as another command by the shell. The space lets `ls *` match `ls` too.
    return _OPERATORS.isdisjoint(command) and fnmatchcase(f"{command} ", pattern)


def _suggest(arguments: Arguments) -> str:
    """Return the pattern for the same command with other arguments if that is harmless, else for this command alone."""
    command = _command(arguments)
    program = command.split(" ")[0]
    # Where the shell also looks for programs in the current folder, whichever it is, `ls` may be its.
    is_known = all(map(os.path.isabs, os.environ.get("PATH", os.defpath).split(os.pathsep)))
    if program in _HARMLESS and _matches(command, f"{program} *") and is_known:
        return f"{program} *"
    return escape(command)  # escaped: a `*` in the command is not a wildcard
