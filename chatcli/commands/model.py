"""Commands about the model and the messages that it gets: /model, /context, /compact."""

from collections.abc import AsyncIterator

from chatcli.commands.registry import Command, CommandContext
from chatcli.events import Event, Listing, Notice
from chatcli.text_lines import one_line

EXCERPT = 60
"""Characters of a message in a listing."""
_SPEAKERS = {"human": "you", "ai": "model"}


async def choose_model(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Use the model NAME; without NAME, show the current one."""
    if arguments:
        await context.conversation.use_model(arguments)
    yield Notice(f"model {context.conversation.model_name}")


async def show_context(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """List the messages sent with the next question."""
    fitted = await context.conversation.context()
    groups = (("summed up", fitted.summed_up), ("left out", fitted.left_out), ("sent", fitted.messages))
    rows = [
        (state, _SPEAKERS.get(message.type, message.type), one_line(str(message.text), EXCERPT))
        for state, messages in groups
        for message in messages
    ]
    yield Listing("Context", ("", "role", "text"), tuple(rows))
    budget = "no known limit" if fitted.budget is None else f"a budget of {fitted.budget}"
    counts = f"{len(fitted.messages)} messages are sent, {len(fitted.left_out)} left out"
    if fitted.summed_up:
        counts += f", {len(fitted.summed_up)} sent as a summary"
    yield Notice(f"{counts}: about {fitted.tokens} tokens, {budget}")


async def compact(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """From now on send a summary in place of the oldest turns."""
    summary = await context.conversation.compact()
    yield Notice(f"the oldest turns are now sent as this summary; the thread keeps them, see /history:\n{summary}")


COMMANDS = (
    Command("model", "[NAME]", choose_model),
    Command("context", "", show_context),
    Command("compact", "", compact),
)
