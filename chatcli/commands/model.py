"""Commands about the model: /model."""

from collections.abc import AsyncIterator

from chatcli.commands.registry import Command, CommandContext
from chatcli.events import Event, Notice


async def choose_model(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Use the model NAME; without NAME, show the current one."""
    if arguments:
        await context.conversation.use_model(arguments)
    yield Notice(f"model {context.conversation.model_name}")


COMMANDS = (Command("model", "[NAME]", choose_model),)
