"""`chat threads`: list, show, search, change, export and import the stored conversations."""

import dataclasses
import re
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer

from chatcli.cli.app import Store, Url
from chatcli.cli.grammar.completion import offer_files
from chatcli.cli.subcommands import output as common
from chatcli.cli.subcommands.output import AsJson, ThreadId, ThreadIds, Yes, command_group
from chatcli.config.providers import LANGFLOW
from chatcli.config.thread_ids import check_thread_id, check_title, new_thread_id
from chatcli.conversation.backend import choose_backend, delete_threads
from chatcli.errors import UsageError, usage_errors
from chatcli.events import Event, Listing, Notice
from chatcli.models.prices import Spent, spent_by, table_name
from chatcli.rendering.display import MatchShown
from chatcli.rendering.json import message_fields
from chatcli.sanitize import sanitize_line
from chatcli.store.threads import MATCH_END, MATCH_START, Match, Threads, ThreadSummary, find_thread
from chatcli.text import display_width, format_age, format_minute, tell, truncate
from chatcli.transfer.export import ExportFormat, format_of, thread_lines, write_file

app = command_group("List, show, search, change, export and import threads.")

NAME_WIDTH = 12
"""Characters of an ID that are always shown; those that chat makes have fewer."""
TITLE_WIDTH = 10
"""Columns that a title has even where the table gets wider than the terminal."""
SPACING = 3
"""Columns between two columns of a table."""
_MARKED = re.compile(f"{MATCH_START}(.*?){MATCH_END}", re.DOTALL)

Limit = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="The newest N only.")]
Cost = Annotated[bool, typer.Option("--cost", help="Show what each thread has cost.")]
Wide = Annotated[bool, typer.Option("--wide", help="Do not shorten IDs and titles to fit the terminal.")]
State = Annotated[bool, typer.Option("--state", help="Show what its state has beside the messages.")]
Tree = Annotated[bool, typer.Option("--tree", help="Show its turns on all branches, as a tree.")]
BestLimit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="The best N only.")]
Text = Annotated[list[str], typer.Argument(metavar="TEXT...", help="Words to look for, in any form.")]
Title = Annotated[list[str], typer.Argument(metavar="TITLE...", help="The new title.")]
NewId = Annotated[str | None, typer.Argument(metavar="[NEW]", help="The new thread's ID.")]
_AT_HELP = "The last checkpoint to copy; by default, the newest."
At = Annotated[str | None, typer.Option("--at", metavar="CHECKPOINT", help=_AT_HELP)]
_AGE_HELP = "Time since the last use: 12h, 90d, 8w, 1y."
Age = Annotated[str, typer.Option("--older-than", metavar="AGE", help=_AGE_HELP)]
_FORMAT_HELP = "By default from the name of FILE, else md."
Format = Annotated[ExportFormat | None, typer.Option("--format", help=_FORMAT_HELP, show_default=False)]
_OUTPUT_HELP = "The file to write; by default stdout."
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help=_OUTPUT_HELP, autocompletion=offer_files)
]
Force = Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")]
_FILE_HELP = "chat's JSON or JSONL, ChatGPT's or Claude's export, llm's logs.db, or \"-\"."
File = Annotated[Path, typer.Argument(metavar="FILE", help=_FILE_HELP, autocompletion=offer_files)]


@app.command("list")
def list_(
    ctx: typer.Context,
    limit: Limit = None,
    cost: Cost = False,
    wide: Wide = False,
    as_json: AsJson = False,
    store: Store = None,
    url: Url = None,
) -> None:
    """List the threads, the newest first; on a terminal each on one line."""
    settings = common.settings_of(ctx, store, url)
    threads = choose_backend(settings).threads()
    found = threads.recent(limit)
    if not cost and not common.wants_json(settings, as_json=as_json):  # there may be 100,000 of them
        common.show(settings, _listing(found, wide=wide))
        return
    values = list(map(dataclasses.asdict, found))
    if not cost:
        common.print_json(settings, values, as_json=as_json)
        return
    used = spent_by("thread_id", threads.usage())
    # Of a thread with turns but without answers, such as a server's, nothing is known.
    costs = [used.get(one.thread_id, Spent(turns=one.turns, unpriced=one.turns)) for one in found]
    priced = [{**value, **one.cost_as_json()} for value, one in zip(values, costs, strict=True)]
    shown = _listing(found, costs=[one.shown() for one in costs], wide=wide)
    common.show_or_print_json(settings, priced, shown, Notice(f"prices: {table_name()}"), as_json=as_json)


