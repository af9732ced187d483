"""Commands about the model's tools: /tools, /approve."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from chatcli import paths
from chatcli.commands.registry import Command, CommandContext
from chatcli.errors import UsageError
from chatcli.events import Event, Listing, Notice
from chatcli.text_lines import one_line
from chatcli.tool_text import is_review

EXCERPT = 60
"""The most characters of a description in a listing."""


async def show_tools(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """List the tools, and the calls that run without asking."""
    from chatcli.tools.tool import kept_rules

    toolbox = await context.conversation.toolbox()
    if toolbox.empty:
        yield Notice(
            "no tools are switched on: use --tools for the built-in ones, [mcp.NAME] in config.toml for a server's"
        )
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
        *((rule, f"always, in {paths.rules_file()}") for rule in kept_rules()),
    ]
    if toolbox.rules.everything:
        rules.insert(0, ("*", "this run (--yes)"))
    yield Listing("Run without asking", ("rule", "where"), tuple(rules))


def _excerpt(description: str) -> str:
    return one_line(description.strip().partition("\n")[0], EXCERPT)


async def approve(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Answer the pending request; without ANSWER, approve calls."""
    pending = await context.conversation.pending(shown=False)
    if not pending:
        raise UsageError("this thread is not waiting for an answer")
    if not arguments and not is_review(pending[0].payload):
        for request in await context.conversation.pending():
            yield request
        return
    async with aclosing(context.conversation.ask_or_answer(arguments or "approve")) as events:
        async for event in events:
            yield event


COMMANDS = (
    Command("approve", "[ANSWER]", approve),
    Command("tools", "", show_tools),
)
