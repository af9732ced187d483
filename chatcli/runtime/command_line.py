"""The grammar of the command line, for code that runs before Typer is imported; a test compares it with Typer's."""

from collections.abc import Iterator, Sequence

from chatcli.runtime.options import OPTIONS

SUBCOMMANDS = (
    *("threads", "models", "roles", "keys", "config", "trust", "docs", "memory", "usage", "acp", "mcp", "doctor"),
    "help",
)
VALUED = frozenset(flag for option in OPTIONS if option.metavar for flag in option.flags)
"""The options of `chat` that take a value; all others are flags."""
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
