"""chatcli: chat with language models in a terminal, on threads that last; and this terminal for any LangGraph app.

The four functions of `__all__` are the whole public face; whatever else can be imported may change at any time.
"""

__version__ = "0.1.0"
__all__ = ["ask", "command", "run", "stream"]


def __getattr__(name: str) -> object:
    """Import the library once it is used: the program itself, and who imports it for later, need none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    # No import statement: the modules below, which need the version, do not import the library. Types: __init__.pyi.
    module = "cli.programs" if name in ("command", "run") else "library"
    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
