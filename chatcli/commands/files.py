"""Commands about files and texts: /file, /paste, /copy, /save, /editor."""

import asyncio
import itertools
from functools import partial
from pathlib import Path

from chatcli.attachments.attachment import Attachment, identify, read_attachment
from chatcli.attachments.clipboard import read_image
from chatcli.commands.registry import Command, CommandContext
from chatcli.errors import ChatcliError, UsageError
from chatcli.events import Notice
from chatcli.rendering.display import ClipboardFilled
from chatcli.transfer.export import ExportFormat, format_of, thread_lines, write_file

_PAGES = (".md", ".json", ".jsonl", ".html")
_YES = " yes"
"""Follows the name of a file that `/save` may overwrite: a name that ends so has none of the endings of `_PAGES`."""


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
    Command("file", "PATH", attach, "Files", in_editor=False),
    Command("paste", "", paste, "Files", in_editor=False),
    Command("copy", "[N|code]", copy, "Files", in_editor=False),
    Command("save", "FILE", save, "Files", in_editor=False),
    Command("editor", "[TEXT]", write_in_editor, "Files", in_editor=False),
)
