"""The grammar of the command line, for code that runs before Typer is imported; a test compares it with Typer's."""

from collections.abc import Iterator, Sequence
from typing import Any

from chatcli.runtime.options import OPTIONS

SUBCOMMANDS = (
    *("threads", "models", "roles", "keys", "config", "trust", "docs", "memory", "usage", "acp", "mcp", "doctor"),
    "help",
)
VALUED = frozenset(flag for option in OPTIONS if option.metavar for flag in option.flags)
"""The options of `chat` that take a value; all others are flags."""
_BY_FLAG = {
    flag: (option, flag == first)
    for option in OPTIONS
    for first, *others in (flags.split("/") for flags in option.flags)
    for flag in (first, *others)
}
"""Each flag with its option, and whether it switches that on."""
_MAX_DIGITS = 18
_LIKENESS = 0.75
"""How alike a word and the name that it mistypes are at least: two letters of four are exchanged in `hlep`."""
WORD, ESCAPED = "", "--"
"""Take the place of the option for a word, and for a word after `--`."""


def split(arguments: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield each option of `chat ARGUMENTS` with its value, None for a flag, and each word with WORD or ESCAPED."""
    # Wrong arguments are split as well.
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            yield from ((ESCAPED, word) for word in rest)
        elif argument == "-" or not argument.startswith("-"):
            yield WORD, argument
        elif argument.startswith("--"):
            name, equals, value = argument.partition("=")
            yield name, value if equals else next(rest, None) if name in VALUED else None
        else:
            yield from _split_short(argument, rest)


def read_plain(arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]] | None:
    """Return the settings that `chat ARGUMENTS` gives, by name, and the prompt's words; None if Typer has to read it.

    It has to where there is a sub-command, `-`, an option that is no setting or lacks its value, or an unusual number.
    """
    given: dict[str, Any] = {}
    words: list[str] = []
    for flag, value in split(arguments):
        option, on = _BY_FLAG.get(flag, (None, True))
        if flag in (WORD, ESCAPED):
            words.append(value or "")
            is_first = flag == WORD and len(words) == 1
            if value == "-" or (is_first and (words[0] in SUBCOMMANDS or near_subcommand(words[0]))):
                return None
        elif option is None or "start" in option.scopes or (value is None) == bool(option.metavar):
            return None
        elif option.kind is list:
            given.setdefault(option.name, []).append(value)
        elif option.kind in (int, float) and value is not None:
            digits = value.replace(".", "", 1) if option.kind is float else value
            if not (digits.isascii() and digits.isdecimal() and len(digits) <= _MAX_DIGITS):
                return None
            given[option.name] = option.kind(value)
        else:
            given[option.name] = on if value is None else value
    return None if given.keys() >= {"system", "role"} else (given, words)  # these options exclude each other


def near_subcommand(word: str, names: Sequence[str] = SUBCOMMANDS) -> str:
    """Return the sub-command of `names` that `word` seems to mistype; empty if it is one, or is like none."""
    if word in names or not word.isalpha():
        return ""
    from difflib import get_close_matches  # which few runs need

    return next(iter(get_close_matches(word.lower(), names, n=1, cutoff=_LIKENESS)), "")


def _split_short(argument: str, rest: Iterator[str]) -> Iterator[tuple[str, str | None]]:
    """Yield the options of one letter that `argument` joins, as in `-ci`; the last one may take a value."""
    for index, letter in enumerate(argument[1:], 1):
        name = f"-{letter}"
        if name in VALUED:
            yield name, argument[index + 1 :] or next(rest, None)
            return
        yield name, None
