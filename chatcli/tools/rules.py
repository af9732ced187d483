"""Allow rules: which calls run without approval.

A rule is `TOOL` or `TOOL:PATTERN`. TOOL is a tool's name or `SERVER/NAME`; in both parts `*` matches anything.
"""

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase

from chatcli import paths
from chatcli.errors import StoreError
from chatcli.runtime.parse import read_json
from chatcli.tools.tool import Arguments, Tool


class Rules:
    """The calls that the user allowed beforehand, for this run and permanently.

    Args:
        given: The rules of this run, from the command line, the environment and the config file.
        everything: Whether all calls run without approval in this run.

    """

    def __init__(self, given: Iterable[str] = (), *, everything: bool = False) -> None:
        self.given = tuple(given)
        self.everything = everything

    def allows(self, tool: Tool, arguments: Arguments, more: Iterable[str] = ()) -> bool:
        """Return whether a call of `tool` runs without approval; `more` are the thread's rules."""
        if self.everything or not tool.asks(arguments):
            return True
        return any(_matches(rule, tool, arguments) for rule in (*self.given, *kept_rules(), *more))


def suggest_rule(tool: Tool, arguments: Arguments) -> str:
    """Return the rule for calls like this one."""
    pattern = tool.suggest(arguments)
    return tool.full_name if pattern is None else f"{tool.full_name}:{pattern}"


def kept_rules() -> list[str]:
    """Return the permanent rules, oldest first.

    Raises:
        StoreError: Their file can't be read.

    """
    path = paths.rules_file()
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        rules = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        return [str(read_json(rule)) if rule.startswith('"') else rule for rule in rules]
    except (OSError, ValueError) as error:
        raise StoreError(f"the allow rules in {path} can't be read: {error}") from None


def keep_rule(rule: str) -> None:
    """Keep `rule` permanently, unless it is kept already.

    Raises:
        StoreError: The file can't be written.

    """
    path = paths.rules_file()
    if rule in kept_rules():
        return
    line = rule if rule.isprintable() else json.dumps(rule)  # a command may have several lines
    try:
        paths.private_dir(path.parent)
        with open(path, "a", encoding="utf-8", opener=paths.private_opener) as file:
            file.write(f"{line}\n")
    except OSError as error:
        raise StoreError(f"the rule {rule} can't be kept in {path}: {error}") from None


def _matches(rule: str, tool: Tool, arguments: Arguments) -> bool:
    name, colon, pattern = rule.partition(":")
    if not (fnmatchcase(tool.name, name) or fnmatchcase(tool.full_name, name)):
        return False
    return not colon or pattern == "*" or tool.matches(tool.subject(arguments), pattern)
