"""The structure of Markdown, reStructuredText and source code, by their lines."""

from collections.abc import Iterable, Sequence

from markdown_it import MarkdownIt

from chatcli.documents.split import Cut, Outline, prose_cuts

_WHOLE = frozenset(("fence", "code_block", "table_open", "html_block"))
"""What is not cut if it fits into a passage."""
_BLOCKS = _WHOLE | {"paragraph_open", "list_item_open", "blockquote_open", "bullet_list_open", "ordered_list_open"}
MAX_HEADING = 200
"""Characters of a heading that are kept."""


class Trail:
    """The headings around the place that a reader of a text has reached."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []

    def add(self, level: int, heading: str) -> tuple[str, ...]:
        """Return the headings around a section of `level`, its own the last; a lower number is further out."""
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        self._open.append((level, heading.strip()[:MAX_HEADING]))
        return tuple(text for _, text in self._open if text)


def markdown_outline(lines: Sequence[str]) -> Outline:
    """Return the structure of Markdown: its headings and blocks; a fence or a table stays whole if it fits."""
    parser = MarkdownIt("commonmark").enable("table")
    # Blocks alone are wanted. A definition of a link is read as a paragraph: that takes less time for thousands.
    parser.core.ruler.enableOnly(["normalize", "block"])
    parser.disable("reference")
    outline = Outline(prose_cuts(lines))
    tokens = parser.parse("\n".join(lines))
    trail = Trail()
    for place, token in enumerate(tokens):
        if token.map is None or token.map[0] >= len(lines):
            continue
        start, end = token.map
        if token.type in _WHOLE:
            outline.cuts[start + 1 : end] = [Cut.BAD] * (min(end, len(lines)) - start - 1)
        if token.type in _BLOCKS:
            outline.cuts[start] = max(outline.cuts[start], Cut.BLOCK)
        elif token.type == "heading_open" and token.level == 0:
            outline.cuts[start : start + 1] = [Cut.SECTION]
            outline.sections.append((start, trail.add(int(token.tag[1:]), tokens[place + 1].content)))
    return outline


OUTLINES = {"markdown": markdown_outline}
_TYPES: dict[str, Iterable[str]] = {"markdown": (".md", ".markdown", ".mdx", ".mkd", ".qmd", ".rmd")}
KIND_BY_ENDING = {ending: kind for kind, endings in _TYPES.items() for ending in endings}
