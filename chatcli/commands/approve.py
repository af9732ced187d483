"""The command about what a thread waits for: /approve."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from chatcli.commands.registry import CommandContext, CommandRegistry
from chatcli.errors import UsageError
from chatcli.events import Event
from chatcli.tool_text import is_review


async def approve(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Answer what the thread waits for with ANSWER; without one, approve the tool calls, or show what is asked."""
    pending = await context.conversation.pending(shown=False)
    if not pending:
        raise UsageError("this thread waits for no answer")
    if not arguments and not is_review(pending[0].payload):
        for request in await context.conversation.pending():
            yield request
        return
    async with aclosing(context.conversation.ask_or_answer(arguments or "approve")) as events:
        async for event in events:
            yield event


def register_in(registry: CommandRegistry) -> None:
    """Register this group's commands."""
    registry.register("approve", "[ANSWER]")(approve)
