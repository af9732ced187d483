"""Commands about what is seen: /help, /plain, /theme, /config, /clear, /exit."""

from collections.abc import AsyncIterator

from chatcli.commands.registry import CommandContext, CommandRegistry
from chatcli.config.settings import THEMES
from chatcli.conversation.effective_settings import Effective, effective_settings
from chatcli.errors import UsageError
from chatcli.events import Event, ExitRequested, Listing, Notice, PlainToggled, ScreenCleared, ThemeChosen
from chatcli.manual import read_page, unfold
from chatcli.message import MessageShown

KEYS = (
    ("Enter", "send"),
    ("Alt-Enter, Ctrl-J", "new line; Shift-Enter too, where the terminal tells it from Enter"),
    ("Tab", "complete a command, what it takes, or an @path"),
    ("Right, Ctrl-E", "take the suggestion"),
    ("Ctrl-R", "search what was typed before"),
    ("Ctrl-X Ctrl-E", "write in $VISUAL or $EDITOR, and send"),
    ("Ctrl-X Ctrl-O", "put the output of the last !command into the question"),
    ("Ctrl-C", "stop the answer; clear the line; twice on an empty line: leave"),
    ("Ctrl-D", "leave, on an empty line"),
    ("Ctrl-Z", "suspend; fg in the shell comes back"),
)
LINES = (
    ("!COMMAND", "run COMMAND in your shell and show its output"),
    ("@PATH", "attach a file to the question"),
    ("//TEXT", "ask /TEXT: a line that begins with a slash"),
)


async def show_help(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Show the commands and keys, or the page TOPIC of the manual."""
    if arguments:
        yield MessageShown("assistant", unfold(read_page(arguments)))
        return
    groups: dict[str, list[tuple[str, str]]] = {}
    for command in context.registry:
        names = ", ".join(f"/{name}" for name in (command.name, *command.aliases))
        groups.setdefault(command.group, []).append((f"{names} {command.usage}".rstrip(), command.help))
    for name, rows in groups.items():
        yield Listing(name, ("command", "what it does"), tuple(rows))
    yield Listing("Lines", ("line", "what it does"), LINES)
    yield Listing("Keys", ("key", "what it does"), KEYS)


async def toggle_plain(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Show answers as they are written, or render their Markdown again."""
    yield PlainToggled()


async def choose_theme(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Show everything in the colours of NAME; without a name, tell which there are."""
    if not arguments:
        yield Notice(f"themes: {', '.join(THEMES)}")
        return
    if arguments not in THEMES:
        raise UsageError(f"there is no theme {arguments!r}", remedy=f"Themes: {', '.join(THEMES)}.")
    yield ThemeChosen(arguments)
    yield Notice(f"theme {arguments}")


async def show_config(context: CommandContext, arguments: str) -> AsyncIterator[Event]:
    """Show the settings of this run and where each comes from; of a key, only that it is set."""
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


def register_in(registry: CommandRegistry) -> None:
    """Register this group's commands."""
    registry.register("help", "[TOPIC]")(show_help)
    registry.register("plain")(toggle_plain)
    registry.register("theme", "[NAME]")(choose_theme)
    registry.register("config")(show_config)
    registry.register("clear")(clear_screen)
    registry.register("exit", aliases=("quit",))(leave)
