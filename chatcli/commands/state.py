"""The command about what a graph keeps beside the messages: /state."""

from typing import Any

from chatcli.commands.registry import Command, CommandContext
from chatcli.errors import UsageError
from chatcli.events import Listing, Notice

WATCH = "watch"


async def show_state(context: CommandContext, arguments: str) -> None:
    """Show the graph's state, or set a KEY; watch: its changes."""
    from chatcli.sessions.state import in_full, in_one_line  # imports pydantic, which the engine imports too

    conversation = context.conversation
    key, equals, text = arguments.partition("=")
    if arguments == WATCH:
        conversation.watch_state = not conversation.watch_state
        watched = "shown" if conversation.watch_state else "not shown any more"
        await context.show(Notice(f"the changes of each turn are {watched}"))
        return
    session = await conversation.session()
    if equals:
        key = key.strip()
        value = await session.edit_state(key, text.strip())
        await context.show(Notice(f"{key} is now {in_one_line(value)}; /undo leaves it"))
        return
    state = await session.state()
    if not key:
        await context.show(state_listing(state))
    elif key in state:
        await context.show(Notice(in_full(state[key])))
    else:
        names = await session.state_names()
        if key in names:
            await context.show(Notice(f"{key} has no value yet; it is of the type {names[key]}"))
            return
        raise UsageError(f"the state has no key {key}", remedy=f"It has: {', '.join(names) or 'none'}.")


def state_listing(state: dict[str, Any]) -> Listing | Notice:
    """Return the overview of `state`; long values are cut."""
    from chatcli.sessions.state import in_one_line

    if not state:
        return Notice("the thread has nothing beside its messages")
    return Listing("State", ("key", "value"), tuple((key, in_one_line(value)) for key, value in state.items()))


COMMANDS = (Command("state", "[KEY=JSON]", show_state, "Model"),)
