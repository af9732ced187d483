"""A tool that a model may call, and the policy that decides whether a call must be approved."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from langchain_core.tools import BaseTool

Arguments = Mapping[str, Any]


def _always(arguments: Arguments) -> bool:
    return True


def _as_json(arguments: Arguments) -> str:
    return json.dumps(arguments, sort_keys=True, ensure_ascii=False, default=str)


def _whole_tool(arguments: Arguments) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool and its policy; the `arguments` of a call come from the model and are untrusted.

    Attributes:
        runnable: The tool itself, under the name that the model knows.
        asks: Returns whether the user must approve a call with these arguments, since it can change or leak something.
        subject: Returns the part of the arguments that the patterns of rules are matched against.
        matches: Returns whether such a subject matches a pattern.
        suggest: Returns the pattern for calls like this one, None for all calls.
        server: The name of its MCP server, empty for a built-in tool.

    """

    runnable: BaseTool
    asks: Callable[[Arguments], bool] = _always
    subject: Callable[[Arguments], str] = _as_json
    matches: Callable[[str, str], bool] = fnmatchcase
    suggest: Callable[[Arguments], str | None] = _whole_tool
    server: str = ""

    @property
    def name(self) -> str:
        """The name that the model knows."""
        return self.runnable.name

    @property
    def full_name(self) -> str:
        """The name in rules, which no tool of another server can have."""
        return f"{self.server}/{self.name}" if self.server else self.name
