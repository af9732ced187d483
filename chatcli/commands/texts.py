"""Commands about texts and files: /copy, /save, /file, /editor."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from chatcli.commands.registry import Command, CommandContext
from chatcli.errors import UsageError
from chatcli.events import ClipboardFilled, EditorRequested, Event, FileRequested, SaveRequested

_PAGES = (".md", ".json", ".jsonl", ".html")


async def copy(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
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
        yield ClipboardFilled(blocks[-1], "the last code block")
        return
    back = int(arguments) if arguments.isdecimal() else 1 if not arguments else 0
    if not 1 <= back <= len(answers):
        raise UsageError(f"/copy takes a number from 1 to {len(answers)}, or `code`")
    yield ClipboardFilled(answers[-back], "the answer" if back == 1 else f"the answer {back} from the end")


async def save(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Save this thread as FILE: .md, .json, .jsonl or .html."""
    yield SaveRequested(await asyncio.to_thread(_new_file, arguments))


async def attach(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Attach a file or a URL to the next question."""
    if not arguments:
        raise UsageError("/file takes a path or a URL", remedy="For example: /file notes.txt")
    yield FileRequested(arguments)


async def write_in_editor(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Write a question in $VISUAL or $EDITOR, and send it."""
    yield EditorRequested(arguments)


def _new_file(name: str) -> Path:
    path = Path(name).expanduser()
    if path.suffix not in _PAGES:
        raise UsageError(f"/save takes a file name that ends in {', '.join(_PAGES)}")
    if path.exists():
        raise UsageError(f"{path} exists", remedy="Name another file.")
    return path


COMMANDS = (
    Command("copy", "[N|code]", copy),
    Command("save", "FILE", save),
    Command("file", "PATH", attach),
    Command("editor", "[TEXT]", write_in_editor),
)
