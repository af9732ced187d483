"""A tool that a model may call, with what decides whether a call must be approved."""

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
    """A tool and its policy; `arguments` of a call are the model's own, untrusted.

    Attributes:
        runnable: What runs; its name is what the model knows.
        asks: Tells whether a call with these arguments can change or leak something, so that the user is asked.
        subject: Returns what of the arguments the patterns of rules are matched with.
        matches: Tells whether a pattern matches such a subject.
        suggest: Returns the pattern for calls like this one, None for every call.
        server: The MCP server that has it, empty for a built-in tool.

    """

    runnable: BaseTool
    asks: Callable[[Arguments], bool] = _always
    subject: Callable[[Arguments], str] = _as_json
    matches: Callable[[str, str], bool] = fnmatchcase
    suggest: Callable[[Arguments], str | None] = _whole_tool
    server: str = ""

    @property
    def name(self) -> str:
        """What the model calls it."""
        return self.runnable.name

    @property
    def full_name(self) -> str:
        """The name in rules, which no other server's tool can take."""
        return f"{self.server}/{self.name}" if self.server else self.name
