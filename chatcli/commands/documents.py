"""The command about the documents that answers are grounded on: /docs."""

import asyncio
from contextlib import suppress
from pathlib import Path

from chatcli.commands.registry import Choice, Command, CommandContext, run_chosen
from chatcli.conversation.conversation import Conversation
from chatcli.documents.find import match_sources, resolve_source, shown_path, text_is_glob
from chatcli.errors import ChatcliError, UsageError
from chatcli.events import Listing, Notice

WORDS = ("add", "remove", "list", "off")


async def change_documents(context: CommandContext, arguments: str) -> None:
    """Pick the documents; add or remove PATH; list; off."""
    conversation = context.conversation
    check_takes_documents(conversation)
    word, _, path = arguments.partition(" ")
    path = path.strip()
    if path.startswith(("'", '"')):  # the quotes of completion, which leaves the second one out after a folder
        path = path[1:].removesuffix(path[0])
    if not arguments and (choices := await asyncio.to_thread(_choices, conversation.documents)):
        await run_chosen("docs", context, "document", choices, _listing(conversation.documents))
    elif word in ("", "list") and not path:
        await context.show(_listing(conversation.documents))
    elif word == "off" and not path:
        conversation.use_documents(())
        await context.show(Notice("this thread has no documents any more"))
    elif word == "add" and path:
        await context.show(await add_documents(conversation, [path]))
    elif word == "remove" and path:
        await context.show(_remove(conversation, path))
    else:
        raise UsageError("/docs takes add PATH, remove PATH, list or off", remedy="For example: /docs add notes/")


def check_takes_documents(conversation: Conversation) -> None:
    """Refuse documents where another program answers."""
    if not conversation.takes_documents:
        remedy = "They are for a model: /model NAME"
        raise UsageError(f"{conversation.model_name} takes no documents: it has its own", remedy=remedy)


async def add_documents(conversation: Conversation, paths: list[str]) -> Notice:
    """Add `paths` to the documents of the current thread, and return what to tell the user."""
    found = await asyncio.to_thread(lambda: [resolve_source(path) for path in paths])
    conversation.use_documents((*conversation.documents, *found))
    return Notice(f"answers now come from {', '.join(map(shown_path, conversation.documents))}; /docs off ends that")


def _remove(conversation: Conversation, path: str) -> Notice:
    gone = match_sources(path, conversation.documents)
    if not gone:
        raise UsageError(f"{path} is none of this thread's documents", remedy="See /docs.")
    conversation.use_documents(source for source in conversation.documents if source not in gone)
    return Notice(f"removed: {', '.join(map(shown_path, gone))}")


def _choices(used: tuple[str, ...]) -> tuple[Choice, ...]:
    """Return the documents to choose from: those `used`, which are left out by it, and the others of the index."""
    from chatcli.documents.index import indexed_sources  # late: few conversations have documents

    indexed: list[str] = []
    with suppress(ChatcliError):  # the next question reports an index that can't be used
        indexed = indexed_sources()
    sources = dict.fromkeys((*used, *indexed))
    return tuple(
        Choice(
            shown_path(source),
            f"{_kind(source)}, used here: Enter leaves it out" if source in used else f"{_kind(source)}, in the index",
            current=source in used,
            argument=f"{'remove' if source in used else 'add'} {source}",
        )
        for source in sources
    )


def _listing(sources: tuple[str, ...]) -> Notice | Listing:
    if not sources:
        return Notice("this thread has no documents; /docs add PATH gives it some")
    return Listing("Documents", ("path", "what"), tuple((shown_path(source), _kind(source)) for source in sources))


def _kind(source: str) -> str:
    if Path(source).is_dir():
        return "folder"
    return "file" if Path(source).exists() else "pattern" if text_is_glob(source) else "missing"


COMMANDS = (Command("docs", "[add PATH]", change_documents, "Files", only="chat"),)
