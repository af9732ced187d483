"""All slash commands, in the order of `/help`: a program's own (`chatcli.run`), ours, and prompts of MCP servers."""

import asyncio
import inspect
from functools import partial

from chatcli.commands import branches, files, memory, model, screen, threads
from chatcli.commands.registry import Command, CommandContext, CommandRegistry
from chatcli.errors import GraphError, UsageError
from chatcli.events import Notice
from chatcli.message import MessageShown
from chatcli.runtime.program import SlashCommand, current_program
from chatcli.sessions.requests import Ask


def all_commands() -> CommandRegistry:
    """Return a registry of all commands; it finds the prompts of MCP servers as `SERVER:PROMPT`."""
    groups = (threads, branches, model, files, memory, screen)
    own = map(_as_command, current_program().commands)
    ours = (command for group in groups for command in group.COMMANDS)
    return CommandRegistry([*own, *ours], _find_prompt)


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


def _find_prompt(name: str) -> Command | None:
    """Return the command that asks the prompt `name`, as `SERVER:PROMPT`; None if it is no such name."""
    return Command(name, "", partial(_ask_prompt, name), "Others") if ":" in name else None


async def _ask_prompt(name: str, context: CommandContext, arguments: str) -> Ask:
    """Ask what a prompt of an MCP server makes of its arguments; what is sent is shown."""
    conversation = context.conversation
    servers = conversation.mcp_servers
    server, _, prompt_name = name.partition(":")
    if server not in servers.names:
        named = ", ".join(servers.names)
        raise UsageError(f"there is no MCP server {server}", remedy=f"There are: {named}." if named else "")
    if starting := await servers.starting():
        await context.show(Notice(f"starting MCP servers: {', '.join(starting)}", passing=True))
    prompts = {prompt.name: prompt for prompt in await servers.prompts(server)}
    if prompt_name not in prompts:
        named = ", ".join(f"/{prompt.command}" for prompt in prompts.values())
        remedy = f"It has: {named}." if named else ""
        raise UsageError(f"the MCP server {server} has no prompt {prompt_name}", remedy=remedy)
    prompt = prompts[prompt_name]
    text, attachments = await servers.read_prompt(prompt, prompt.read_arguments(arguments))
    await context.show(MessageShown("user", text))
    return Ask(text, attachments)
