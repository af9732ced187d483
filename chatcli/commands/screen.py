"""Commands about the screen: /help, /config, /theme, /plain, /clear, /exit."""

from collections.abc import Iterable
from typing import get_args

from chatcli.commands.registry import Choice, Command, CommandContext, Group, run_chosen
from chatcli.config.settings import THEMES
from chatcli.conversation.effective_settings import Effective, effective_settings, show_settings
from chatcli.errors import ChatcliError, UsageError
from chatcli.events import Listing, Notice
from chatcli.manual import TOPICS, read_page, unfold
from chatcli.message import MessageShown
from chatcli.rendering.display import PlainToggled, ScreenCleared, ThemeChosen
from chatcli.tools.mcp_resources import ServedPrompt

_THEMES = {
    "auto": "by the terminal's background",
    "dark": "for a dark background",
    "light": "for a light background",
    "mono": "no colours",
}

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
    await context.show(table(offered, _prompt_rows(prompts)))


def _prompt_rows(prompts: list[ServedPrompt]) -> tuple[tuple[str, str], ...]:
    """Return the rows of `/help` for `prompts`."""
    return tuple(
        (f"/{prompt.command} {prompt.usage}".rstrip(), prompt.description or "A prompt of this MCP server")
        for prompt in prompts
    )


def help_groups(commands: Iterable[Command], prompts: tuple[tuple[str, str], ...] = ()) -> Listing:
    """Return the names of the `commands` by group, short enough for a small screen, and how to see more."""
    groups: dict[str, list[str]] = {title: [] for title in get_args(Group)}
    for command in commands:
        groups[command.group].append(f"/{command.name}")
    groups["Prompts"] = [usage.split()[0] for usage, _ in prompts]
    shown = tuple((title, " ".join(names)) for title, names in groups.items() if names)
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
    conversation = context.conversation
    here = {
        "thread": conversation.thread_id,
        "model": str(conversation.model_name),
        "theme": context.theme or context.settings.theme,
        "max_cost": conversation.cost_bound.max_cost,
    }
    changed = {
        name: Effective(value, "this conversation")
        for name, value in here.items()
        if name in found and found[name].value != value  # a program may be without a setting
    }
    for event in show_settings(found | changed, f"/config {ALL}", show_all=arguments == ALL):
        await context.show(event)


async def clear_screen(context: CommandContext, arguments: str) -> None:
    """Clear the screen; the thread stays."""
    await context.show(ScreenCleared())


async def leave(context: CommandContext, arguments: str) -> None:
    """Leave."""
    context.leaving = True


COMMANDS = (
    Command("help", "[NAME]", show_help, "Screen", in_editor=False),
    Command("config", "[all]", show_config, "Screen"),
    Command("theme", "[NAME]", choose_theme, "Screen", in_editor=False),
    Command("plain", "", toggle_plain, "Screen", in_editor=False),
    Command("clear", "", clear_screen, "Screen", in_editor=False),
    Command("exit", "", leave, "Screen", aliases=("quit",), in_editor=False),
)
