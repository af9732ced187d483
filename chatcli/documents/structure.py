"""The structure of Markdown, reStructuredText, tables, source code and Jupyter notebooks, by their lines."""

import ast
import csv
import json
import re
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import accumulate, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from chatcli.documents.passage import Passage
from chatcli.documents.split import MAX_LINE, Cut, Outline, prose_outline, split

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_WHOLE = frozenset(("fence", "code_block", "table_open", "html_block"))
"""What is not cut if it fits into a passage."""
_BLOCKS = _WHOLE | {"paragraph_open", "list_item_open", "blockquote_open", "bullet_list_open", "ordered_list_open"}
MAX_HEADING = 200
"""Characters of a heading that are kept."""
_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}\s*")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_MAX_PARSED = 512 * 1024
"""Characters of the longest Python that is parsed: its tree takes a hundred times its size."""
_MODIFIERS = (
    "export|default|public|private|protected|internal|static|final|abstract|async|pub|unsafe|extern|inline|virtual"
    "|override|open|data|sealed|partial|local|const"
)
_WORDS = (
    "class|struct|interface|enum|trait|impl|module|namespace|fn|func|function|def|sub|proc|protocol|extension|object"
    "|package|type"
)
_DEFINITION = re.compile(
    rf"(?:(?:{_MODIFIERS})(?:\([^)]*\))?\s+)*({_WORDS})\b\*?\s*(?:\([^)]*\)\s*|<[^>]*>\s*)?([A-Za-z_$][\w$.:]*)"
)
_MAX_HEAD = 300
"""Characters of a line in which the name of a definition is looked for."""
_ABOVE = ("#", "//", "/*", "*", "@", "--", ";;", "[<", "///", "%%")
_CLOSING = ("}", ")", "]", "end", "*/")
_DELIMITERS = ",;\t|"
_DECODER = json.JSONDecoder()
_BLANKS = re.compile(r"[ \t\n\r]*")
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)")
_NEWLINES = frozenset(("\\n", "\\u000a", "\\u000A"))
_HEADING = re.compile(r"(#{1,6})[ \t]+(.+)")
Range = tuple[int, int]


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
    outline = prose_outline(lines)
    tokens = _markdown_parser().parse("\n".join(lines))
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


@cache
def _markdown_parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt  # imported where it is needed: it takes some time

    parser = MarkdownIt("commonmark").enable("table")
    # Blocks alone are wanted. A definition of a link is read as a paragraph: that takes less time for thousands.
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser.disable("reference")


def rest_outline(lines: Sequence[str]) -> Outline:
    """Return the structure of reStructuredText: its titles, and its paragraphs."""
    outline = prose_outline(lines)
    trail, levels = Trail(), dict[str, int]()
    for line, text in enumerate(lines):
        below = _adornment(lines, line + 1)
        title = text.strip()
        before = lines[line - 1].strip() if line else ""
        if not below or not title or _adornment(lines, line) or len(lines[line + 1].strip()) < min(len(title), 3):
            continue
        above = _adornment(lines, line - 1) == below
        if before and not above:
            continue  # the end of a paragraph, or a table
        start = line - above
        outline.cuts[start : line + 2] = [Cut.SECTION] + [Cut.BAD] * (line + 1 - start)
        level = levels.setdefault(below * (1 + above), len(levels))
        outline.sections.append((start, trail.add(level, title)))
    return outline


def _adornment(lines: Sequence[str], line: int) -> str:
    """Return the sign that the whole `line` repeats, empty if it does not."""
    found = _ADORNMENT.fullmatch(lines[line]) if 0 <= line < len(lines) else None
    return found[1] if found else ""


def python_outline(lines: Sequence[str]) -> Outline:
    """Return the structure of Python: its classes and functions, with their decorators and the comments above."""
    source = "\n".join(lines)
    if len(source) > _MAX_PARSED:
        return code_outline(lines)
    try:
        with warnings.catch_warnings():  # of the code, such as an escape that does not exist
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code_outline(lines)
    outline = prose_outline(lines)
    _add_definitions(lines, tree.body, (), outline)
    return outline


