"""Commands about branches, which delete nothing: /undo, /retry, /continue, /edit, /fork, /history, /rewind."""

import asyncio
from typing import TYPE_CHECKING

from chatcli.commands.registry import Command, CommandContext
from chatcli.commands.tree import find_turn, tree_rows
from chatcli.config.providers import LANGFLOW
from chatcli.config.thread_ids import check_thread_id, new_thread_id
from chatcli.errors import UsageError
from chatcli.events import Listing, Notice
from chatcli.rendering.display import LinesShown, ThreadChanged, diff_lines
from chatcli.sessions.requests import Continue, Retry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatcli.message import MessageShown
    from chatcli.sessions.history import Turn

TAKE_BACK, KEEP = "files", "keep"
"""What follows the number in /undo once the user has decided on the files that were written."""
HERE = "  <- you are here"
_MARKED = "* is on the branch that goes on here"
"""Explains the marks of a list of turns."""
NEW_SESSION = "Langflow can't go back: the next question begins a new session there, without the earlier messages"


async def undo(context: CommandContext, arguments: str) -> None:
    """Go back one turn, or N, and edit its question again."""
    number, _, files = arguments.partition(" ")
    count, session = _number(number, default=1), await context.conversation.session()
    changes, kept = await session.written(count) if files != KEEP else ([], [])
    while changes and (files != TAKE_BACK or changes != session.offered_changes):
        session.offered_changes = changes
        for change in changes:
            await context.show(LinesShown(diff_lines(change.diff())))
        question, line = "Change these files back, too?", f"/undo {count} {TAKE_BACK}"
        agreed = await context.screen.confirm(question, line, by_key=True)
        if agreed is None:
            return
        files = TAKE_BACK if agreed else KEEP
        changes, kept = await session.written(count) if agreed else ([], [])
    questions = _questions(await session.history())
    await session.undo(count)
    left = await session.history()
    await context.show(ThreadChanged(session.thread_id, tuple(left)))
    await _warn_of_langflow(context)
    for change in changes:
        await context.show(Notice(await asyncio.to_thread(change.take_back)))
    for path in kept:
        await context.show(Notice(f"{path} stays as it is: it has changed since, or can't be written", "warning"))
    for question in questions[len(_questions(left)) :][:1]:  # none after an edit of the state
        context.screen.prefill(question, optional=True)


async def retry(context: CommandContext, arguments: str) -> Retry:
    """Ask the last question again; /history keeps its answer."""
    await _warn_of_langflow(context)
    return Retry()


async def go_on(context: CommandContext, arguments: str) -> Continue:
    """Go on where the graph stopped at a breakpoint."""
    return Continue()


async def edit(context: CommandContext, arguments: str) -> None:
    """Edit the last question, or that of N turns ago."""
    session = await context.conversation.session()
    questions = _questions(await session.history())
    branch = [turn for turn in await session.turns() if turn.current]
    back = _number(arguments, default=1)
    if not 1 <= back <= min(len(questions), len(branch)):
        raise UsageError(f"there are {len(branch)} questions to edit, not {back}")
    context.conversation.branching = branch[-back]
    await _warn_of_langflow(context)
    context.screen.prefill(questions[-back])


async def fork(context: CommandContext, arguments: str) -> None:
    """Copy this thread to a new one, NAME, and continue there."""
    name = check_thread_id(arguments) if arguments else new_thread_id()
    origin = await context.conversation.session()
    await origin.fork(name)
    await asyncio.to_thread(context.conversation.backend.grants(origin.thread_id).copy_to, name)
    documents = context.conversation.documents
    messages = await context.conversation.open_thread(name)
    if context.conversation.documents != documents:  # of a thread in memory
        context.conversation.use_documents(documents)
    await context.show(ThreadChanged(name, tuple(messages)))
    await context.show(Notice(f"forked from {origin.thread_id}"))
    await _warn_of_langflow(context)


async def show_history(context: CommandContext, arguments: str) -> None:
    """Show the turns and branches of this thread."""
    turns = await (await context.conversation.session()).turns()
    await context.show(_table(f"History ({_MARKED})", turns) if turns else Notice("this thread has no turns yet"))


async def rewind(context: CommandContext, arguments: str) -> None:
    """Go to the end of turn N in /history, on any branch."""
    session = await context.conversation.session()
    turns = await session.turns()
    if not arguments:
        await context.show(_table(f"Go to which turn? /rewind N ({_MARKED})", turns))
        return
    await session.rewind(find_turn(turns, _number(arguments, default=0)))
    await context.show(ThreadChanged(session.thread_id, tuple(await session.history())))
    await _warn_of_langflow(context)


def _questions(messages: "Sequence[MessageShown]") -> list[str]:
    return [message.text for message in messages if message.role == "user"]


async def _warn_of_langflow(context: CommandContext) -> None:
    """Show a notice if the model's server can't go back with the thread."""
    if context.conversation.model_name.provider == LANGFLOW:
        await context.show(Notice(NEW_SESSION))


def _table(title: str, turns: "Sequence[Turn]") -> Listing:
    rows = (
        (f"{'*' if row.current else ' '} {row.number}", f"{'| ' * row.depth}{row.title}{HERE if row.here else ''}")
        for row in tree_rows(turns)
    )
    return Listing(title, ("turn", "question"), tuple(rows))


def _number(text: str, *, default: int) -> int:
    if not text:
        return default
    if not text.isdecimal():
        raise UsageError(f"{text!r} is not a number")
    return int(text)


COMMANDS = (
    Command("retry", "", retry, "Answers"),
    Command("continue", "", go_on, "Answers", only="graph"),
    Command("edit", "[N]", edit, "Answers", in_editor=False),
    Command("undo", "[N]", undo, "Answers"),
    Command("fork", "[NAME]", fork, "Answers", in_editor=False),
    Command("rewind", "[N]", rewind, "Answers"),
    Command("history", "", show_history, "Answers"),
)