@app.command()
def show(
    ctx: typer.Context,
    thread: ThreadId,
    state: State = False,
    tree: Tree = False,
    as_json: AsJson = False,
    store: Store = None,
    url: Url = None,
) -> None:
    """Show the messages of a thread."""
    import asyncio

    settings = common.settings_of(ctx, store, url)
    backend = choose_backend(settings)
    summary = find_thread(backend.threads(), thread)
    wants_messages = not (state or tree) or common.wants_json(settings, as_json=as_json)
    messages = asyncio.run(backend.reader().messages(summary.thread_id)) if wants_messages else []
    printed = {**dataclasses.asdict(summary), "messages": list(map(message_fields, messages))}
    shown = list[Event](() if state or tree else messages)
    if tree:
        from chatcli.commands.branches import tree_as_json, tree_listing

        turns, excerpts = asyncio.run(backend.reader().tree(summary.thread_id))
        printed["tree"] = tree_as_json(turns, excerpts)
        shown.append(tree_listing(turns, excerpts))
    if state:
        from chatcli.commands.model import state_listing

        printed["state"] = values = asyncio.run(backend.reader().state(summary.thread_id))
        shown.append(state_listing(values))
    common.show_or_print_json(settings, printed, *shown, as_json=as_json)


@app.command()
def search(
    ctx: typer.Context, text: Text, limit: BestLimit = 50, as_json: AsJson = False, store: Store = None, url: Url = None
) -> None:
    """Find messages by words, the best first.

    The words may be anywhere in a question and its answer. Where no exchange has all of them, those with most follow.
    """
    settings = common.settings_of(ctx, store, url)
    found = choose_backend(settings).threads().search(" ".join(text), limit)
    matches = (MatchShown(m.thread_id, m.title, m.role, _parts(m.snippet)) for m in found)
    shown: list[MatchShown | Notice] = [*matches] or [Notice("no message has these words")]
    common.show_or_print_json(settings, [_match_as_json(match) for match in found], *shown, as_json=as_json)


def _listing(threads: list[ThreadSummary], *, costs: Sequence[str] = (), wide: bool = False) -> Listing:
    """Return `threads` as a table: complete for programs and if `wide`, else each on a line of the terminal."""
    on_terminal = sys.stdout.isatty()
    columns = {
        "id": [thread.thread_id for thread in threads],
        "title": [thread.title for thread in threads],
        "turns": [str(thread.turns) for thread in threads],
        "last used" if on_terminal else "last used (UTC)": [thread.updated_at for thread in threads],
        "model": [thread.model for thread in threads],
        **({"cost": list(costs)} if costs else {}),
    }
    if not on_terminal:
        columns["last used (UTC)"] = [moment[:16].replace("T", " ") for moment in columns["last used (UTC)"]]
    elif wide:
        moments = map(datetime.fromisoformat, columns["last used"])
        columns["last used"] = [format_minute(moment.astimezone()) for moment in moments]
    else:
        _fit(columns, shutil.get_terminal_size().columns)
    return Listing("Threads", tuple(columns), tuple(zip(*columns.values(), strict=True)))


