"""Commands about branches, which delete nothing: /undo, /retry, /continue, /edit, /fork, /history, /rewind, /tree."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chatcli.commands.lines import parse_command
from chatcli.commands.registry import Command, CommandContext, run_command
from chatcli.config.providers import LANGFLOW
from chatcli.config.thread_ids import check_thread_id, new_thread_id
from chatcli.errors import UsageError
from chatcli.events import Listing, Notice
from chatcli.rendering.display import LinesShown, ThreadChanged, diff_lines
from chatcli.sessions.requests import Continue, Retry, TurnRequest
from chatcli.text import one_line, truncate

if TYPE_CHECKING:
    from chatcli.message import Excerpt, MessageShown
    from chatcli.sessions.history import Turn

TAKE_BACK, KEEP = "files", "keep"
"""What follows the number in /undo once the user has decided on the files that were written."""
_MARKED = "* is on the branch that goes on here"
"""Explains the marks of a list of turns."""
NEW_SESSION = "Langflow can't go back: the next question begins a new session there, without the earlier messages"
LIST, SUMMARY = "list", "summary"
HERE = "  <- here"
"""What follows the question of the turn with which the current branch ends."""
MAX_DEPTH = 8
"""The deepest column of a branch in the tree; branches that are nested deeper share it."""
QUESTION_WIDTH, ANSWER_WIDTH = 36, 26
"""The columns of the printed tree, which fits 80 columns."""


async def undo(context: CommandContext, arguments: str) -> None:
    """Go back one turn, or N, and edit its question again."""
    number, _, files = arguments.partition(" ")
    count, session = _number(number, default=1), await context.conversation.session()
    changes, kept = await session.written(count) if files != KEEP else ([], [])
    while changes and (files != TAKE_BACK or changes != session.offered_changes):
        session.offered_changes = changes
        for change in changes:
            await context.show(LinesShown(diff_lines(change.diff())))
        question, line = "Change these files back, too?", f"/undo {count} {TAKE_BACK}"
        agreed = await context.screen.confirm(question, line, by_key=True)
        if agreed is None:
            return
        files = TAKE_BACK if agreed else KEEP
        changes, kept = await session.written(count) if agreed else ([], [])
    questions = _questions(await session.history())
    await session.undo(count)
    left = await session.history()
    await context.show(ThreadChanged(session.thread_id, tuple(left)))
    await _warn_of_langflow(context)
    for change in changes:
        await context.show(Notice(await asyncio.to_thread(change.take_back)))
    for path in kept:
        await context.show(Notice(f"{path} stays as it is: it has changed since, or can't be written", "warning"))
    for question in questions[len(_questions(left)) :][:1]:  # none after an edit of the state
        context.screen.prefill(question, optional=True)


async def retry(context: CommandContext, arguments: str) -> Retry:
    """Ask the last question again; /history keeps its answer."""
    await _warn_of_langflow(context)
    return Retry()


async def go_on(context: CommandContext, arguments: str) -> Continue:
    """Go on where the graph stopped at a breakpoint."""
    return Continue()


async def edit(context: CommandContext, arguments: str) -> None:
    """Edit the last question, or that of N turns ago."""
    session = await context.conversation.session()
    questions = _questions(await session.history())
    branch = [turn for turn in await session.turns() if turn.current]
    back = _number(arguments, default=1)
    if not 1 <= back <= min(len(questions), len(branch)):
        raise UsageError(f"there are {len(branch)} questions to edit, not {back}")
    context.conversation.branching = branch[-back]
    await _warn_of_langflow(context)
    context.screen.prefill(questions[-back])


async def fork(context: CommandContext, arguments: str) -> None:
    """Copy this thread to a new one, NAME, and continue there."""
    name = check_thread_id(arguments) if arguments else new_thread_id()
    origin = await context.conversation.session()
    await origin.fork(name)
    await asyncio.to_thread(context.conversation.backend.grants(origin.thread_id).copy_to, name)
    documents = context.conversation.documents
    messages = await context.conversation.open_thread(name)
    if context.conversation.documents != documents:  # of a thread in memory
        context.conversation.use_documents(documents)
    await context.show(ThreadChanged(name, tuple(messages)))
    await context.show(Notice(f"forked from {origin.thread_id}"))
    await _warn_of_langflow(context)


async def show_history(context: CommandContext, arguments: str) -> None:
    """Show the turns and branches of this thread."""
    turns = await (await context.conversation.session()).turns()
    await context.show(_table(f"History ({_MARKED})", turns) if turns else Notice("this thread has no turns yet"))


async def rewind(context: CommandContext, arguments: str) -> None:
    """Go to the end of turn N in /history, on any branch."""
    session = await context.conversation.session()
    turns = await session.turns()
    if not arguments:
        await context.show(_table(f"Go to which turn? /rewind N ({_MARKED})", turns))
        return
    await session.rewind(_find_turn(turns, _number(arguments, default=0)))
    await context.show(ThreadChanged(session.thread_id, tuple(await session.history())))
    await _warn_of_langflow(context)


def _questions(messages: "Sequence[MessageShown]") -> list[str]:
    return [message.text for message in messages if message.role == "user"]


async def _warn_of_langflow(context: CommandContext) -> None:
    """Show a notice if the model's server can't go back with the thread."""
    if context.conversation.model_name.provider == LANGFLOW:
        await context.show(Notice(NEW_SESSION))


def _table(title: str, turns: "Sequence[Turn]") -> Listing:
    rows = []
    for row in tree_rows(turns):
        note = "  <- you are here" if row.here else ""
        rows.append((f"{'*' if row.current else ' '} {row.number}", f"{'| ' * row.depth}{row.title}{note}"))
    return Listing(title, ("turn", "question"), tuple(rows))


def _number(text: str, *, default: int) -> int:
    if not text:
        return default
    if not text.isdecimal():
        raise UsageError(f"{text!r} is not a number")
    return int(text)


@dataclass(frozen=True, slots=True)
class TreeRow:
    """A turn in the tree of a thread's branches; `title` is the beginning of its question, untrusted text."""

    number: int
    title: str
    depth: int
    """How many forks it stands behind, on branches that do not continue the one of the fork."""
    begins: bool
    """Whether such a branch begins with it."""
    current: bool
    """Whether it is on the current branch."""
    here: bool
    """Whether the current branch ends with it."""
    forks: bool
    """Whether several turns follow it."""


