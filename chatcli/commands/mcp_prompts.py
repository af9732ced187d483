"""The prompts of MCP servers as slash commands: /SERVER:PROMPT."""

from functools import partial

from chatcli.commands.registry import Command, CommandContext
from chatcli.errors import UsageError
from chatcli.events import Notice
from chatcli.message import MessageShown
from chatcli.sessions.requests import Ask
from chatcli.tools.mcp_resources import ServedPrompt


async def ask_prompt(name: str, context: CommandContext, arguments: str) -> Ask:
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


def find_prompt(name: str) -> Command | None:
    """Return the command that asks the prompt `name`, as `SERVER:PROMPT`; None if it is no such name."""
    return Command(name, "", partial(ask_prompt, name), "Others") if ":" in name else None


def prompt_rows(prompts: list[ServedPrompt]) -> tuple[tuple[str, str], ...]:
    """Return the rows of `/help` for `prompts`."""
    return tuple(
        (f"/{prompt.command} {prompt.usage}".rstrip(), prompt.description or "A prompt of this MCP server")
        for prompt in prompts
    )
