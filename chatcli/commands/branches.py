"""Commands about a thread's branches: /undo, /retry, /edit, /fork, /history, /rewind. None destroys anything."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING

from chatcli.commands.registry import CommandContext, CommandRegistry
from chatcli.conversation.place import granted
from chatcli.errors import UsageError
from chatcli.events import Event, InputPrefilled, Listing, Notice, ThreadChanged
from chatcli.providers import LANGFLOW
from chatcli.thread_ids import check_thread_id, new_thread_id

if TYPE_CHECKING:
    from chatcli.sessions.branches import Turn

NEW_SESSION = (
    "Langflow can't go back: the next question begins a new session there, which knows nothing of what was said before"
)


async def undo(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Go back N turns, one by default; what is left stays in /history."""
    session = await context.conversation.session()
    await session.undo(_number(arguments, default=1))
    yield ThreadChanged(session.thread_id, tuple(await session.history()))
    for notice in _forgetting(context):
        yield notice


async def retry(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Ask the last question again; the answer it had stays in /history."""
    session = await context.conversation.session()
    for notice in _forgetting(context):
        yield notice
    async for event in session.retry():
        yield event


async def edit(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Put the question of N turns ago, by default the last, into the input line; sending it makes a new branch."""
    session = await context.conversation.session()
    questions = [message.text for message in await session.history() if message.role == "user"]
    branch = [turn for turn in await session.turns() if turn.current]
    back = _number(arguments, default=1)
    if not 1 <= back <= min(len(questions), len(branch)):
        raise UsageError(f"there are {len(branch)} questions to edit, not {back}")
    context.conversation.edit(branch[-back])
    for notice in _forgetting(context):
        yield notice
    yield InputPrefilled(questions[-back])


async def fork(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Copy the thread up to here to a new one, NAME if given, and go on there."""
    name = check_thread_id(arguments) if arguments else new_thread_id()
    origin = await context.conversation.session()
    await origin.fork(name)
    await asyncio.to_thread(granted(context.conversation.place, origin.thread_id).copy_to, name)
    messages = await context.conversation.open_thread(name)
    yield ThreadChanged(name, tuple(messages))
    yield Notice(f"forked from {origin.thread_id}")
    for notice in _forgetting(context):
        yield notice


async def show_history(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Show the thread's turns and branches, the current one marked."""
    turns = await (await context.conversation.session()).turns()
    yield Listing("History", ("turn", "question"), tuple(_rows(turns)))


async def rewind(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Go to the end of turn N of /history, on whatever branch; without N, show them."""
    session = await context.conversation.session()
    turns = await session.turns()
    if not arguments:
        yield Listing("Go to which turn? /rewind N", ("turn", "question"), tuple(_rows(turns)))
        return
    number = _number(arguments, default=0)
    chosen = next((turn for turn in turns if turn.number == number), None)
    if chosen is None:
        raise UsageError(f"there is no turn {number}", remedy="See /history.")
    await session.rewind(chosen)
    yield ThreadChanged(session.thread_id, tuple(await session.history()))
    for notice in _forgetting(context):
        yield notice


def _forgetting(context: CommandContext) -> Iterator[Notice]:
    """Yield what has to be said where the model's server can't go back with the thread."""
    if context.conversation.model_name.provider == LANGFLOW:
        yield Notice(NEW_SESSION)


def _rows(turns: "Sequence[Turn]") -> list[tuple[str, str]]:
    """Return the tree's rows: a branch's turns stand below each other, other branches indented behind their fork."""
    here = max((turn.number for turn in turns if turn.current), default=None)
    children: dict[int | None, list[Turn]] = {}
    for turn in turns:
        children.setdefault(turn.parent, []).append(turn)
    rows: list[tuple[str, str]] = []
    pending = [(turn, 0) for turn in _sides_first(children.get(None, []))]
    while pending:
        turn, depth = pending.pop()
        mark = "*" if turn.current else " "
        note = "  <- you are here" if turn.number == here else ""
        rows.append((f"{mark} {turn.number}", f"{'| ' * depth}{turn.title}{note}"))
        following = _sides_first(children.get(turn.number, []))
        # The last to be popped is the branch that goes on at this depth; those beside it are shown before it.
        pending.extend((child, depth + (child is not following[0])) for child in following)
    return rows


def _sides_first(siblings: "Sequence[Turn]") -> "list[Turn]":
    """Order siblings for the stack: the one that continues the branch at its bottom, the others above it."""
    return sorted(siblings, key=lambda turn: (not turn.current, -turn.number))


def _number(text: str, *, default: int) -> int:
    if not text:
        return default
    if not text.isdecimal():
        raise UsageError(f"{text!r} is no number")
    return int(text)


def register_in(registry: CommandRegistry) -> None:
    """Register this group's commands."""
    registry.register("undo", "[N]")(undo)
    registry.register("retry")(retry)
    registry.register("edit", "[N]")(edit)
    registry.register("fork", "[NAME]")(fork)
    registry.register("history")(show_history)
    registry.register("rewind", "[N]")(rewind)
