"""Commands about texts: /copy, /save, /editor."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from chatcli.commands.registry import CommandContext, CommandRegistry
from chatcli.errors import UsageError
from chatcli.events import ClipboardFilled, EditorRequested, Event, SaveRequested

_PAGES = (".md", ".json", ".jsonl", ".html")
_FENCES = ("```", "~~~")


async def copy(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Copy the last answer, the N-th last, or the last block of code."""
    messages = await (await context.conversation.session()).history()
    answers = [message.text for message in messages if message.role == "assistant"]
    if not answers:
        raise UsageError("there is no answer to copy yet")
    if arguments == "code":
        blocks = [block for answer in answers for block in code_blocks(answer)]
        if not blocks:
            raise UsageError("no answer has a block of code")
        yield ClipboardFilled(blocks[-1], "the last block of code")
        return
    back = int(arguments) if arguments.isdecimal() else 1 if not arguments else 0
    if not 1 <= back <= len(answers):
        raise UsageError(f"/copy takes a number from 1 to {len(answers)}, or `code`")
    yield ClipboardFilled(answers[-back], "the answer" if back == 1 else f"the answer {back} from the end")


async def save(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Write the thread to FILE, as its name says: .md, .json, .jsonl or .html."""
    yield SaveRequested(await asyncio.to_thread(_new_file, arguments))


async def write_in_editor(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Write the next question in $VISUAL or $EDITOR, and send it when it is saved."""
    yield EditorRequested(arguments)


def _new_file(name: str) -> Path:
    path = Path(name).expanduser()
    if path.suffix not in _PAGES:
        raise UsageError(f"/save takes a file name that ends in {', '.join(_PAGES)}")
    if path.exists():
        raise UsageError(f"{path} exists", remedy="Name another file.")
    return path


def code_blocks(text: str) -> list[str]:
    """Return the source in each fenced block of `text`; a block that is not closed goes to the end."""
    blocks: list[str] = []
    fence, indent = "", 0
    lines: list[str] = []
    for line in text.split("\n"):
        stripped = line.lstrip()
        if not fence and stripped.startswith(_FENCES):
            fence = stripped[: len(stripped) - len(stripped.lstrip(stripped[0]))]
            indent, lines = len(line) - len(stripped), []
        elif fence and stripped.startswith(fence) and not stripped.strip(fence[0]).strip():
            blocks.append("\n".join(lines))
            fence = ""
        elif fence:
            lines.append(line[indent:] if not line[:indent].strip() else line)
    return [*blocks, "\n".join(lines)] if fence else blocks


def register_in(registry: CommandRegistry) -> None:
    """Register this group's commands."""
    registry.register("copy", "[N|code]")(copy)
    registry.register("save", "FILE")(save)
    registry.register("editor", "[TEXT]")(write_in_editor)
