"""Decides whether a run may go to the helper, before anything else is imported."""

import os
import sys

from chatcli.config.booleans import FALSE
from chatcli.runtime.options import ESCAPED, SUBCOMMANDS, WORD, near_subcommand, split

_ELSEWHERE = {"--help", "-h", "--version", "--interactive", "-i", "--resume", "-r", "--no-helper"}
_ELSEWHERE |= {"--install-completion", "--show-completion"}
_OWN = ("/dev/fd/", "/dev/std", "/proc/self/")


def is_supported() -> bool:
    """Return whether this system has what the helper needs: only Linux does, and a Python that was built for it."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


def may_use_helper(arguments: list[str]) -> bool:
    """Return whether the helper may run `chat ARGUMENTS`; its child checks more."""
    if not is_supported() or os.environ.get("CHATCLI_HELPER", "").lower() in FALSE:
        return False
    parts = list(split(arguments))
    words = [part for part in parts if part[0] in (WORD, ESCAPED)]
    if not _ELSEWHERE.isdisjoint(option for option, _ in parts):
        return False
    if words and words[0][0] == WORD and words[0][1] in SUBCOMMANDS:
        return False
    if words == [(WORD, "-")] and sys.stdin and sys.stdin.isatty():
        return False  # the prompt is typed at this process's terminal
    if any("/dev/" in argument or "/proc/" in argument for argument in arguments):
        return False  # names a descriptor or the terminal of this process
    if any(value.startswith(_OWN) for value in os.environ.values()):
        return False  # names such a descriptor, as in CHATCLI_SCHEMA=<(command)
    try:
        standard = [stream.fileno() if stream else -1 for stream in (sys.stdin, sys.stdout, sys.stderr)] == [0, 1, 2]
        terminals = [number for number in (0, 1, 2) if os.isatty(number)]
        ours = all(os.tcgetpgrp(number) == os.getpgrp() for number in terminals)
    except (OSError, ValueError):
        return False
    if len(terminals) == 3 and words and near_subcommand(str(words[0][1])):
        return False  # the user may be asked whether that is a mistyped sub-command
    return standard and ours and (0 not in terminals or bool(words))
