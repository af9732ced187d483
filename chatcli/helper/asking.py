"""Whether a run is one that the helper is asked for; read before anything else is imported."""

import os
import sys

_OFF = ("0", "false", "f", "no", "n", "off")
_SUBCOMMANDS = ("threads", "models", "roles", "keys", "config", "trust", "doctor")
_ELSEWHERE = {"--help", "-h", "--version", "--interactive", "-i", "--resume", "-r", "--no-helper"}

_OWN = ("/dev/fd/", "/dev/std", "/proc/self/")
_FLAGS = {"--quiet", "-q", "--continue", "-c", "--no-save", "--json", "--plain", "--auto-compact", "--debug"}


def may_ask(arguments: list[str]) -> bool:
    """Tell whether to ask the helper for `chat ARGUMENTS` at all; it looks closer itself."""
    if sys.platform != "linux" or os.environ.get("CHATCLI_HELPER", "").lower() in _OFF:
        return False
    first = arguments[0] if arguments else ""
    if first in _SUBCOMMANDS or not _ELSEWHERE.isdisjoint(arguments):
        return False
    if any("/dev/" in argument or "/proc/" in argument for argument in arguments):
        return False  # a descriptor of this process, or its terminal
    if any(value.startswith(_OWN) for value in os.environ.values()):
        return False  # such a descriptor, as in CHATCLI_SCHEMA=<(command)
    try:
        standard = [stream.fileno() if stream else -1 for stream in (sys.stdin, sys.stdout, sys.stderr)] == [0, 1, 2]
        terminals = [number for number in (0, 1, 2) if os.isatty(number)]
        ours = all(os.tcgetpgrp(number) == os.getpgrp() for number in terminals)
    except (OSError, ValueError):
        return False
    return standard and ours and (0 not in terminals or _has_words(arguments))


def _has_words(arguments: list[str]) -> bool:
    """Tell whether there is a prompt among `arguments`, as far as that can be told without Typer."""
    rest = iter(arguments)
    for argument in rest:
        if argument == "--" or not argument.startswith("-"):
            return argument != "--" or next(rest, None) is not None
        if argument not in _FLAGS and "=" not in argument:
            next(rest, None)  # its value
    return False
