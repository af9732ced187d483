"""All slash commands, in the order in which `/help` lists them; a builder's program adds its own: see `chatcli.run`."""

import asyncio
import inspect

from chatcli.commands import branches, documents, files, mcp_prompts, memory, model, screen, state, threads, tree
from chatcli.commands.registry import Command, CommandContext, CommandRegistry
from chatcli.errors import GraphError
from chatcli.message import MessageShown
from chatcli.runtime.program import SlashCommand, current_program


def all_commands() -> CommandRegistry:
    """Return a registry of all commands, with those of the program that runs."""
    groups = (threads, branches, tree, model, state, documents, files, memory, screen)
    own = map(_as_command, current_program().commands)
    ours = (command for group in groups for command in group.COMMANDS)
    return CommandRegistry([*own, *ours], mcp_prompts.find_prompt)


def _as_command(own: SlashCommand) -> Command:
    """Return `own` as a command of the prompt; what its handler raises becomes a GraphError that names the line."""

    async def run(context: CommandContext, arguments: str) -> None:
        state = await (await context.conversation.session()).state_values()
        try:
            made = await asyncio.to_thread(own.handler, arguments, state)
            text = await made if inspect.isawaitable(made) else made
        except Exception as error:
            from chatcli.graphs.user.load import describe  # late: it imports all that loads graphs

            raise GraphError(f"/{own.name} failed: {describe(error)}") from error
        if text:
            await context.show(MessageShown("assistant", text))

    run.__doc__ = own.help
    return Command(own.name, "", run, "Others")
