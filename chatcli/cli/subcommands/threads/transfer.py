"""`chat threads export` and `import`: threads as files."""

from pathlib import Path
from typing import Annotated

import typer

from chatcli.cli.grammar.completion import offer_files
from chatcli.cli.grammar.options import Store, Url
from chatcli.cli.subcommands import output as common
from chatcli.cli.subcommands.output import AsJson, ThreadId
from chatcli.conversation.place import choose_place, open_threads
from chatcli.conversation.stored_threads import import_file, read_whole_thread
from chatcli.errors import UsageError
from chatcli.events import Notice
from chatcli.sanitize import sanitize_line
from chatcli.store.threads import find_thread
from chatcli.transfer.export import ExportFormat, format_of, thread_lines, write_file


def export(
    ctx: typer.Context,
    thread: ThreadId,
    format_: Annotated[
        ExportFormat | None,
        typer.Option("--format", help="By default from the name of FILE, else md.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file to write; by default stdout.",
            autocompletion=offer_files,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
    store: Store = None,
    url: Url = None,
) -> None:
    """Write a thread as Markdown, HTML, or the JSON that `import` reads."""
    import asyncio

    settings = common.settings_of(ctx, store, url)
    place = choose_place(settings)
    summary = find_thread(open_threads(place), thread)
    chosen = format_ or (format_of(output) if output else None) or ExportFormat.MD
    if output is not None and output.is_file() and not force:
        if not common.has_terminal():
            raise UsageError(f"{output} exists", remedy="Replace it with --force, or name another file.")
        common.confirm(f"Replace {sanitize_line(str(output))}?")
    document, missing = asyncio.run(read_whole_thread(place, summary))
    lines = thread_lines(document, chosen)
    if output is None:
        for line in lines:
            print(line)
    else:
        write_file(output, lines)
    if missing:
        common.show(settings, Notice(missing, "warning"))


def import_(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="chat's JSON or JSONL, ChatGPT's or Claude's export, llm's logs.db, or \"-\".",
            autocompletion=offer_files,
        ),
    ],
    as_json: AsJson = False,
    store: Store = None,
    url: Url = None,
) -> None:
    """Store the threads of a file, and print their IDs.

    All threads are stored, or none; no thread is overwritten.
    """
    import asyncio

    settings = common.settings_of(ctx, store, url)
    place = choose_place(settings)
    open_threads(place)  # refuses a store in memory, which would be gone at once
    imported, left_out = asyncio.run(import_file(place, file))
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
