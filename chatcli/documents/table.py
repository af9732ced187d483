"""The structure of tables in text: rows of values that commas, tabs or other signs separate."""

import csv
from collections.abc import Sequence

from chatcli.documents.split import Cut, Outline, prose_outline

_DELIMITERS = ",;\t|"


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
