"""Runs a line that names a command."""

from collections.abc import AsyncIterator

from chatcli.commands.registry import CommandContext, ParsedCommand
from chatcli.errors import MissingKeyError
from chatcli.events import Event, KeyRequested, Notice
from chatcli.store.errors import as_failure


async def run_command(parsed: ParsedCommand, context: CommandContext) -> AsyncIterator[Event]:
    """Yield the events of the command `parsed`; what the user did wrong is a notice, never an exception."""
    command = context.registry.find(parsed.name)
    if command is None:
        nearest = context.registry.nearest(parsed.name)
        hint = f"Did you mean /{nearest}?" if nearest else "See /help."
        yield Notice(f"unknown command /{parsed.name}. {hint} (// at the beginning sends it as text)", "error")
        return
    context.conversation.cancel_edit()
    try:
        async for event in command.handler(context, parsed.arguments):
            yield event
    except MissingKeyError as error:
        yield KeyRequested(error.provider, f"/{parsed.name} {parsed.arguments}".rstrip())
    except ValueError as error:
        yield Notice(f"{error}", "error")
    except Exception as error:  # noqa: BLE001 - no command may end the conversation
        failure = as_failure(error)
        yield Notice(f"{failure.message}. {failure.remedy}".rstrip(), "error")