def _fit(columns: dict[str, list[str]], width: int) -> None:
    """Shorten what is in the columns of a list of threads, so that a line has `width` cells where possible."""
    columns["id"] = _short_names(columns["id"])
    columns["last used"] = list(map(format_age, columns["last used"]))
    columns |= {name: list(map(sanitize_line, columns[name])) for name in ("title", "model")}
    widths = {name: max(map(display_width, (name, *column))) for name, column in columns.items()}
    room = width - sum(widths.values()) - SPACING * len(columns) + 1 + widths["title"] + widths["model"]
    # A model gets a quarter, and what short titles leave.
    models = min(widths["model"], max(width // 4, room - widths["title"]))
    columns["model"] = [truncate(model, models) for model in columns["model"]]
    columns["title"] = [truncate(title, max(room - models, TITLE_WIDTH)) for title in columns["title"]]


def _short_names(names: list[str]) -> list[str]:
    """Return the shortest beginning of each of `names` that no other has, of `NAME_WIDTH` characters at least.

    Of a part of the threads, it may be the beginning of another thread's ID: then `chat -t` says so.
    """
    ordered = sorted(names)
    shared = dict.fromkeys(names, 0)
    for one, other in pairwise(ordered):
        length = next((index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
        shared[one], shared[other] = max(shared[one], length), max(shared[other], length)
    return [name[: max(NAME_WIDTH, shared[name] + 1)] for name in names]


def _parts(snippet: str) -> tuple[tuple[str, bool], ...]:
    """Return the pieces of `snippet`, each with whether it is a match."""
    pieces = _MARKED.split(snippet)  # every second one was between marks
    return tuple((piece, number % 2 == 1) for number, piece in enumerate(pieces) if piece)


def _match_as_json(match: Match) -> dict[str, Any]:
    snippet, matches = "", []
    for piece, matching in _parts(match.snippet):
        if matching:
            matches.append([len(snippet), len(snippet) + len(piece)])
        snippet += piece
    found = {"thread_id": match.thread_id, "title": match.title, "role": match.role}
    return {**found, "snippet": snippet, "matches": matches}


@app.command()
def rename(ctx: typer.Context, thread: ThreadId, title: Title, store: Store = None, url: Url = None) -> None:
    """Give a thread another title."""
    with usage_errors():
        new = check_title(" ".join(title))
    threads = choose_backend(common.settings_of(ctx, store, url)).threads()
    threads.rename(find_thread(threads, thread).thread_id, new)


@app.command()
def delete(ctx: typer.Context, ids: ThreadIds, yes: Yes = False, store: Store = None, url: Url = None) -> None:
    """Delete threads.

    If one of them can't be deleted, none is. On a terminal, this asks first.
    """
    backend = choose_backend(common.settings_of(ctx, store, url))
    threads = backend.threads()
    # A thread that was named twice is deleted once.
    found = list({summary.thread_id: summary for summary in (find_thread(threads, one) for one in ids)}.values())
    if not yes and common.has_terminal():
        named = ", ".join(f"{summary.thread_id} ({sanitize_line(summary.title)})" for summary in found)
        common.confirm(f"Delete {named} for good?")
    delete_threads(backend, threads, [summary.thread_id for summary in found])


@app.command()
def fork(
    ctx: typer.Context, thread: ThreadId, new: NewId = None, at: At = None, store: Store = None, url: Url = None
) -> None:
    """Copy a thread to a new one, and print the new ID.

    The old thread stays as it is.
    """
    from chatcli.commands.branches import NEW_SESSION

    new_id = new_thread_id() if new is None else new
    with usage_errors():
        check_thread_id(new_id)
    backend = choose_backend(common.settings_of(ctx, store, url))
    threads = backend.threads()
    origin = find_thread(threads, thread)
    threads.fork(origin.thread_id, new_id, at)
    backend.grants(origin.thread_id).copy_to(new_id)
    print(new_id)
    if origin.model.partition(":")[0] == LANGFLOW:
        tell(NEW_SESSION)


@app.command()
def prune(ctx: typer.Context, older_than: Age = "90d", yes: Yes = False, store: Store = None, url: Url = None) -> None:
    """Delete threads that were not used for a long time.

    Their disk space is given back.
    """
    settings = common.settings_of(ctx, store, url)
    backend = choose_backend(settings)
    threads, limit = backend.threads(), datetime.now(UTC) - common.read_age(older_than, "--older-than")
    old = _older(threads, limit)
    if not old:
        common.show(settings, Notice(f"no thread is older than {older_than}"))
        return
    common.show(settings, _listing(old))
    if not yes:
        if not common.has_terminal():
            problem = f"{_counted(old)} would be deleted, and there is no terminal to confirm it"
            raise UsageError(problem, remedy="Confirm it with --yes.")
        common.confirm(f"Delete {_counted(old)} for good?")
    # One of them may have been used while the question was open.
    old = [summary for summary in _older(threads, limit) if summary in old]
    before = backend.size
    delete_threads(backend, threads, [summary.thread_id for summary in old])
    common.show(settings, Notice(f"{_counted(old)} deleted, {max(before - backend.size, 0):,} bytes given back"))


def _older(threads: Threads, limit: datetime) -> list[ThreadSummary]:
    return [thread for thread in threads.recent() if datetime.fromisoformat(thread.updated_at) < limit]


def _counted(threads: Sequence[ThreadSummary]) -> str:
    return f"{len(threads)} thread{'' if len(threads) == 1 else 's'}"


@app.command()
def export(
    ctx: typer.Context,
    thread: ThreadId,
    format_: Format = None,
    output: Output = None,
    force: Force = False,
    store: Store = None,
    url: Url = None,
) -> None:
    """Write a thread as Markdown, HTML, or the JSON that `import` reads."""
    import asyncio

    settings = common.settings_of(ctx, store, url)
    backend = choose_backend(settings)
    summary = find_thread(backend.threads(), thread)
    chosen = format_ or (format_of(output) if output else None) or ExportFormat.MD
    if output is not None and output.is_file() and not force:
        if not common.has_terminal():
            raise UsageError(f"{output} exists", remedy="Replace it with --force, or name another file.")
        common.confirm(f"Replace {sanitize_line(str(output))}?")
    document, missing = asyncio.run(backend.reader().document(summary))
    lines = thread_lines(document, chosen)
    if output is None:
        for line in lines:
            print(line)
    else:
        write_file(output, lines)
    if missing:
        common.show(settings, Notice(missing, "warning"))


@app.command("import")
def import_(ctx: typer.Context, file: File, as_json: AsJson = False, store: Store = None, url: Url = None) -> None:
    """Store the threads of a file, and print their IDs.

    All threads are stored, or none; no thread is overwritten.
    """
    import asyncio

    settings = common.settings_of(ctx, store, url)
    backend = choose_backend(settings)
    backend.threads()  # refuses a store in memory, which would be gone at once
    imported, left_out = asyncio.run(backend.reader().import_file(file))
    found = [{"thread_id": new, "original_id": old} for old, new in imported.items()]
    renamed = []
    if common.wants_json(settings, as_json=as_json):
        common.print_json(settings, found, as_json=as_json)
    else:
        for new in imported.values():
            print(new)
        renamed = [Notice(f"thread {old} exists; imported as {new}") for old, new in imported.items() if old != new]
    notices = [*renamed, *([Notice(left_out, "warning")] if left_out else [])]
    if notices:
        common.show(settings, *notices)
