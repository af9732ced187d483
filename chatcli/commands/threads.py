"""Commands about threads: /new, /thread, /threads, /rename, /delete."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from chatcli.commands.registry import Command, CommandContext
from chatcli.conversation.place import granted
from chatcli.errors import UsageError
from chatcli.events import Choice, ChoicesOffered, ConfirmationRequested, Event, Notice, ThreadChanged
from chatcli.runtime.program import command
from chatcli.store.threads import ThreadSummary, delete_threads
from chatcli.text_lines import format_age
from chatcli.thread_ids import check_title


def offer_threads(threads: Sequence[ThreadSummary], text: str = "", current: str = "") -> ChoicesOffered:
    """Return the offer of those `threads` whose ID or title contains `text`; `current` is marked."""
    wanted = text.casefold()
    choices = (
        Choice(thread.thread_id, _description(thread), current=thread.thread_id == current)
        for thread in threads
        if wanted in f"{thread.thread_id} {thread.title}".casefold()
    )
    return ChoicesOffered("thread", "thread", tuple(choices))


def _description(thread: ThreadSummary) -> str:
    turns = f"{thread.turns} turn{'' if thread.turns == 1 else 's'}"
    return f"{thread.title} ({turns}, {format_age(thread.updated_at)}, {thread.model})"


async def new_thread(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Begin a new thread."""
    yield ThreadChanged(context.conversation.new_thread())


async def open_thread(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Open or create the thread ID; without ID, show this one."""
    if not arguments:
        yield Notice(f"thread {context.conversation.thread_id}")
        return
    messages = await context.conversation.open_thread(arguments)
    yield ThreadChanged(arguments, tuple(messages))
    pending = await context.conversation.pending()
    for request in pending:
        yield request
    if (stopped := await context.conversation.stopped_notice()) is not None:
        yield stopped
    elif not pending and messages and messages[-1].role == "user":
        yield Notice("the last question has no answer; /retry asks it again")


async def pick_thread(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Pick a thread whose ID or title contains TEXT."""
    threads = await context.conversation.threads()
    offered = offer_threads(await asyncio.to_thread(threads.recent), arguments, context.conversation.thread_id)
    if not offered.choices:
        raise UsageError("there is no such thread" if arguments else "there are no threads yet")
    yield offered


async def rename_thread(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Give this thread the title TEXT."""
    if not arguments:
        raise UsageError("give a title: /rename TEXT")
    title = check_title(arguments)
    threads = await context.conversation.threads()
    await asyncio.to_thread(threads.rename, context.conversation.thread_id, title)
    yield Notice(f"renamed to {title}")


async def delete_thread(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Delete this thread and all its branches, after a yes."""
    thread_id = context.conversation.thread_id
    if arguments != "yes":
        if arguments:
            raise UsageError(f"/delete deletes the current thread; another one: {command('threads delete ID')}")
        yield ConfirmationRequested(f"Delete thread {thread_id} for ever?", "/delete yes")
        return
    threads = await context.conversation.threads()
    await asyncio.to_thread(delete_threads, threads, [thread_id])
    await asyncio.to_thread(granted(context.conversation.place, thread_id).forget)
    yield Notice(f"deleted {thread_id}")
    yield ThreadChanged(context.conversation.new_thread())


COMMANDS = (
    Command("new", "", new_thread),
    Command("thread", "[ID]", open_thread),
    Command("threads", "[TEXT]", pick_thread),
    Command("rename", "TEXT", rename_thread),
    Command("delete", "", delete_thread),
)
