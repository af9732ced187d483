# What type checkers read in place of the lazy imports of __init__.py.
from chatcli.cli.programs import command, run
from chatcli.library import ask, stream

__version__: str
__all__ = ["ask", "command", "run", "stream"]
