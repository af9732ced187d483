"""The passages of a web page: its lines as they are, and the text that is seen of them."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from chatcli.attachments.html import html_pieces, join_pieces
from chatcli.documents.passage import Passage
from chatcli.documents.split import MAX_LINE, MAX_PASSAGE, Cut, Outline, passages, prose_cuts
from chatcli.documents.structure import Trail

_HEADING = re.compile(r"(/?)h([1-6])")
_TAG = re.compile(r"(?=<(?:p|div|li|h[1-6]|tr|section|article|dt|dd|br|pre|table|ul|ol)\b)", re.IGNORECASE)


def web_page_passages(path: Path, lines: Sequence[str]) -> list[Passage]:
    """Return the passages of the web page `path`, whose source is `lines`."""
    page = "\n".join(lines)
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    pieces = list(html_pieces(page))
    ends = [end for _, end, _ in pieces]

    def plain(start: int, end: int) -> str:
        first, texts = bisect_right(ends, start), list[str | None]()
        for place in range(first, len(pieces)):
            begin, stop, tag = pieces[place]
            if begin >= end:
                break
            texts.append(None if tag else page[max(begin, start) : min(stop, end)])
        return join_pieces(texts)

    # What is seen counts; but the markup around it must stay small enough to be looked at.
    weights = [len(line) * MAX_PASSAGE // MAX_LINE for line in lines]
    for begin, stop, tag in pieces:
        if not tag:
            _weigh(weights, starts, begin, stop)
    return passages(path, lines, _outline(page, lines, starts, pieces), plain=plain, weights=weights, breaks=_TAG)


def _weigh(weights: list[int], starts: Sequence[int], begin: int, stop: int) -> None:
    line = bisect_right(starts, begin) - 1
    while begin < stop:
        end = min(stop, starts[line + 1])
        weights[line] += end - begin
        begin, line = end, line + 1


def _outline(page: str, lines: Sequence[str], starts: Sequence[int], pieces: Sequence[tuple[int, int, str]]) -> Outline:
    outline = Outline(prose_cuts(lines))
    trail, heading, texts = Trail(), (0, 0), list[str]()
    indents = [start + len(line) - len(line.lstrip()) for start, line in zip(starts, lines, strict=False)]
    for begin, stop, tag in pieces:
        line = bisect_right(starts, begin) - 1
        if not tag:
            if heading[1]:
                texts.append(page[begin:stop])
            continue
        found = _HEADING.fullmatch(tag)
        first = begin == indents[line]
        if found and found[1] and heading[1]:
            outline.sections.append((heading[0], trail.add(heading[1], join_pieces(texts).replace("\n", " "))))
            heading = (0, 0)
        elif found and not found[1]:
            heading, texts = (line, int(found[2])), []
            outline.cuts[line] = Cut.SECTION if first else outline.cuts[line]
        elif first:
            outline.cuts[line] = max(outline.cuts[line], Cut.LINE if tag.startswith("/") else Cut.BLOCK)
    return outline
