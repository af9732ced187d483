"""`chat docs`: the index of documents."""

import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer

from chatcli.cli.grammar.completion import offer, offer_files
from chatcli.cli.subcommands import output as common
from chatcli.cli.subcommands.output import AsJson, command_group
from chatcli.config.settings import Settings
from chatcli.documents.find import absolute_path, match_sources, resolve_source, shown_path
from chatcli.documents.index import DocumentIndex, IndexedSource, Updated
from chatcli.errors import ExitCode, UsageError
from chatcli.events import Listing, Progress
from chatcli.message import place_of
from chatcli.rendering.build import build_renderer
from chatcli.sanitize import sanitize, sanitize_line
from chatcli.text import format_minute, format_size, tell

READING = "reading the documents"
SHOWN_AFTER = 1.0
"""Seconds after which a search shows that it is still reading files."""
NAMED = 10
"""The most skipped files that are named without --debug."""

app = command_group("Index, search, list and forget documents.")

_PATHS_HELP, _DOCS_HELP = "Folders, files or globs.", "Search these documents; repeatable."
_SOURCES_HELP = "What `chat docs list` lists; it may be gone."
Paths = Annotated[list[str], typer.Argument(metavar="PATH...", help=_PATHS_HELP, autocompletion=offer_files)]
Sources = Annotated[list[str], typer.Argument(metavar="PATH...", help=_SOURCES_HELP, autocompletion=offer("documents"))]
Words = Annotated[list[str], typer.Argument(metavar="WORDS...", help="What to look for.")]
Docs = Annotated[list[str] | None, typer.Option("--docs", metavar="PATH", help=_DOCS_HELP, autocompletion=offer_files)]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="The best N only.")]


@app.command()
def index(ctx: typer.Context, paths: Paths) -> None:
    """Read documents into the index, or what changed in them.

    Ctrl-C stops it; what is done stays, and the next run goes on.
    """
    settings = common.settings_of(ctx)
    sources = list(dict.fromkeys(map(resolve_source, paths)))
    with DocumentIndex() as documents:
        updated = _bring_up_to_date(settings, documents, sources, shown_after=0)
        indexed = [one for one in documents.sources() if one.source in sources]
    print(_summary(updated, indexed))
    named = updated.skipped if settings.debug else updated.skipped[:NAMED]
    for path, reason in named:
        tell(sanitize_line(f"skipped: {shown_path(path)}: {reason}"))
    if rest := len(updated.skipped) - len(named):
        tell(f"skipped: {rest:,} more; `chat --debug docs index` names all")
    if updated.stopped:
        tell("stopped: the same command goes on")
        raise typer.Exit(ExitCode.INTERRUPTED)


@app.command()
def search(ctx: typer.Context, words: Words, docs: Docs = None, limit: Limit = 10, as_json: AsJson = False) -> None:
    """Find passages by words, the best first.

    Searched are the documents of --docs, or else all that are in the index. What changed in them is read first. A note
    says so where the passages have too little of the question for an answer.
    """
    settings = common.settings_of(ctx).with_options({"docs": docs or None})
    given = list(dict.fromkeys(map(resolve_source, settings.docs)))
    with DocumentIndex() as documents:
        sources = given or [one.source for one in documents.sources()]
        if not sources:
            tell("note: no documents are in the index; name some: --docs PATH")
        elif _bring_up_to_date(settings, documents, sources, shown_after=SHOWN_AFTER).stopped:
            raise typer.Exit(ExitCode.INTERRUPTED)
        found = documents.search(" ".join(words), sources, limit=limit) if sources else []
    if common.wants_json(settings, as_json=as_json):
        common.print_json(settings, [one.as_json() for one in found], as_json=as_json)
        return
    if sources and not found:
        tell("note: no passage has these words")
    elif found and found[0].weak:
        tell("note: these passages have little of the question: an answer would not use them")
    for number, one in enumerate(found):
        place = place_of(shown_path(one.path), one.start_line, one.end_line, one.page)
        print(f"{'' if not number else chr(10)}{sanitize_line(place)}  {one.score:.2f}")
        print(sanitize(one.text))


@app.command("list")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List what is in the index."""
    with DocumentIndex() as documents:
        found = documents.sources()
    at_terminal, rows = sys.stdout.isatty(), []
    for one in found:
        moment = one.updated.astimezone() if one.updated is not None and at_terminal else one.updated
        minute = "" if moment is None else format_minute(moment)  # in UTC for programs
        rows.append((one.source, f"{one.files:,}", f"{one.passages:,}", format_size(one.bytes), minute))
    read = "read" if at_terminal else "read (UTC)"
    table = Listing("Documents", ("path", "files", "passages", "size", read), tuple(rows))
    values = [
        {
            "source": one.source,
            "files": one.files,
            "passages": one.passages,
            "bytes": one.bytes,
            "updated_at": None if one.updated is None else one.updated.isoformat(),
        }
        for one in found
    ]
    common.show_or_print_json(common.settings_of(ctx), values, table, as_json=as_json)


@app.command()
def forget(ctx: typer.Context, paths: Sources) -> None:
    """Remove documents and their text from the index; the files stay.

    A folder stands also for all that is below it. What a thread still has as documents, and what belongs to another
    folder in the index, is read again when that is asked or searched.
    """
    with DocumentIndex() as documents:
        for path in paths:
            sources = match_sources(path, [one.source for one in documents.sources()])
            # What is no source by itself may be below one.
            files = sum(map(documents.forget, sources or [absolute_path(path)]))
            if not sources and not files:
                raise UsageError(f"{path} is not in the index of documents", remedy="See `chat docs list`.")
            print(f"forgotten: {sanitize_line(path)}, {_counted(files, 'file')}")
        if documents.notice:
            tell(f"note: {documents.notice}")


def _bring_up_to_date(
    settings: Settings, documents: DocumentIndex, sources: Sequence[str], *, shown_after: float
) -> Updated:
    """Read what changed in `sources`, with a progress bar after `shown_after` seconds; Ctrl-C stops it.

    A second Ctrl-C, and one before any file is read, ends the process at once.
    """
    renderer = build_renderer(settings)
    begun = time.monotonic()
    reading = shown = stopped = False

    def report(done: int, total: int) -> None:
        nonlocal shown
        if time.monotonic() - begun >= shown_after:
            shown = True
            renderer.render(Progress(READING, done, total, "files"))

    def stop() -> bool:
        nonlocal reading
        reading = True
        return stopped

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        if stopped or not reading:
            raise KeyboardInterrupt
        stopped = True

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        updated = documents.update(sources, progress=report, stop=stop)
    finally:
        signal.signal(signal.SIGINT, before)
        if shown:
            renderer.render(Progress(READING, finished=True))
        renderer.close()
    if documents.notice:
        tell(f"note: {documents.notice}")
    return updated


def _summary(updated: Updated, indexed: Sequence[IndexedSource]) -> str:
    """Return in one line what is in the index now, and what the update did."""
    size = format_size(sum(one.bytes for one in indexed))
    passages = sum(one.passages for one in indexed)
    counts = ((updated.added, "new"), (updated.changed, "changed"), (updated.removed, "removed"))
    changes = ", ".join(f"{count:,} {word}" for count, word in counts if count) or "no changes"
    line = f"{_counted(updated.files, 'file')}, {_counted(passages, 'passage')}, {size}: {changes}"
    if not updated.skipped:
        return line
    reasons = Counter(reason for _, reason in updated.skipped).most_common()
    return f"{line}; skipped: {', '.join(f'{count:,} since {reason}' for reason, count in reasons)}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