def _add_definitions(lines: Sequence[str], body: Sequence[ast.stmt], trail: tuple[str, ...], outline: Outline) -> None:
    for node in body:
        if isinstance(node, _DEFINITIONS):
            first = min((node.lineno, *(decorator.lineno for decorator in node.decorator_list))) - 1
            start = _with_comments(lines, first, outline.sections[-1][0] + 1 if outline.sections else 0)
            inner = (*trail, node.name)
            outline.cuts[start : node.lineno] = [Cut.SECTION] + [Cut.BAD] * (node.lineno - start - 1)
            outline.sections.append((start, inner))
            if isinstance(node, ast.ClassDef):
                _add_definitions(lines, node.body, inner, outline)
            if (end := node.end_lineno or node.lineno) < len(lines):
                outline.sections.append((end, trail))
        else:
            line = node.lineno - 1
            outline.cuts[line] = max(outline.cuts[line], Cut.SENTENCE)


def _with_comments(lines: Sequence[str], line: int, earliest: int) -> int:
    """Return the first of the lines of comment, decoration or attributes that stand right above `line`."""
    while line > earliest and lines[line - 1].lstrip().startswith(_ABOVE):
        line -= 1
    return line


def code_outline(lines: Sequence[str]) -> Outline:
    """Return the structure of source code or data by its indentation, blank lines, and words such as `class`."""
    outline = prose_outline(lines)
    trail, blank, named = Trail(), True, False
    free = 0
    for line, text in enumerate(lines):
        stripped = text.lstrip()
        indent = len(text) - len(stripped)
        found = _DEFINITION.match(stripped[:_MAX_HEAD]) if stripped else None
        if found and found[2]:
            start = _with_comments(lines, line, free)
            outline.cuts[start : line + 1] = [Cut.SECTION if not indent else Cut.BLOCK] + [Cut.BAD] * (line - start)
            outline.sections.append((start, trail.add(indent, found[2])))
            named, free = True, line + 1
        elif stripped and not indent:
            if stripped.startswith(_CLOSING):
                outline.cuts[line] = Cut.BAD
            elif blank and named and not stripped.startswith(_ABOVE):
                trail, named = Trail(), False
                outline.sections.append((line, ()))
            if not blank and outline.cuts[line] is not Cut.BAD:
                outline.cuts[line] = Cut.SENTENCE
        elif blank and stripped:
            outline.cuts[line] = Cut.SENTENCE
        blank = not stripped
    return outline


def table_outline(lines: Sequence[str]) -> Outline:
    """Return the structure of a table, whose rows stay whole; each may have several lines."""
    delimiter = _delimiter(lines)
    cuts = [Cut.BAD] * len(lines)
    rows = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter)
    start = 0
    try:
        for _ in rows:
            cuts[start] = Cut.BLOCK
            start = rows.line_num
    except csv.Error:  # a value of 100,000 characters: a quotation mark that is never closed
        return prose_outline(lines)
    return Outline(cuts)


def table_header(lines: Sequence[str]) -> str:
    """Return the first line of a table if it names the columns, else an empty string."""
    names = [name.strip() for name in lines[0].split(_delimiter(lines))]
    named = len(names) > 1 and all(name and not name.strip("'\"")[:1].isdigit() for name in names)
    return lines[0] if named and len(lines[0]) <= _MAX_HEADER else ""


_MAX_HEADER = 500
"""Characters of the longest header that is repeated in every passage."""


def _delimiter(lines: Sequence[str]) -> str:
    return max(_DELIMITERS, key=lines[0].count)


OUTLINES: dict[str, Callable[[Sequence[str]], Outline]] = {}
"""The structure of a text by the ending of its name; anything else is prose."""


for _outline, _endings in (
    (markdown_outline, ".md .markdown .mdx .mkd .mdown .qmd .rmd"),
    (rest_outline, ".rst .rest"),
    (python_outline, ".py .pyi .pyw"),
    (table_outline, ".csv .tsv"),
    (
        code_outline,
        ".c .h .cc .cpp .cxx .hpp .hh .cs .java .kt .kts .scala .groovy .go .rs .swift .m .mm .js .jsx .mjs .cjs .ts"
        " .tsx .vue .svelte .php .rb .pl .pm .lua .r .jl .hs .ml .fs .ex .exs .erl .clj .el .lisp .dart .zig .nim .sh"
        " .bash .zsh .fish .ps1 .sql .tf .cmake .gradle .proto .graphql .css .scss .less .asm .s .v .vhd .pyx .json"
        " .jsonl .yaml .yml .toml .ini .cfg .conf .xml",
    ),
):
    OUTLINES |= dict.fromkeys(_endings.split(), _outline)


