"""The commands that read threads: `chat threads list`, `show` and `search`."""

import dataclasses
import re
from typing import Annotated, Any

import typer

from chatcli.cli.grammar.options import Store, Url
from chatcli.cli.subcommands import output as common
from chatcli.cli.subcommands.output import AsJson, ThreadId
from chatcli.conversation.place import choose_place, open_threads
from chatcli.conversation.stored_threads import read_state, read_thread
from chatcli.events import Listing, MatchShown
from chatcli.message import MessageShown
from chatcli.rendering.json import cited_fields
from chatcli.store.threads import MATCH_END, MATCH_START, Match, ThreadSummary, find_thread

_MARKED = re.compile(f"{MATCH_START}(.*?){MATCH_END}", re.DOTALL)

Limit = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="The newest N only.")]
State = Annotated[bool, typer.Option("--state", help="Show what its state has beside the messages.")]
BestLimit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="The best N only.")]


def list_(
    ctx: typer.Context, limit: Limit = None, as_json: AsJson = False, store: Store = None, url: Url = None
) -> None:
    """List the threads, the newest first."""
    settings = common.settings_of(ctx, store, url)
    found = common.threads_of(settings).recent(limit)
    values = [dataclasses.asdict(thread) for thread in found]
    common.show_or_print_json(settings, values, listing(found), as_json=as_json)


def show(
    ctx: typer.Context,
    thread: ThreadId,
    state: State = False,
    as_json: AsJson = False,
    store: Store = None,
    url: Url = None,
) -> None:
    """Show the messages of a thread."""
    import asyncio

    settings = common.settings_of(ctx, store, url)
    place = choose_place(settings)
    summary = find_thread(open_threads(place), thread)
    wants_messages = not state or common.wants_json(settings, as_json=as_json)
    messages = asyncio.run(read_thread(place, summary.thread_id)) if wants_messages else []
    if not state:
        common.show_or_print_json(settings, _as_json(summary, messages), *messages, as_json=as_json)
        return
    from chatcli.commands.state import state_listing

    values = asyncio.run(read_state(place, summary.thread_id))
    shown = {**_as_json(summary, messages), "state": values}
    common.show_or_print_json(settings, shown, state_listing(values), as_json=as_json)


def search(
    ctx: typer.Context,
    text: Annotated[list[str], typer.Argument(metavar="TEXT...", help="Words that a message contains, all of them.")],
    limit: BestLimit = 50,
    as_json: AsJson = False,
    store: Store = None,
    url: Url = None,
) -> None:
    """Find messages by their words, the best first."""
    settings = common.settings_of(ctx, store, url)
    found = common.threads_of(settings).search(" ".join(text), limit)
    matches = (MatchShown(m.thread_id, m.title, m.role, _parts(m.snippet)) for m in found)
    common.show_or_print_json(settings, [_match_as_json(match) for match in found], *matches, as_json=as_json)


def listing(threads: list[ThreadSummary]) -> Listing:
    """Return `threads` as a table."""
    rows = tuple((t.thread_id, t.title, str(t.turns), t.updated_at[:16].replace("T", " "), t.model) for t in threads)
    return Listing("Threads", ("id", "title", "turns", "last used (UTC)", "model"), rows)


def _as_json(summary: ThreadSummary, messages: list[MessageShown]) -> dict[str, object]:
    shown = [
        {"role": m.role, "content": m.text, "interrupted": m.interrupted, **cited_fields(m.cited)} for m in messages
    ]
    return {**dataclasses.asdict(summary), "messages": shown}


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