async def show_tree(context: CommandContext, arguments: str) -> TurnRequest | None:
    """Go to a turn of any branch, or take over its summary."""
    conversation = context.conversation
    session = await conversation.session()
    turns = await session.turns()
    if not turns:
        raise UsageError("the thread has no turns yet", remedy="Ask it something first.")
    word, _, number = arguments.partition(" ")
    line = None if arguments else await context.screen.walk(list(tree_rows(turns)), session.excerpts_around)
    if line is not None:
        chosen = parse_command(line)
        return None if chosen is None else await run_command(chosen, context)
    if arguments in ("", LIST):
        excerpts: dict[int, Excerpt] = {}
        async for found in session.excerpts():
            excerpts |= found
        await context.show(tree_listing(turns, excerpts))
    elif word == SUMMARY and number.isdecimal():
        turn = _find_turn(turns, int(number))
        await context.show(Notice(f"summarising the branch of turn {number}", passing=True))
        summary = await conversation.take_over(turn)
        told = "from now on this summary is sent as a message of this branch; /undo takes it back:"
        await context.show(Notice(f"{told}\n{summary}"))
    else:
        raise UsageError(f"/tree takes {LIST}, or {SUMMARY} and the number of a turn", remedy=f"/tree {SUMMARY} 2")
    return None


def _find_turn(turns: "Sequence[Turn]", number: int) -> "Turn":
    chosen = next((turn for turn in turns if turn.number == number), None)
    if chosen is None:
        raise UsageError(f"there is no turn {number}", remedy="See /history.")
    return chosen


def tree_rows(turns: "Sequence[Turn]") -> Iterator[TreeRow]:
    """Yield the rows of the tree: the turns of a branch in one column, other branches indented after their fork."""
    here = max((turn.number for turn in turns if turn.current), default=None)
    children: dict[int | None, list[Turn]] = {}
    for turn in turns:
        children.setdefault(turn.parent, []).append(turn)

    def following(number: int | None, depth: int) -> "list[tuple[Turn, int, bool]]":
        # The branch that continues at this depth is popped last, so that the others are shown before it.
        ordered = sorted(children.get(number, ()), key=lambda turn: (not turn.current, -turn.number))
        return [(turn, depth + (index > 0), index > 0) for index, turn in enumerate(ordered)]

    pending = following(None, 0)
    while pending:
        turn, depth, begins = pending.pop()
        yield TreeRow(
            turn.number,
            turn.title,
            min(depth, MAX_DEPTH),
            begins=begins,
            current=turn.current,
            here=turn.number == here,
            forks=len(children.get(turn.number, ())) > 1,
        )
        pending.extend(following(turn.number, depth))


def tree_listing(turns: "Sequence[Turn]", excerpts: "Mapping[int, Excerpt]") -> Listing:
    """Return the tree as a table: the turns, their questions, and the beginnings of the answers in `excerpts`."""
    rows = []
    for row in tree_rows(turns):
        note = HERE if row.here else ""
        indent = "| " * (row.depth - 1) + "+ " if row.begins else "| " * row.depth
        question = truncate(f"{indent}{row.title}", QUESTION_WIDTH - len(note)) + note
        answer = excerpts[row.number].answer[: ANSWER_WIDTH * 10] if row.number in excerpts else ""
        shown = truncate(one_line(answer), ANSWER_WIDTH)
        rows.append((f"{'*' if row.current else ' '} {row.number}", question, shown))
    return Listing("Tree", ("turn", "question", "answer"), tuple(rows))


def tree_as_json(turns: "Sequence[Turn]", excerpts: "Mapping[int, Excerpt]") -> list[dict[str, Any]]:
    """Return the tree as JSON: the turns in the order in which they were asked, each with the one that it follows."""
    return [
        {
            "turn": turn.number,
            "parent": turn.parent,
            "question": excerpts[turn.number].question if turn.number in excerpts else turn.title,
            "answer": excerpts[turn.number].answer if turn.number in excerpts else "",
            "current": turn.current,
        }
        for turn in turns
    ]


COMMANDS = (
    Command("retry", "", retry, "Answers"),
    Command("continue", "", go_on, "Answers", only="graph"),
    Command("edit", "[N]", edit, "Answers", in_editor=False),
    Command("undo", "[N]", undo, "Answers"),
    Command("fork", "[NAME]", fork, "Answers", in_editor=False),
    Command("rewind", "[N]", rewind, "Answers"),
    Command("history", "", show_history, "Answers"),
    Command("tree", "[summary N]", show_tree, "Answers"),
)
