"""`chat help`: the manual at the terminal."""

import io
import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from itertools import zip_longest
from typing import Annotated

import typer

from chatcli.cli.grammar.completion import offer
from chatcli.cli.subcommands.output import show
from chatcli.config.settings import Settings
from chatcli.errors import ChatcliError, usage_errors
from chatcli.events import Listing
from chatcli.manual import GROUPS, read_page, unfold
from chatcli.message import MessageShown
from chatcli.rendering.build import terminal_renderer, wants_color
from chatcli.runtime.program import CHAT, command, current_program

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Topic = Annotated[str | None, typer.Argument(metavar="[TOPIC]", help="A topic.", autocompletion=offer("topics"))]

_OF_GRAPHS = ("conversation", "threads", "scripts", "mcp", "json")
"""The topics that are also about a builder's program."""
_WIDEST = 100
"""Columns of a rendered page; longer lines are hard to read."""


@app.command()
def show_manual(ctx: typer.Context, topic: Topic = None) -> None:
    """Show a page of the manual, or list its topics."""
    options = ctx.find_object(dict) or {}
    try:
        settings = Settings.load(options)
    except ChatcliError:  # the manual must be there, above all, when a setting is wrong
        settings = Settings().with_options(options)
    if topic is None:
        _list_topics(settings)
        return
    page = read_page(topic)
    if current_program() is not CHAT:
        page = f"Where this page says `{CHAT.name}`, type `{command()}`.\n\n{page}"
    at_terminal = sys.stdout.isatty()
    if settings.format in (None, "markdown") and (at_terminal or wants_color(settings.color)):
        page = _render(page, settings)
    if not at_terminal or not _show_in_pager(page):
        sys.stdout.write(page)
        sys.stdout.flush()


def _list_topics(settings: Settings) -> None:
    """List the topics: groups in two columns, which fit a screen of 80 by 24, or one value for a program."""
    shown = [
        (group, [(topic, about) for topic, about in topics.items() if current_program() is CHAT or topic in _OF_GRAPHS])
        for group, topics in GROUPS.items()
    ]
    if settings.format in ("json", "jsonl"):
        rows = tuple(row for _, topics in shown for row in topics)
        show(settings, Listing("Manual", ("topic", "what it is about"), rows))
        return
    blocks = [(group, topics) for group, topics in shown if topics]
    middle = (len(blocks) + 1) // 2
    left, right = _column(blocks[:middle], 15), _column(blocks[middle:], 12)
    for line, other in zip_longest(left, right, fillvalue=""):
        sys.stdout.write(f"{line:43} {other}".rstrip() + "\n")
    sys.stdout.write(f"{command('help TOPIC')} shows a page.\n")


def _column(groups: list[tuple[str, list[tuple[str, str]]]], width: int) -> list[str]:
    """Return the lines of `groups`, with the names of topics in `width` columns."""
    lines = []
    for group, topics in groups:
        lines += [group, *(f"  {topic:{width}}  {about}" for topic, about in topics), ""]
    return lines


def _render(page: str, settings: Settings) -> str:
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    written = io.StringIO()
    renderer = terminal_renderer(settings, written, written, force_terminal=True, width=width)
    renderer.render(MessageShown("assistant", unfold(page)))
    renderer.close()
    return written.getvalue()


def _show_in_pager(text: str) -> bool:
    """Show `text` in the user's pager; return False where it fits the screen or there is no pager."""
    if text.count("\n") < shutil.get_terminal_size().lines:
        return False
    with usage_errors("$PAGER can't be read: ", remedy="Set it to a command, such as less."):
        command = shlex.split(os.environ.get("PAGER", "less"))
    if not command or shutil.which(command[0]) is None:
        return False
    if os.path.basename(command[0]) == "less":  # noqa: PTH119 - a command's name
        command.append("-R")  # shows colours, whatever $LESS says
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={"LESS": "FRX", **os.environ}) as pager:  # noqa: S603 - the user's own pager
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pager's
        try:
            with suppress(BrokenPipeError):
                pager.communicate(text.encode())
        finally:
            signal.signal(signal.SIGINT, before)
    return True
