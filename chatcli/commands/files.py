"""Commands about files and texts: /docs, /file, /paste, /copy, /save, /editor."""

import asyncio
import itertools
from contextlib import suppress
from functools import partial
from pathlib import Path

from chatcli.attachments.attachment import Attachment, identify, read_attachment
from chatcli.attachments.clipboard import read_image
from chatcli.commands.registry import Choice, Command, CommandContext, run_chosen
from chatcli.conversation.conversation import Conversation
from chatcli.documents.find import match_sources, resolve_source, shown_path, text_is_glob
from chatcli.errors import ChatcliError, UsageError
from chatcli.events import Listing, Notice
from chatcli.rendering.display import ClipboardFilled
from chatcli.transfer.export import ExportFormat, format_of, thread_lines, write_file

_PAGES = (".md", ".json", ".jsonl", ".html")
_YES = " yes"
"""Follows the name of a file that `/save` may overwrite: a name that ends so has none of the endings of `_PAGES`."""


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


async def copy(context: CommandContext, arguments: str) -> None:
    """Copy the last answer, the N-th last, or the last code."""
    messages = await (await context.conversation.session()).history()
    answers = [message.text for message in messages if message.role == "assistant"]
    if not answers:
        raise UsageError("there is no answer to copy yet")
    if arguments == "code":
        from chatcli.rendering.markdown.parser import code_blocks

        blocks = [block for answer in answers for block in code_blocks(answer)]
        if not blocks:
            raise UsageError("no answer has a code block")
        await context.show(ClipboardFilled(blocks[-1], "the last code block"))
        return
    back = int(arguments) if arguments.isdecimal() else 1 if not arguments else 0
    if not 1 <= back <= len(answers):
        raise UsageError(f"/copy takes a number from 1 to {len(answers)}, or `code`")
    which = "the answer" if back == 1 else f"the answer {back} from the end"
    await context.show(ClipboardFilled(answers[-back], which))


async def save(context: CommandContext, arguments: str) -> None:
    """Save this thread as FILE: .md, .json, .jsonl or .html."""
    name = arguments.removesuffix(_YES)
    path, exists = await asyncio.to_thread(_find_page, name)
    overwrites = exists and name == arguments
    if overwrites and not await context.screen.confirm(f"{path} exists. Overwrite it?", f"/save {name}{_YES}"):
        return
    try:
        document = await context.conversation.document()
        await asyncio.to_thread(write_file, path, thread_lines(document, format_of(path) or ExportFormat.MD))
    except (ChatcliError, OSError) as error:
        await context.show(Notice(f"{path} was not written: {error}", "error"))
    else:
        await context.show(Notice(f"saved to {path}"))


async def attach(context: CommandContext, arguments: str) -> None:
    """Attach a file or a URL to the next question."""
    if not arguments:
        raise UsageError("/file takes a path or a URL", remedy="For example: /file notes.txt")
    private, timeout = context.settings.allow_private_urls, context.settings.timeout
    read = partial(read_attachment, arguments, allow_private=private, timeout=timeout)
    await context.show(_attach(context, await context.conversation.read(read)))


async def paste(context: CommandContext, arguments: str) -> None:
    """Attach the image in the clipboard to the next question."""
    media_type, data = await asyncio.to_thread(read_image)
    ending, taken = media_type.removeprefix("image/"), {each.name for each in context.waiting}
    names = (f"pasted{'' if number == 1 else f'-{number}'}.{ending}" for number in itertools.count(1))
    await context.show(_attach(context, identify(next(name for name in names if name not in taken), data)))


def _attach(context: CommandContext, attachment: Attachment) -> Notice:
    """Let `attachment` go along with the next question."""
    context.waiting = (*context.waiting, attachment)
    return Notice(f"{attachment.name} is sent with the next question")


async def write_in_editor(context: CommandContext, arguments: str) -> None:
    """Write a question in $VISUAL or $EDITOR, and send it."""
    context.screen.prefill(arguments, in_editor=True)


def _find_page(name: str) -> tuple[Path, bool]:
    """Return the path of the file `name` and whether it exists, if its ending is one of `_PAGES`."""
    path = Path(name).expanduser()
    if path.suffix not in _PAGES:
        raise UsageError(f"/save takes a file name that ends in {', '.join(_PAGES)}")
    return path, path.exists() and not path.is_dir()


COMMANDS = (
    Command("docs", "[add PATH]", change_documents, "Files", only="chat"),
    Command("file", "PATH", attach, "Files", in_editor=False),
    Command("paste", "", paste, "Files", in_editor=False),
    Command("copy", "[N|code]", copy, "Files", in_editor=False),
    Command("save", "FILE", save, "Files", in_editor=False),
    Command("editor", "[TEXT]", write_in_editor, "Files", in_editor=False),
)
