"""The command that answers a pending request: /approve."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from chatcli.commands.registry import Command, CommandContext
from chatcli.errors import UsageError
from chatcli.events import Event
from chatcli.tool_text import is_review


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


COMMANDS = (Command("approve", "[ANSWER]", approve),)