class _Part(NamedTuple):
    """A part of a cell; its lines of the file may hold other parts, too."""

    place: Range
    """Where it begins and ends in the file."""
    headings: tuple[str, ...]
    plain: str


def notebook_passages(path: Path, lines: Sequence[str]) -> list[Passage] | None:
    """Return the passages of the notebook `path`, whose JSON is `lines`; None if it is not one.

    A passage is whole lines of the file. Several parts of cells in one line are one passage; if the line is too long,
    each is the part of the line where it stands.
    """
    text = "\n".join(lines)
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    found: list[Passage] = []
    try:
        placed = [
            (bisect_right(starts, part.place[0]) - 1, bisect_right(starts, part.place[1]) - 1, part)
            for part in _parts(text)
        ]
    except (ValueError, IndexError, RecursionError):
        return None
    for line, group in groupby(placed, key=lambda each: each[0]):
        parts = list(group)
        last = parts[-1][1]
        if found and found[-1].end_line == line + 1:
            return None  # parts that share some of their lines: no program writes that
        if last == line and len(lines[line]) > MAX_LINE:
            for _, _, part in parts:
                place = text[slice(*part.place)]
                found.append(Passage(path, place, line + 1, last + 1, headings=part.headings, plain=part.plain))
        else:
            plain = "\n\n".join(part.plain for _, _, part in parts)
            whole = "\n".join(lines[line : last + 1])
            found.append(Passage(path, whole, line + 1, last + 1, headings=parts[0][2].headings, plain=plain))
    return found


def _parts(text: str) -> Iterator[_Part]:
    trail, headings = Trail(), tuple[str, ...]()
    for kind, source, places in _cells(text):
        outline = markdown_outline(source) if kind == "markdown" else code_outline(source)
        for first, last in split(source, outline):
            for line in source[first:last] if kind == "markdown" else ():
                if heading := _HEADING.match(line):
                    headings = trail.add(len(heading[1]), heading[2])
            yield _Part((places[first][0], places[last - 1][1]), headings, "\n".join(source[first:last]))


def _cells(text: str) -> Iterator[tuple[str, list[str], list[Range]]]:
    """Yield each cell: its kind, the lines of its source, and where in the file each of these lines is."""
    for key, cells, start, _ in _items(text, 0):
        if key != "cells" or not isinstance(cells, list):
            continue
        for _, cell, at, _ in _items(text, start):
            for name, source, begin, end in _items(text, at) if isinstance(cell, dict) else ():
                if name != "source" or not isinstance(source, str | list):
                    continue
                strings = [(source, begin, end)] if isinstance(source, str) else []
                for _, value, first, last in _items(text, begin) if isinstance(source, list) else ():
                    if not isinstance(value, str):
                        raise ValueError(value)
                    strings.append((value, first, last))
                if strings:
                    joined = "".join(value for value, _, _ in strings)
                    lines = joined.encode("utf-8", "replace").decode().split("\n")  # half a pair of code units is none
                    yield str(cell.get("cell_type")), lines, _places(text, [place for _, *place in strings])


def _places(text: str, strings: Sequence[Sequence[int]]) -> list[Range]:
    """Return where each line of the `strings`, which begin and end there with a quotation mark, stands in `text`."""
    places: list[Range] = []
    start: int | None = None
    for first, last in strings:
        start = first + 1 if start is None else start
        for escape in _ESCAPE.finditer(text, first + 1, last - 1):
            if escape[0] in _NEWLINES:
                places.append((first + 1 if start is None else start, escape.start()))
                start = escape.end() if escape.end() < last - 1 else None
    end = strings[-1][1] - 1
    return [*places, (end if start is None else start, end)]


def _items(text: str, at: int) -> Iterator[tuple[object, Any, int, int]]:
    """Yield the key, the value, its beginning and its end of each item of the object or array at `at` of `text`."""
    at = _skip(text, at)
    if text[at] not in "[{":
        raise ValueError(text[at])
    keyed = text[at] == "{"
    at = _skip(text, at + 1)
    while text[at] not in "]}":
        key = None
        if keyed:
            key, at = _DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        value, end = _DECODER.raw_decode(text, at)
        yield key, value, at, end
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    return _BLANKS.match(text, at).end()  # type: ignore[union-attr]
