"""The command `my-agent`."""

from typing import Any

import chatcli


def make_graph() -> Any:
    """Import the graph when it is needed: `my-agent --help` and the shell's completion need none."""
    from .agent import builder

    return builder


main = chatcli.command(make_graph, name="my-agent", help="Talk with my agent.", context={"user": "friend"})
