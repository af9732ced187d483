"""The slash commands that a builder's program adds: see `chatcli.run`."""

import asyncio
import inspect
from collections.abc import AsyncIterator

from chatcli.commands.registry import Command, CommandContext
from chatcli.errors import GraphError
from chatcli.events import Event
from chatcli.graphs.user.load import describe
from chatcli.message import MessageShown
from chatcli.runtime.program import SlashCommand


def as_command(own: SlashCommand) -> Command:
    """Return `own` as a command of the prompt; what its handler raises becomes a GraphError that names the line."""

    async def run(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
        state = await (await context.conversation.session()).state_values()
        try:
            made = await asyncio.to_thread(own.handler, arguments, state)
            text = await made if inspect.isawaitable(made) else made
        except Exception as error:
            raise GraphError(f"/{own.name} failed: {describe(error)}") from error
        if text:
            yield MessageShown("assistant", text)

    run.__doc__ = own.help
    return Command(own.name, "", run)
