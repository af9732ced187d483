"""Commands about what the model may do: /tools."""

from collections.abc import AsyncIterator

from chatcli import paths
from chatcli.commands.registry import CommandContext, CommandRegistry
from chatcli.events import Event, Listing, Notice

EXCERPT = 60
"""Characters of a description in a listing."""


async def show_tools(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """List the tools that the model may use, and the calls that run without asking you."""
    from chatcli.tools.rules import kept_rules

    toolbox = await context.conversation.toolbox()
    if toolbox.empty:
        yield Notice("no tools are switched on: --tools has built-in ones, [mcp.NAME] in config.toml those of a server")
        return
    if toolbox.starting:
        yield Notice(f"starting MCP servers: {', '.join(toolbox.starting)}", passing=True)
    tools = await toolbox.open(lambda line: None)
    rows = tuple((tool.name, tool.server or "built in", _excerpt(tool.runnable.description)) for tool in tools.values())
    yield Listing("Tools", ("tool", "from", "does"), rows)
    for problem in toolbox.problems():
        yield Notice(problem, "warning")
    rules = [
        *((rule, "this run") for rule in toolbox.rules.given),
        *((rule, "this thread") for rule in await context.conversation.allowed()),
        *((rule, f"for good, in {paths.rules_file()}") for rule in kept_rules()),
    ]
    if toolbox.rules.everything:
        rules.insert(0, ("*", "this run (--yes)"))
    yield Listing("Run without asking", ("rule", "where"), tuple(rules))


def _excerpt(description: str) -> str:
    line = next(iter(description.strip().splitlines()), "")
    return line if len(line) <= EXCERPT else f"{line[: EXCERPT - 3]}..."


def register_in(registry: CommandRegistry) -> None:
    """Register this group's commands."""
    registry.register("tools")(show_tools)
