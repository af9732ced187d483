"""Commands about threads: /new, /thread, /threads, /rename, /delete."""

import asyncio
from collections.abc import Sequence

from chatcli.attachments.attachment import Attachment
from chatcli.commands.registry import Choice, Command, CommandContext, run_chosen
from chatcli.config.providers import LOCAL
from chatcli.config.thread_ids import check_title
from chatcli.conversation.backend import delete_threads
from chatcli.errors import UsageError
from chatcli.events import Notice
from chatcli.rendering.display import ThreadChanged
from chatcli.runtime.program import command
from chatcli.store.recall import FEW_CHARACTERS, MAX_CHARACTERS, recall
from chatcli.store.threads import ThreadSummary
from chatcli.text import format_age


def thread_choices(threads: Sequence[ThreadSummary], text: str = "", current: str = "") -> list[Choice]:
    """Return those `threads` whose ID or title contains `text` to choose from; `current` is marked."""
    choices = []
    for thread in threads:
        if text.casefold() in f"{thread.thread_id} {thread.title}".casefold():
            turns = f"{thread.turns} turn{'' if thread.turns == 1 else 's'}"
            about = f"{thread.title} ({turns}, {format_age(thread.updated_at)}, {thread.model})"
            choices.append(Choice(thread.thread_id, about, current=thread.thread_id == current))
    return choices


async def new_thread(context: CommandContext, arguments: str) -> None:
    """Begin a new thread."""
    await context.show(ThreadChanged(context.conversation.new_thread()))


async def open_thread(context: CommandContext, arguments: str) -> None:
    """Open or create the thread ID; without ID, show this one."""
    if not arguments:
        await context.show(Notice(f"thread {context.conversation.thread_id}"))
        return
    messages = await context.conversation.open_thread(arguments)
    await context.show(ThreadChanged(arguments, tuple(messages)))
    session = await context.conversation.session()
    pending = await session.pending()
    for request in pending:
        await context.show(request)
    if (stopped := await session.stopped_notice()) is not None:
        await context.show(stopped)
    elif not pending and messages and messages[-1].role == "user":
        await context.show(Notice("the last question has no answer; /retry asks it again"))


async def pick_thread(context: CommandContext, arguments: str) -> None:
    """Pick a thread whose ID or title contains TEXT."""
    threads = await context.conversation.threads()
    choices = thread_choices(await asyncio.to_thread(threads.recent), arguments, context.conversation.thread_id)
    if not choices:
        raise UsageError("there is no such thread" if arguments else "there are no threads yet")
    await run_chosen("thread", context, "thread", choices)


async def rename_thread(context: CommandContext, arguments: str) -> None:
    """Give this thread the title TEXT."""
    if not arguments:
        raise UsageError("give a title: /rename TEXT")
    title = check_title(arguments)
    threads = await context.conversation.threads()
    await asyncio.to_thread(threads.rename, context.conversation.thread_id, title)
    await context.show(Notice(f"renamed to {title}"))


async def recall_threads(context: CommandContext, arguments: str) -> None:
    """Send what past threads say about WORDS along; off: don't."""
    conversation = context.conversation
    if not arguments:
        raise UsageError("/recall takes words", remedy="For example: /recall database migration")
    if arguments == "off":
        await context.show(drop_recalled(context))
        return
    if not conversation.takes_recall:
        problem = f"{conversation.model_name} gets nothing of past threads: they stay on this machine"
        remedy = "They are for a model here: leave --url out, or choose one by /model NAME."
        raise UsageError(problem, remedy=remedy)
    size = FEW_CHARACTERS if conversation.model_name.provider == LOCAL else MAX_CHARACTERS
    threads, here = await conversation.threads(), conversation.thread_id
    found = await asyncio.to_thread(recall, threads, arguments, without=here, characters=size)
    if not found.text:
        await context.show(Notice("no other thread has enough of these words"))
        return
    count, tokens = len(found.excerpts), max(len(found.text) // 4, 1)
    told = f"{count} excerpt{'' if count == 1 else 's'} of past threads, about {tokens:,} tokens"
    rows = "".join(f"\n  {line}" for line in found.lines())
    await context.show(Notice(f"sent with the next question: {told}; /recall off drops that{rows}"))
    size = len(found.text.encode(errors="replace"))
    attachment = Attachment(arguments, "recalled", "text/plain", text=found.text, size=size)
    context.waiting = (*context.waiting, attachment)


def drop_recalled(context: CommandContext) -> Notice:
    """Send nothing of past threads with the next question; return the line that says so."""
    left = tuple(each for each in context.waiting if each.kind != "recalled")
    dropped, context.waiting = len(left) < len(context.waiting), left
    return Notice("what was recalled is not sent" if dropped else "nothing recalled is waiting")


async def delete_thread(context: CommandContext, arguments: str) -> None:
    """Delete this thread and all its branches, after a yes."""
    thread_id = context.conversation.thread_id
    if arguments not in ("", "yes"):
        raise UsageError(f"/delete deletes the current thread; another one: {command('threads delete ID')}")
    if not arguments and not await context.screen.confirm(f"Delete thread {thread_id} for ever?", "/delete yes"):
        return
    threads = await context.conversation.threads()
    await asyncio.to_thread(delete_threads, context.conversation.backend, threads, [thread_id])
    await context.show(Notice(f"deleted {thread_id}"))
    await context.show(ThreadChanged(context.conversation.new_thread()))


COMMANDS = (
    Command("new", "", new_thread, "Threads", in_editor=False),
    Command("threads", "[TEXT]", pick_thread, "Threads", in_editor=False),
    Command("thread", "[ID]", open_thread, "Threads", in_editor=False),
    Command("rename", "TEXT", rename_thread, "Threads"),
    Command("recall", "WORDS", recall_threads, "Threads", only="here"),
    Command("delete", "", delete_thread, "Threads", in_editor=False),
)
