"""How who answers is named where there is little room."""

from chatcli.sanitize import sanitize_line


def short_name(model: str) -> str:
    """Return the name of a model as it is, and that of a graph without its folder: `graph:agent.py:agent`."""
    kind, colon, name = model.partition(":")
    return sanitize_line(f"{kind}:{name.rpartition('/')[2]}" if colon and kind == "graph" else model)
