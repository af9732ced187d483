"""All slash commands, in the order in which `/help` lists them."""

from chatcli.commands import branches, documents, mcp_prompts, memory, model, screen, state, threads, tree
from chatcli.commands.registry import CommandRegistry


def all_commands() -> CommandRegistry:
    """Return a registry of all commands."""
    groups = (threads, branches, tree, state, model, documents, memory, screen)
    return CommandRegistry((command for group in groups for command in group.COMMANDS), mcp_prompts.find_prompt)
