"""Commands about how a thread is answered: /role, /set, /system."""

from collections.abc import AsyncIterator

from chatcli.commands.registry import CommandContext, CommandRegistry
from chatcli.config.values import parse_variable, parse_variables
from chatcli.events import Event, Notice
from chatcli.roles.role import find_role, role_files
from chatcli.roles.setup import Setup

NO_ROLE = ("none", "off")


async def choose_role(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Answer in the role NAME from now on; "none" takes it away; without a name, tell the role."""
    conversation = context.conversation
    setup = await conversation.setup()
    if not arguments:
        yield Notice(f"{_described(setup)}. There are: {', '.join(role_files())}")
        return
    name, _, variables = arguments.partition(" ")
    if name.lower() in NO_ROLE and name.lower() not in role_files():
        setup = setup.with_system("")
    else:
        setup = setup.with_role(find_role(name), parse_variables(variables))
    await conversation.use_setup(setup)
    yield Notice(_described(setup))


async def set_variable(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Give a variable of the role another value; without one, tell them all."""
    conversation = context.conversation
    setup = await conversation.setup()
    if arguments:
        name, value = parse_variable(arguments)
        setup = setup.with_variables({**setup.variables, name: value})
        await conversation.use_setup(setup)
    yield Notice(_described(setup))


async def set_system(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Give the thread the system prompt TEXT, in place of a role; without one, tell it."""
    conversation = context.conversation
    setup = await conversation.setup()
    if arguments:
        setup = setup.with_system(arguments)
        await conversation.use_setup(setup)
    yield Notice(f"system prompt: {setup.system}" if setup.system else _described(setup))


def _described(setup: Setup) -> str:
    if not setup.role:
        return "no role" if not setup.system else "no role; the thread has a system prompt of its own (/system)"
    values = ", ".join(f"{name}={value}" for name, value in setup.variables.items())
    return f"role {setup.role}{f' with {values}' if values else ''}"


def register_in(registry: CommandRegistry) -> None:
    """Register this group's commands."""
    registry.register("role", "[NAME]")(choose_role)
    registry.register("set", "[KEY=VALUE]")(set_variable)
    registry.register("system", "[TEXT]")(set_system)
