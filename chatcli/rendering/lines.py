"""Styled lines of a known width: what Markdown and tool calls become before they become bytes."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.cells import cell_len, chop_cells
from rich.style import Style

from chatcli.events import ApprovalRequested, ToolCallFinished, ToolCallStarted
from chatcli.sanitize import sanitize, sanitize_line
from chatcli.tool_text import call_text, is_review, result_text, reviewed_actions

_EVERY_DECISION = ("approve", "edit", "reject")
_FORMS = {"edit": "edit {new arguments as JSON}", "reject": "reject [reason]", "respond": "respond TEXT"}

# Scripts written without spaces may break after any character, but not before a closing punctuation mark.
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uff21-\uff5a\U00020000-\U0003ffff"
_CLOSERS = "\u3001\u3002\u300d\u300f\u3011\uff01\uff09\uff0c\uff1a\uff1b\uff1f\u30fc\u2026"
_PIECES = re.compile(rf" +|[{_IDEOGRAPHS}][{_CLOSERS}]*|[^ {_IDEOGRAPHS}]+")


class Run(NamedTuple):
    """Some text of one style, without newlines and control characters."""

    text: str
    style: Style


Line = tuple[Run, ...]
EMPTY: Line = ()


def plain_text(line: Line) -> str:
    """Return the text of `line` without its styles."""
    return "".join(run.text for run in line)


def width_of(line: Line) -> int:
    """Return the number of terminal cells that `line` takes."""
    return sum(cell_len(run.text) for run in line)


def join(runs: Iterable[Run]) -> Line:
    """Return `runs` as a line, neighbours of one style made one."""
    merged: list[Run] = []
    for run in runs:
        if not run.text:
            continue
        if merged and merged[-1].style == run.style:
            merged[-1] = Run(merged[-1].text + run.text, run.style)
        else:
            merged.append(run)
    return tuple(merged)


def split_lines(runs: Iterable[Run]) -> list[Line]:
    """Cut runs that still have newlines into lines."""
    lines: list[list[Run]] = [[]]
    for text, style in runs:
        first, *others = text.split("\n")
        lines[-1].append(Run(first, style))
        lines.extend([Run(other, style)] for other in others)
    return [join(line) for line in lines]


def wrap(line: Line, width: int) -> list[Line]:
    """Break `line` between words, and words that are longer than `width` anywhere."""
    text = plain_text(line)
    if cell_len(text) <= width:
        return [line]
    return list(_slices(line, _break(text, max(width, 1))))


def fold(line: Line, width: int) -> list[Line]:
    """Break `line` exactly where `width` is full, as code wants it."""
    text = plain_text(line)
    if cell_len(text) <= width:
        return [line]
    ranges = []
    start = 0
    for piece in _chop(text, max(width, 1)):
        ranges.append((start, start + len(piece)))
        start += len(piece)
    return list(_slices(line, ranges))


def _chop(text: str, width: int) -> list[str]:
    # rich begins with an empty piece when the first character alone is too wide.
    return [piece for piece in chop_cells(text, width) if piece]


def _break(text: str, width: int) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    start = end = column = 0  # the open line, without the spaces at its end
    for match in _PIECES.finditer(text):
        piece = match.group()
        cells = cell_len(piece)
        if piece[0] == " ":
            if end > start or not ranges:
                column += cells
            continue
        if column + cells > width and end > start:
            ranges.append((start, end))
            column = 0
            start = end = match.start()
        elif end == start and ranges:
            start = match.start()
        if column + cells > width:
            *full, last = _chop(piece, width)
            position = match.start()
            for part in full:
                ranges.append((position, position + len(part)))
                position += len(part)
            start, column, cells = position, 0, cell_len(last)
        column += cells
        end = match.end()
    ranges.append((start, end))
    return ranges


def _slices(line: Line, ranges: Sequence[tuple[int, int]]) -> Iterator[Line]:
    """Yield the part of `line` in each of the ascending `ranges` of characters."""
    index = offset = 0  # the run that the next range begins in, and where that run begins
    for start, end in ranges:
        parts: list[Run] = []
        while index < len(line):
            text, style = line[index]
            part = text[max(start - offset, 0) : max(end - offset, 0)]
            if part:
                parts.append(Run(part, style))
            if offset + len(text) > end:
                break
            offset += len(text)
            index += 1
        yield tuple(parts)


@dataclass
class OpenCalls:
    """The calls of a turn that have begun and not ended, and the line that each is shown as."""

    _calls: dict[str, str] = field(default_factory=dict)

    def start(self, event: ToolCallStarted) -> None:
        """Note that a call has begun."""
        self._calls[event.call_id] = sanitize_line(call_text(event.name, event.arguments))

    def finish(self, event: ToolCallFinished) -> str:
        """Return the line of a call that has ended."""
        call = self._calls.pop(event.call_id, sanitize_line(event.name))
        return f"{call} {sanitize_line(result_text(event.content, failed=event.status == 'error'))}"

    @property
    def lines(self) -> list[str]:
        """The line of each call that is still open."""
        return list(self._calls.values())

    def clear(self) -> list[str]:
        """Forget the open calls; return their lines."""
        lines = self.lines
        self._calls.clear()
        return lines


def request_lines(request: ApprovalRequested) -> list[str]:
    """Return what a graph asks, readably, and how to answer; with its ID where the graph waits for several answers."""
    lines = [f"Interrupt {sanitize_line(request.interrupt_id)}:"] if request.among > 1 else []
    if not is_review(request.payload):
        schema = request.response_schema or {}
        kind = f" ({schema['type']})" if isinstance(schema.get("type"), str) else ""
        return [*lines, *payload_lines(request.payload), f"Type the answer{kind}: text, or a JSON object or list."]
    problem = request.payload.get("problem")  # with an answer that was no decision, says our own graph
    lines += [f"error: {sanitize_line(str(problem))}"] if problem else []
    actions = reviewed_actions(request.payload)
    for action in actions:
        # Whole: what is approved unseen might be anything.
        lines.append(sanitize_line(call_text(str(action.get("name", "")), action.get("args") or {}, whole=True)))
        if description := str(action.get("description") or ""):
            lines += [f"  {line}" for line in sanitize(description).splitlines() if line.strip()]
    allowed = [kind for kind in _EVERY_DECISION if all(kind in (a.get("allowed") or _EVERY_DECISION) for a in actions)]
    allowed += ["respond"] if all("respond" in (a.get("allowed") or ()) for a in actions) else []
    forms = [_FORMS.get(kind, kind) for kind in allowed]
    for scope in (actions[0].get("scopes") or ()) if actions else ():
        forms.insert(1, f"approve {sanitize_line(str(scope))}")
    rules = dict.fromkeys(sanitize_line(str(action["rule"])) for action in actions if action.get("rule"))
    if rules and len(forms) > len(allowed):
        lines.append(f"approve thread or always: every call like {', '.join(rules)}")
    return [*lines, f"Answer: {', '.join(forms)}."]


def payload_lines(payload: object) -> list[str]:
    """Return a payload of any kind as lines: an object's fields one a line, lists and what is nested as JSON."""
    if isinstance(payload, str):
        return sanitize(payload).splitlines() or [""]
    if isinstance(payload, Mapping):
        lines = []
        for key, value in payload.items():
            shown = sanitize(value) if isinstance(value, str) else _json(value)
            lines += f"{sanitize_line(str(key))}: {shown}".splitlines()
        return lines
    return _json(payload).splitlines()


def _json(value: object) -> str:
    return sanitize(json.dumps(value, ensure_ascii=False, indent=2, default=str))
