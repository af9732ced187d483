"""One rule of Git, as a pattern of the library `pathspec`."""

import re
import warnings
from contextlib import suppress

from pathspec.patterns.gitignore.base import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

_MAX_RULES = 2000
"""The most rules of one file that are followed: each is tried on each name."""
_MAX_RULE = 1000
"""Characters of the longest rule that is followed."""
_STAR = "[^/]*"
_ANY_FOLDER = "(?P<ps_d>/)"
_ANY_FOLDERS = "(?:/.+)?"
_MAX_ANY_FOLDERS = 2
"""The most `/**/` in a rule that is followed: the time to match grows with the power of their number."""


def parse_rules(text: str) -> list["Rule"]:
    """Return the rules in `text`, those that count most first."""
    rules: list[Rule] = []
    with warnings.catch_warnings():  # `re` warns of odd sets of letters
        warnings.simplefilter("ignore")
        for line in text.split("\n", _MAX_RULES)[:_MAX_RULES]:
            with suppress(GitIgnorePatternError, re.error):  # of no use to Git either
                rules.append(Rule(line.removesuffix("\r")))
    return [rule for rule in reversed(rules) if rule.include is not None]


class Rule(GitIgnoreSpecPattern):
    """A rule of Git for one file or folder, whose parents are known not to be left out.

    It takes linear time: with many `*`, the expressions of the library take exponential time.
    """

    __slots__ = ()

    def matches(self, name: str, *, folder: bool) -> bool:
        """Return whether the rule is about the file, or the `folder`, `name` itself, not only about a parent."""
        assert self.regex is not None
        # The only group of an expression matches the slash after a folder.
        if (match := self.regex.search(name)) and match.lastgroup is None:
            return True
        match = self.regex.search(f"{name}/") if folder else None
        return match is not None and match.lastgroup is not None and match.end() == len(name) + 1

    @classmethod
    def pattern_to_regex(cls, pattern: str) -> tuple[str | None, bool | None]:  # type: ignore[override]
        """Return the expression for `pattern`, and whether it leaves out what it matches; None for no rule."""
        if pattern.endswith("**/"):
            pattern = f"{pattern}*/"  # the library takes it for a rule about the folder itself
        regex, include = super().pattern_to_regex(pattern)
        if regex == _ANY_FOLDER:
            return f"{regex}$", include
        if regex is None or len(pattern) > _MAX_RULE or regex.count(_ANY_FOLDERS) > _MAX_ANY_FOLDERS:
            return None, None
        first, *others = regex.split(_STAR)
        if not others:
            return regex, include
        # The first place where the text after a `*` matches is as good as any later one, if another `*` follows.
        middle = (
            f"{_STAR}{part}" if _ANY_FOLDERS in part else f"(?>{_STAR}?{part})" if part else "" for part in others[:-1]
        )
        return f"{first}{''.join(middle)}{_STAR}{others[-1]}", include
