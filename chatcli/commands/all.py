"""Every command, in the order in which `/help` shows them."""

from chatcli.commands import approve as approval
from chatcli.commands import branches, context, model, roles, screen, texts, threads, tools
from chatcli.commands.registry import CommandRegistry


def all_commands() -> CommandRegistry:
    """Return a registry of every command."""
    registry = CommandRegistry()
    groups = (
        ("Threads", threads),
        ("Branches", branches),
        ("Approval", approval),
        ("Model", model),
        ("Roles", roles),
        ("Context", context),
        ("Tools", tools),
        ("Texts", texts),
        ("Screen", screen),
    )
    for name, group in groups:
        registry.begin_group(name)
        group.register_in(registry)
    return registry
