"""All slash commands, in the order in which `/help` lists them."""

from chatcli.commands import branches, builders, documents, mcp_prompts, memory, model, screen, state, threads, tree
from chatcli.commands.registry import CommandRegistry
from chatcli.runtime.program import current_program


def all_commands() -> CommandRegistry:
    """Return a registry of all commands, with those of the program that runs."""
    groups = (threads, branches, tree, state, model, documents, memory, screen)
    own = map(builders.as_command, current_program().commands)
    return CommandRegistry(
        [*own, *(command for group in groups for command in group.COMMANDS)], mcp_prompts.find_prompt
    )
