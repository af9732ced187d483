# What type checkers read in place of the lazy imports of __init__.py.
from chatcli.cli.programs import command, run
from chatcli.errors import ChatcliError
from chatcli.events import (
    ApprovalRequested,
    Notice,
    ReasoningDelta,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    TurnFailed,
    TurnFinished,
    TurnInterrupted,
    TurnStarted,
    Usage,
)
from chatcli.library import Answer, StreamEvent, TurnError, ask, stream
from chatcli.runtime.program import SlashCommand

__version__: str
__all__ = [
    "Answer",
    "ApprovalRequested",
    "ChatcliError",
    "Notice",
    "ReasoningDelta",
    "SlashCommand",
    "StreamEvent",
    "TextDelta",
    "ToolCallFinished",
    "ToolCallStarted",
    "TurnError",
    "TurnFailed",
    "TurnFinished",
    "TurnInterrupted",
    "TurnStarted",
    "Usage",
    "ask",
    "command",
    "run",
    "stream",
]
