# What type checkers read in place of the lazy imports of __init__.py.
from chatcli.library import ask, stream
from chatcli.programs import command, run

__version__: str
__all__ = ["ask", "command", "run", "stream"]
