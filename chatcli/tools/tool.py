"""A tool that a model may call, the policy that decides whether a call must be approved, and the rules of the user."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from glob import escape
from typing import TYPE_CHECKING, Any

from langchain_core.tools import BaseTool

from chatcli import paths
from chatcli.config.settings import ToolMode
from chatcli.errors import StoreError
from chatcli.runtime.parse import read_json
from chatcli.tools.workspace import ACCESSES, Access

if TYPE_CHECKING:
    from chatcli.tools.sandbox.confinement import Sandbox

Arguments = Mapping[str, Any]
CHANGES = "chatcli_changes"
"""The key in the artifact of a tool's result for what the call wrote to files."""
RESERVED = frozenset(
    (
        *("read_file", "list_files", "search_files", "write_file", "edit_file", "fetch_url", "run_shell", "remember"),
        *("search_threads", "search_documents", "read_document", "write_todos"),
    )
)
"""The names of built-in tools, switched on or not, and of what is shown as a plan: no MCP server's tool has one."""
_IN_OWNER = str.maketrans({"%": "%25", "/": "%2F", ":": "%3A"})
"""The characters of a server's name that have a meaning in a rule."""


def _as_json(arguments: Arguments) -> str:
    return json.dumps(arguments, sort_keys=True, ensure_ascii=False, default=str)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool and its policy; the `arguments` of a call come from the model and are untrusted."""

    runnable: BaseTool
    """The tool itself, under the name that the model knows."""
    asks: Callable[[Arguments], bool] = field(default=lambda arguments: True)
    """Returns whether the user must approve a call with these arguments, since it can change or leak something."""
    subject: Callable[[Arguments], str] = _as_json
    """Returns the part of the arguments that the patterns of rules are matched against."""
    matches: Callable[[str, str], bool] = fnmatchcase
    suggest: Callable[[Arguments], str | None] = field(default=lambda arguments: None)
    """Returns the pattern for calls like this one, None for all calls."""
    server: str = ""
    """The name of its MCP server, empty for a built-in tool."""
    served_name: str = ""
    """The name that the server gives it, in the characters that names may have."""
    reads_only: bool = False
    """Whether a call changes nothing."""
    always_asks: bool = False
    """Whether no rule and no --yes lets a call run: the user is asked about each one."""
    changes: bool = False
    """Whether `runnable` returns the change of a file that a call stands for, and does nothing itself. The change
    is shown as a diff, and no rule allows it."""
    is_harmless: Callable[[Arguments], bool] = field(default=lambda arguments: False)
    """Returns whether the mode `auto` lets a confined call run: all that it can change is in the current folder."""
    sandbox: "Sandbox | None" = None
    """What confines the calls of a tool that runs commands. The argument `access` asks for more, and a rule may end in
    such an access."""

    @property
    def name(self) -> str:
        """The name that the model knows."""
        return self.runnable.name

    @property
    def takes_rules(self) -> bool:
        """Whether the user can allow calls beforehand by a rule."""
        return not (self.changes or self.always_asks)

    @property
    def full_name(self) -> str:
        """The name in rules, which no built-in tool and no tool of another server can have."""
        return f"{self.server.translate(_IN_OWNER)}/{self.served_name or self.name}" if self.server else self.name


class Rules:
    """The calls that the user allowed beforehand: permanently, and for this run by rules `given`, and by the `mode`."""

    def __init__(self, given: Iterable[str] = (), mode: ToolMode = "ask") -> None:
        self.given = tuple(given)
        self.mode = mode

    def refuses(self, tool: Tool) -> bool:
        """Return whether no call of `tool` runs, since it could change something."""
        return self.mode == "plan" and not tool.reads_only

    def allows(self, tool: Tool, arguments: Arguments, more: Iterable[str] = ()) -> bool:
        """Return whether a call of `tool` runs without approval; `more` are the thread's rules."""
        return self.access(tool, arguments, more) is not None

    def access(self, tool: Tool, arguments: Arguments, more: Iterable[str] = ()) -> Access | None:
        """Return how far a call of `tool` may reach without approval, None if it needs approval.

        A change of a file needs none only where nothing does, or all harmless calls: a rule can't say what is written.
        """
        asked = asked_access(tool, arguments)
        if tool.always_asks or self.refuses(tool):
            return None
        if self.mode == "yes" or not tool.asks(arguments):
            return asked
        unasked = self.mode == "auto" or (self.mode == "edit" and tool.changes)
        if unasked and asked == "confined" and tool.is_harmless(arguments):
            return asked
        rules = (*self.given, *kept_rules(), *more) if tool.takes_rules else ()
        granted = [_granted(rule, tool, arguments) for rule in rules]
        enough = ACCESSES[ACCESSES.index(asked) :]
        return next((access for access in reversed(enough) if access in granted), None)

    def is_wide(self) -> bool:
        """Return whether any command at all runs without approval."""
        return self.mode == "yes" or any(rule in ("run_shell", "run_shell:*") for rule in (*self.given, *kept_rules()))


def asked_access(tool: Tool, arguments: Arguments) -> Access:
    """Return how far the model wants a call of `tool` to reach."""
    return next((each for each in ACCESSES if tool.sandbox and arguments.get("access") == each), "confined")


def suggest_rule(tool: Tool, arguments: Arguments) -> str:
    """Return the rule for calls like this one."""
    name, pattern, asked = escape(tool.full_name), tool.suggest(arguments), asked_access(tool, arguments)
    if pattern is None:
        return name
    # A command that ends in one of these words would make a rule for another one.
    is_named = tool.sandbox is not None and (asked != "confined" or pattern.rpartition(" ")[2] in ACCESSES)
    return f"{name}:{pattern} {asked}" if is_named else f"{name}:{pattern}"


def kept_rules() -> list[str]:
    """Return the permanent rules, oldest first."""
    path = paths.rules_file()
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        rules = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        return [str(read_json(rule)) if rule.startswith('"') else rule for rule in rules]
    except (OSError, ValueError) as error:
        raise StoreError(f"the allow rules in {path} can't be read: {error}") from None


def keep_rule(rule: str) -> None:
    """Keep `rule` permanently, unless it is kept already."""
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


def _granted(rule: str, tool: Tool, arguments: Arguments) -> Access | None:
    """Return how far `rule` lets a call reach, None if it does not match the call."""
    rest, _, word = rule.rpartition(" ")
    named = next((access for access in ACCESSES if tool.sandbox and access == word), None)
    if named is not None and _matches(rest, tool, arguments):
        return named
    return "confined" if _matches(rule, tool, arguments) else None


def _matches(rule: str, tool: Tool, arguments: Arguments) -> bool:
    name, colon, pattern = rule.partition(":")
    ours, theirs = (each.rpartition("/") for each in (name, tool.full_name))
    # A rule without an owner is for built-in tools: `*` in it stands for no server.
    if ours[1] != theirs[1] or not all(map(fnmatchcase, theirs, ours)):
        return False
    return not colon or pattern == "*" or tool.matches(tool.subject(arguments), pattern)
