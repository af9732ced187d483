"""Commands about the screen: /help, /plain, /theme, /config, /clear, /exit."""

from collections.abc import AsyncIterator

from chatcli.commands.registry import Command, CommandContext, CommandRegistry
from chatcli.config.settings import THEMES
from chatcli.conversation.effective_settings import Effective, effective_settings
from chatcli.errors import UsageError
from chatcli.events import Event, ExitRequested, Listing, Notice, PlainToggled, ScreenCleared, ThemeChosen
from chatcli.manual import read_page, unfold
from chatcli.message import MessageShown

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


async def show_help(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Show these commands and keys, or a page of the manual."""
    if arguments:
        yield MessageShown("assistant", unfold(read_page(arguments)))
    else:
        yield help_table(context.registry)


def help_table(registry: CommandRegistry) -> Listing:
    """Return the table of all that can be typed: commands, other lines and keys."""
    commands = [
        (f"{', '.join(f'/{name}' for name in (command.name, *command.aliases))} {command.usage}".rstrip(), command.help)
        for command in registry
    ]
    return Listing("", ("type", "what it does"), (*commands, _BLANK, *LINES, _BLANK, *KEYS))


async def toggle_plain(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Switch Markdown rendering off, or on again."""
    yield PlainToggled()


async def choose_theme(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Use the colours of theme NAME; without NAME, list them."""
    if not arguments:
        yield Notice(f"themes: {', '.join(THEMES)}")
        return
    if arguments not in THEMES:
        raise UsageError(f"unknown theme {arguments!r}", remedy=f"Themes: {', '.join(THEMES)}.")
    yield ThemeChosen(arguments)
    yield Notice(f"theme {arguments}")


async def show_config(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Show the settings, and where each comes from."""
    found = effective_settings(context.settings)
    here = {"thread": context.conversation.thread_id, "model": str(context.conversation.model_name)}
    changed = {name: Effective(text, "this conversation") for name, text in here.items() if found[name].value != text}
    rows = tuple((name, str(one), one.source) for name, one in (found | changed).items())
    yield Listing("Settings", ("setting", "value", "from"), rows)


async def clear_screen(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Clear the screen; the thread stays."""
    yield ScreenCleared()


async def leave(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Leave."""
    yield ExitRequested()


COMMANDS = (
    Command("help", "[TOPIC]", show_help),
    Command("plain", "", toggle_plain),
    Command("theme", "[NAME]", choose_theme),
    Command("config", "", show_config),
    Command("clear", "", clear_screen),
    Command("exit", "", leave, aliases=("quit",)),
)
