"""chatcli: chat with language models in a terminal, on threads that last; and this terminal for any LangGraph app.

The names of `__all__` are the whole public face: four functions, what they return and raise, and the events of a turn.
Whatever else can be imported may change at any time.
"""

__version__ = "0.1.0"
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
_MODULES = {
    "command": "cli.programs",
    "run": "cli.programs",
    "ChatcliError": "errors",
    "SlashCommand": "runtime.program",
} | dict.fromkeys(("Answer", "StreamEvent", "TurnError", "ask", "stream"), "library")
"""The modules of the public names; that of the others is `events`."""


def __getattr__(name: str) -> object:
    """Import the library once it is used: the program itself, and who imports it for later, need none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    # No import statement: the modules below, which need the version, do not import the library. Types: __init__.pyi.
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'events')}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
