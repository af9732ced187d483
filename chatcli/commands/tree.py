"""The command about all branches of a thread at once: /tree."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chatcli.commands.lines import parse_command
from chatcli.commands.registry import Command, CommandContext, run_command
from chatcli.errors import UsageError
from chatcli.events import Listing, Notice
from chatcli.sessions.requests import TurnRequest
from chatcli.text import one_line, truncate

if TYPE_CHECKING:
    from chatcli.message import Excerpt
    from chatcli.sessions.history import Turn

LIST, SUMMARY = "list", "summary"
HERE = "  <- here"
"""What follows the question of the turn with which the current branch ends."""
MAX_DEPTH = 8
"""How deep a fork in a fork is indented; deeper ones stand there, too."""
QUESTION_WIDTH, ANSWER_WIDTH = 36, 26
"""The columns of the printed tree, which fits 80 columns."""


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
        turn = find_turn(turns, int(number))
        await context.show(Notice(f"summarising the branch of turn {number}", passing=True))
        summary = await conversation.take_over(turn)
        told = "from now on this summary is sent as a message of this branch; /undo takes it back:"
        await context.show(Notice(f"{told}\n{summary}"))
    else:
        raise UsageError(f"/tree takes {LIST}, or {SUMMARY} and the number of a turn", remedy=f"/tree {SUMMARY} 2")
    return None


def find_turn(turns: "Sequence[Turn]", number: int) -> "Turn":
    """Return the turn `number`; refuse a number that no turn has."""
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


COMMANDS = (Command("tree", "[summary N]", show_tree, "Answers"),)
