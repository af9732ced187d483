"""Commands about texts and the screen: /copy, /save, /file, /paste, /editor, /help, /plain, /theme, /config, /clear."""

import asyncio
import itertools
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from chatcli.attachments.attachment import Attachment, identify, read_attachment
from chatcli.attachments.clipboard import read_image
from chatcli.commands.mcp_prompts import prompt_rows
from chatcli.commands.registry import Choice, Command, CommandContext, run_chosen
from chatcli.config.settings import THEMES
from chatcli.conversation.effective_settings import Effective, effective_settings, show_settings
from chatcli.errors import ChatcliError, UsageError
from chatcli.events import Listing, Notice
from chatcli.manual import TOPICS, read_page, unfold
from chatcli.message import MessageShown
from chatcli.rendering.display import ClipboardFilled, PlainToggled, ScreenCleared, ThemeChosen
from chatcli.transfer.export import ExportFormat, format_of, thread_lines, write_file

_THEMES = {
    "auto": "by the terminal's background",
    "dark": "for a dark background",
    "light": "for a light background",
    "mono": "no colours",
}
_PAGES = (".md", ".json", ".jsonl", ".html")
_YES = " yes"
"""Follows the name of a file that `/save` may overwrite: a name that ends so has none of the endings of `_PAGES`."""

LINES = (
    ("!COMMAND", "Run COMMAND in your shell, and show its output"),
    ("@PATH", "Attach a file to the question"),
    ("//TEXT", "Ask /TEXT, a question that begins with a slash"),
)
KEYS = (
    ("Enter", "Send"),
    ("Alt-Enter, Ctrl-J", "New line; also Shift-Enter, where the terminal reports it"),
    ("Tab", "Complete a command, its argument, or an @PATH"),
    ("Right, Ctrl-E", "Accept the suggestion"),
    ("Ctrl-R", "Search earlier lines"),
    ("Ctrl-X Ctrl-E", "Write in $VISUAL or $EDITOR, and send"),
    ("Ctrl-X Ctrl-O", "Insert the output of the last !COMMAND"),
    ("Ctrl-C", "Stop the answer; clear the line; leave, if pressed twice"),
    ("Ctrl-D", "Leave, on an empty line"),
    ("Ctrl-Z", "Suspend; fg in the shell resumes"),
)
_BLANK = ("", "")
ALL, _KEYS = "all", "keys"
GROUPS = {
    "Threads": ("new", "threads", "thread", "rename", "recall", "delete"),
    "Answers": ("retry", "continue", "edit", "undo", "fork", "rewind", "tree", "history"),
    "Model": ("model", "role", "system", "set", "context", "compact", "cost", "state"),
    "Files": ("file", "paste", "docs", "copy", "save", "editor"),
    "Tools": ("tools", "approve", "memory"),
    "Screen": ("help", "config", "theme", "plain", "clear", "exit"),
}
"""The commands as `/help` shows them."""
_SHORT = (
    ("!COMMAND", "Run COMMAND in your shell"),
    ("@PATH", "Attach a file to the question"),
    ("Keys", "Enter sends, Alt-Enter: new line, Ctrl-C stops, Ctrl-D leaves"),
    _BLANK,
    ("/help NAME", "One command, or a page of the manual: /help undo, /help models"),
    ("/help all", "Every command with what it does; /help keys: every key"),
)


async def show_help(context: CommandContext, arguments: str) -> None:
    """Show the commands, or the one (or the page) NAME."""
    name = arguments.strip().lower().removeprefix("/")
    command = context.registry.find(name) if name else None
    if command is not None:
        await context.show(Notice(f"/{f'{command.name} {command.usage}'.strip()}: {command.help}"))
    if name in TOPICS or (name not in ("", ALL, _KEYS) and command is None):
        await context.show(MessageShown("assistant", unfold(read_page(name))))
    if command is not None or name in TOPICS:
        return
    if name == _KEYS:
        await context.show(Listing("", ("key", "what it does"), KEYS))
        return
    conversation, prompts = context.conversation, []
    servers = conversation.mcp_servers
    if servers.names and (starting := await servers.starting()):
        await context.show(Notice(f"starting MCP servers: {', '.join(starting)}", passing=True))
    for server in servers.names:
        try:
            prompts += await servers.prompts(server)
        except ChatcliError as error:
            await context.show(Notice(error.message, "warning"))
    offered = tuple(context.registry.offered(conversation))
    table = help_table if name == ALL else help_groups
    await context.show(table(offered, prompt_rows(prompts)))


