"""Commands about the model: /model."""

from collections.abc import AsyncIterator

from chatcli.commands.registry import CommandContext, CommandRegistry
from chatcli.events import Event, Notice


async def choose_model(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Let the model NAME answer from now on; without a name, tell who answers."""
    if arguments:
        await context.conversation.use_model(arguments)
    yield Notice(f"model {context.conversation.model_name}")


def register_in(registry: CommandRegistry) -> None:
    """Register this group's commands."""
    registry.register("model", "[NAME]")(choose_model)
