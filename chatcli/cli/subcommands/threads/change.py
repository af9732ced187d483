"""The commands that change threads: `chat threads rename`, `delete`, `fork` and `prune`."""

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from chatcli.cli.grammar.options import Store, Url
from chatcli.cli.subcommands import output as common
from chatcli.cli.subcommands.output import ThreadId, ThreadIds, Yes
from chatcli.cli.subcommands.threads.look import listing
from chatcli.conversation.place import Place, choose_place, granted, open_threads
from chatcli.errors import UsageError
from chatcli.events import Notice
from chatcli.providers import LANGFLOW
from chatcli.sanitize import sanitize_line
from chatcli.store.location import StoreLocation
from chatcli.store.threads import Threads, ThreadSummary, delete_threads, find_thread
from chatcli.thread_ids import check_thread_id, check_title, new_thread_id

_MAX_AGE = timedelta(days=365_000)  # further back than dates go is no error
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1), "y": timedelta(days=365)}


def rename(
    ctx: typer.Context,
    thread: ThreadId,
    title: Annotated[list[str], typer.Argument(metavar="TITLE...", help="The new title.")],
    store: Store = None,
    url: Url = None,
) -> None:
    """Give a thread another title."""
    try:
        new = check_title(" ".join(title))
    except ValueError as error:
        raise UsageError(str(error)) from None
    threads = common.threads_of(common.settings_of(ctx, store, url))
    threads.rename(find_thread(threads, thread).thread_id, new)


def delete(
    ctx: typer.Context,
    ids: ThreadIds,
    yes: Yes = False,
    store: Store = None,
    url: Url = None,
) -> None:
    """Delete threads.

    If one of them can't be deleted, none is. On a terminal, this asks first.
    """
    place = choose_place(common.settings_of(ctx, store, url))
    threads = open_threads(place)
    # A thread that was named twice is deleted once.
    found = list({summary.thread_id: summary for summary in (find_thread(threads, one) for one in ids)}.values())
    if not yes and common.has_terminal():
        named = ", ".join(f"{summary.thread_id} ({sanitize_line(summary.title)})" for summary in found)
        common.confirm(f"Delete {named} for good?")
    _delete(place, threads, found)


def fork(
    ctx: typer.Context,
    thread: ThreadId,
    new: Annotated[str | None, typer.Argument(metavar="[NEW]", help="The new thread's ID.")] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="CHECKPOINT", help="The last checkpoint to copy; by default, the newest."),
    ] = None,
    store: Store = None,
    url: Url = None,
) -> None:
    """Copy a thread to a new one, and print the new ID.

    The old thread stays as it is.
    """
    from chatcli.commands.branches import NEW_SESSION

    new_id = new_thread_id() if new is None else new
    try:
        check_thread_id(new_id)
    except ValueError as error:
        raise UsageError(str(error)) from None
    place = choose_place(common.settings_of(ctx, store, url))
    threads = open_threads(place)
    origin = find_thread(threads, thread)
    threads.fork(origin.thread_id, new_id, at)
    granted(place, origin.thread_id).copy_to(new_id)
    print(new_id)
    if origin.model.partition(":")[0] == LANGFLOW:
        print(NEW_SESSION, file=sys.stderr)


def prune(
    ctx: typer.Context,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Time since the last use: 12h, 90d, 8w, 1y.")
    ] = "90d",
    yes: Yes = False,
    store: Store = None,
    url: Url = None,
) -> None:
    """Delete threads that were not used for a long time.

    Their disk space is given back.
    """
    settings = common.settings_of(ctx, store, url)
    place = choose_place(settings)
    threads, limit = open_threads(place), datetime.now(UTC) - _age(older_than)
    old = _older(threads, limit)
    if not old:
        common.show(settings, Notice(f"no thread is older than {older_than}"))
        return
    common.show(settings, listing(old))
    question = f"Delete {_counted(old)} for good?"
    if not yes:
        if not common.has_terminal():
            raise UsageError(
                f"{_counted(old)} would be deleted, and there is no terminal to confirm it",
                remedy="Confirm it with --yes.",
            )
        common.confirm(question)
    # One of them may have been used while the question was open.
    old = [summary for summary in _older(threads, limit) if summary in old]
    before = _size(place)
    _delete(place, threads, old)
    common.show(settings, Notice(f"{_counted(old)} deleted, {max(before - _size(place), 0):,} bytes given back"))


def _delete(place: Place, threads: Threads, found: Sequence[ThreadSummary]) -> None:
    """Delete `found`, and what the user granted them; refuse where another process runs a turn on one."""
    delete_threads(threads, [summary.thread_id for summary in found])
    for summary in found:
        granted(place, summary.thread_id).forget()


def _older(threads: Threads, limit: datetime) -> list[ThreadSummary]:
    return [thread for thread in threads.recent() if datetime.fromisoformat(thread.updated_at) < limit]


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,4})([hdwy])", text)
    if match is None:
        raise UsageError(f"--older-than: {text!r} is no age", remedy="Give a number of h, d, w or y, such as 90d.")
    return min(int(match[1]) * _UNITS[match[2]], _MAX_AGE)


def _counted(threads: Sequence[ThreadSummary]) -> str:
    return f"{len(threads)} thread{'' if len(threads) == 1 else 's'}"


def _size(place: Place) -> int:
    """Return the size of the store's file in bytes, 0 when it is none."""
    path = place.path if isinstance(place, StoreLocation) else None
    return path.stat().st_size if path is not None and path.exists() else 0
