"""Commands about the instructions of a thread: /role, /set, /system."""

from collections.abc import AsyncIterator

from chatcli.commands.registry import Command, CommandContext
from chatcli.config.values import parse_variable, parse_variables
from chatcli.events import Event, Notice
from chatcli.roles.role import find_role, role_files
from chatcli.roles.setup import Setup

NO_ROLE = ("none", "off")


async def choose_role(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Use the role NAME, or "none"; without NAME, list the roles."""
    conversation = context.conversation
    setup = await conversation.setup()
    if not arguments:
        yield Notice(f"{_described(setup)}. Roles: {', '.join(role_files())}")
        return
    name, _, variables = arguments.partition(" ")
    if name.lower() in NO_ROLE and name.lower() not in role_files():
        setup = setup.with_system("")
    else:
        setup = setup.with_role(find_role(name), parse_variables(variables))
    await conversation.use_setup(setup)
    yield Notice(_described(setup))


async def set_variable(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Set a variable of the role; without one, show them all."""
    conversation = context.conversation
    setup = await conversation.setup()
    if arguments:
        name, value = parse_variable(arguments)
        setup = setup.with_variables({**setup.variables, name: value})
        await conversation.use_setup(setup)
    yield Notice(_described(setup))


async def set_system(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Set the system prompt; without TEXT, show it."""
    conversation = context.conversation
    setup = await conversation.setup()
    if arguments:
        setup = setup.with_system(arguments)
        await conversation.use_setup(setup)
    yield Notice(f"system prompt: {setup.system}" if setup.system else _described(setup))


def _described(setup: Setup) -> str:
    if not setup.role:
        return "no role" if not setup.system else "no role; the thread has its own system prompt (/system shows it)"
    values = ", ".join(f"{name}={value}" for name, value in setup.variables.items())
    return f"role {setup.role}{f' with {values}' if values else ''}"


COMMANDS = (
    Command("role", "[NAME]", choose_role),
    Command("set", "[KEY=VALUE]", set_variable),
    Command("system", "[TEXT]", set_system),
)
