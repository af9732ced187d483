"""chatcli: chat with language models in a terminal, on threads that last."""

__version__ = "0.1.0"