def help_groups(commands: Iterable[Command], prompts: tuple[tuple[str, str], ...] = ()) -> Listing:
    """Return the names of the `commands` by group, short enough for a small screen, and how to see more."""
    left = {command.name: f"/{command.name}" for command in commands}
    rows = [(title, " ".join(left.pop(name) for name in names if name in left)) for title, names in GROUPS.items()]
    rows.append(("Others", " ".join(left.values())))
    rows.append(("Prompts", " ".join(usage.split()[0] for usage, _ in prompts)))
    shown = tuple(row for row in rows if row[1])
    return Listing("", ("type", "commands"), (*shown, _BLANK, *_SHORT))


def help_table(commands: Iterable[Command], prompts: tuple[tuple[str, str], ...] = ()) -> Listing:
    """Return the table of everything that can be typed: `commands`, `prompts` of servers, other lines and keys."""
    rows = [
        (f"{', '.join(f'/{name}' for name in (command.name, *command.aliases))} {command.usage}".rstrip(), command.help)
        for command in commands
    ]
    if prompts:
        rows += [_BLANK, *prompts]
    return Listing("", ("type", "what it does"), (*rows, _BLANK, *LINES, _BLANK, *KEYS))


async def toggle_plain(context: CommandContext, arguments: str) -> None:
    """Switch Markdown rendering off, or on again."""
    await context.show(PlainToggled())


async def choose_theme(context: CommandContext, arguments: str) -> None:
    """Use the colours of theme NAME; without NAME, pick one."""
    if not arguments:
        current = context.theme or context.settings.theme
        choices = [Choice(name, about, current=name == current) for name, about in _THEMES.items()]
        await run_chosen("theme", context, "theme", choices, Notice(f"themes: {', '.join(THEMES)}"))
        return
    if arguments not in THEMES:
        raise UsageError(f"unknown theme {arguments!r}", remedy=f"Themes: {', '.join(THEMES)}.")
    context.theme = arguments
    await context.show(ThemeChosen(arguments))
    await context.show(Notice(f"theme {arguments}"))


async def show_config(context: CommandContext, arguments: str) -> None:
    """Show the settings that were set, or all, and their sources."""
    if arguments not in ("", ALL):
        raise UsageError(f"/config takes `{ALL}` or nothing")
    found = effective_settings(context.settings)
    here = {"thread": context.conversation.thread_id, "model": str(context.conversation.model_name)}
    changed = {name: Effective(text, "this conversation") for name, text in here.items() if found[name].value != text}
    for event in show_settings(found | changed, f"/config {ALL}", show_all=arguments == ALL):
        await context.show(event)


async def clear_screen(context: CommandContext, arguments: str) -> None:
    """Clear the screen; the thread stays."""
    await context.show(ScreenCleared())


async def leave(context: CommandContext, arguments: str) -> None:
    """Leave."""
    context.leaving = True


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
    await context.show(_attach(context, await asyncio.to_thread(read)))


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
    Command("copy", "[N|code]", copy),
    Command("save", "FILE", save),
    Command("file", "PATH", attach),
    Command("paste", "", paste),
    Command("editor", "[TEXT]", write_in_editor),
    Command("help", "[NAME]", show_help),
    Command("plain", "", toggle_plain),
    Command("theme", "[NAME]", choose_theme),
    Command("config", "[all]", show_config),
    Command("clear", "", clear_screen),
    Command("exit", "", leave, aliases=("quit",)),
)
