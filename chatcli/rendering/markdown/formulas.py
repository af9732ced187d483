# ruff: noqa: RUF001 - these are the symbols of mathematics
"""LaTeX formulas as Unicode text: letters, scripts, fractions and roots. What has no good text form is refused.

The source is read once, from left to right. Spaces come from the kinds of symbols, as in TeX: `a=b` is `a = b`.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len

from chatcli.rendering.markdown import symbols
from chatcli.rendering.markdown.symbols import Kind

MAX_LENGTH = 2000
"""The most characters of a formula. A longer one is shown as it is written."""
_MAX_ACCENTED = 4
"""The most letters under one accent."""
_MAX_DEPTH = 20
"""The most levels of groups in each other. A formula with more is shown as it is written."""

_DELIMITERS = re.compile(r"\\\((.*)\\\)|\\\[(.*)\\\]|\$\$(.*)\$\$|\$(.*)\$", re.DOTALL)
_TOKEN = re.compile(r"\\operatorname\*|\\[A-Za-z]+|\\.|\s+|:=|.", re.DOTALL)
_SPACE_OR_DIGIT = re.compile(r"\s|\d")

_ORDINARIES = {Kind.ORDINARY, Kind.SYMBOL}
_OPERANDS = {*_ORDINARIES, Kind.CLOSE, Kind.INNER}
_UNITS = {*_ORDINARIES, Kind.CLOSE}
_CLOSING_BRACKETS = {*")]}⟩⌋⌉|‖"}


class _Atom(NamedTuple):
    """A part of a formula, with its kind on both sides."""

    text: str
    left: Kind
    right: Kind
    spaced: bool = False
    """Whether a space is written before it."""


class _NoText(Exception):  # noqa: N818 - it is caught in this module
    """The formula has no good text form."""


@lru_cache(maxsize=512)
def formula_text(source: str) -> str | None:
    """Return the formula `source`, with its delimiters, as lines of text; None if it has no good text form."""
    match = _DELIMITERS.fullmatch(source)
    if match is None or len(source) > MAX_LENGTH:
        return None
    try:
        text = _Reader(match[match.lastindex or 0]).whole()
    except _NoText:
        return None
    return text or None


def script_text(text: str, *, above: bool) -> str:
    """Return `text` in small characters above or below the line; after `^` or `_`, if it has others."""
    table = symbols.SUPERSCRIPTS if above else symbols.SUBSCRIPTS
    if all(character in table for character in text):
        return "".join(table[character] for character in text)
    mark = "^" if above else "_"
    is_word = len(text) > 2 and text.isascii() and text.isalpha()
    return f"{mark}{text}" if len(text) == 1 or is_word or _is_enclosed(text) else f"{mark}({text})"


class _Reader:
    def __init__(self, source: str) -> None:
        self._tokens = _TOKEN.findall(source)
        self._position = 0
        self._depth = 0
        self._constructs: dict[str, Callable[[], _Atom]] = {
            "{": self._group,
            "\\left": lambda: _atom(self._delimiter(), Kind.OPEN),
            "\\right": lambda: _atom(self._delimiter(), Kind.CLOSE),
            "\\middle": lambda: _atom(self._delimiter(), Kind.RELATION),
            "\\sqrt": self._root,
            "\\binom": self._binomial,
            "\\dbinom": self._binomial,
            "\\boxed": self._group_argument,
            "\\pmod": lambda: _atom(f"(mod {_join(self._argument())})", Kind.INNER),
            "\\tag": lambda: _atom(f"  ({self._raw_argument()})", Kind.SPACE),
            "\\not": self._negated,
            "\\begin": self._environment,
            "'": lambda: _atom("′", Kind.CLOSE),
        }
        self._constructs |= dict.fromkeys(symbols.FRACTIONS, self._fraction)
        self._constructs |= dict.fromkeys(symbols.COLORS, self._colored)
        self._constructs |= dict.fromkeys(symbols.HORIZONTAL, self._distance)

    def whole(self) -> str:
        """Return the text of the whole formula, whose rows may be lines."""
        cells = self._cells("")
        if any(len(row) > 1 for row in cells):
            raise _NoText
        return "\n".join(_join(row[0]) for row in cells if row[0])

    def _cells(self, end: str) -> list[list[list[_Atom]]]:
        """Return the rows of cells up to the part `end`, or to the end of the source if it is empty."""
        self._enter()
        rows: list[list[list[_Atom]]] = [[[]]]
        while (part := self._next()) != end:
            if not part:
                raise _NoText
            if part in {"\\\\", "\\cr"}:
                rows.append([[]])
                if self._peek() == "[" and "]" in self._tokens[self._position : self._position + 8]:  # a distance
                    while self._next() != "]":
                        pass
            elif part == "&":
                rows[-1].append([])
            else:
                self._add(rows[-1][-1], part)
        self._depth -= 1
        return rows

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _NoText

    def _peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def _next(self) -> str:
        part = self._peek()
        self._position += 1
        return part

    def _next_visible(self) -> str:
        while (part := self._next()).isspace():
            pass
        return part

    def _add(self, atoms: list[_Atom], part: str) -> None:
        """Add what begins with `part` to `atoms`, with its scripts."""
        if part.isspace() or part in symbols.IGNORED:
            return
        spaced = self._position > 1 and self._tokens[self._position - 2].isspace()
        if part in symbols.SPACES:
            atoms.append(_atom(" " * int(symbols.SPACES[part]), Kind.SPACE))
        elif part in {"^", "_"}:
            base = atoms.pop() if atoms and atoms[-1].right is not Kind.SPACE else _atom("", Kind.ORDINARY)
            atoms.append(self._scripts(base, part))
        else:
            atoms.append(self._atom(part)._replace(spaced=spaced))

    def _atom(self, part: str) -> _Atom:
        """Return the atom that begins with `part`, without its scripts."""
        if construct := self._constructs.get(part):
            return construct()
        if part in symbols.TEXTS:
            return _atom(self._raw_argument(), Kind.FUNCTION if "operator" in part else Kind.ORDINARY)
        if part in symbols.FONTS:
            return self._font(symbols.LETTERS.get(part, {}))
        if part in symbols.ARROWS:
            return _atom(f"─{_join(self._argument())}{symbols.ARROWS[part]}", Kind.RELATION)
        if part in symbols.ACCENTS:
            return self._accent(symbols.ACCENTS[part])
        if part == "," and self._in_number():
            return _atom(part, Kind.ORDINARY)
        if found := symbols.KNOWN.get(part):
            return _atom(*found)
        if not part or part[0] == "\\" or part in "}$&^_%#":
            raise _NoText
        return _atom(part, Kind.ORDINARY)

    def _in_number(self) -> bool:
        before = self._tokens[self._position - 2] if self._position > 1 else ""
        return before.isdigit() and self._peek().isdigit()

    def _argument(self) -> list[_Atom]:
        """Return the atoms of the next argument: a group in braces, or one atom."""
        part = self._next_visible()
        if part == "{":
            return self._list("}")
        self._enter()
        atom = self._atom(part)
        self._depth -= 1
        return [atom]

    def _list(self, end: str) -> list[_Atom]:
        rows = self._cells(end)
        if len(rows) > 1 or len(rows[0]) > 1:
            raise _NoText
        return rows[0][0]

    def _raw_argument(self) -> str:
        """Return the next argument as it is written."""
        if self._next_visible() != "{":
            raise _NoText
        parts: list[str] = []
        while (part := self._next()) != "}":
            if not part or part in {"{", "$"} or (part[0] == "\\" and part[1:] not in {*"_%$#& "}):
                raise _NoText
            parts.append(part.removeprefix("\\"))
        return re.sub(r"\s+", " ", "".join(parts))

    def _scripts(self, base: _Atom, part: str) -> _Atom:
        """Return `base` with the script that `part` begins."""
        text = _join(self._argument(), tight=True)
        if self._peek() == part:  # a second script of the same kind, which TeX refuses
            raise _NoText
        if base.left is Kind.INNER and base.text:
            base = _atom(f"({base.text})", Kind.ORDINARY)
        if part == "^" and text in {"∘", "°"}:
            return base._replace(text=f"{base.text}°")
        if part == "^" and text == "⊤":
            text = "T"
        if part == "^" and text in {"†", "‡"}:
            return base._replace(text=f"{base.text}{text}")
        script = script_text(text, above=part == "^")
        in_letters = script[:1] in {"^", "_"} and not script.endswith(")")
        right = Kind.INNER if in_letters and base.right in _UNITS else base.right
        return _Atom(base.text + script, base.left, right, base.spaced)

    def _group(self) -> _Atom:
        atoms = self._list("}")
        if len(atoms) == 1 and atoms[0].left not in {Kind.PUNCTUATION, Kind.BINARY, Kind.RELATION}:
            return atoms[0]
        return _atom(_join(atoms), Kind.ORDINARY)

    def _group_argument(self) -> _Atom:
        return _atom(_join(self._argument()), Kind.ORDINARY)

    def _delimiter(self) -> str:
        part = self._next_visible()
        if part == ".":
            return ""
        text, _ = symbols.KNOWN.get(part, (part, Kind.ORDINARY))
        if not text or (text[0] == "\\" and text != "\\"):
            raise _NoText
        return text

    def _fraction(self) -> _Atom:
        above, below = self._argument(), self._argument()
        numerator, denominator = _join(above), _join(below)
        if vulgar := symbols.VULGAR.get(f"{numerator}/{denominator}"):
            return _atom(vulgar, Kind.ORDINARY)
        if not numerator or not denominator:
            raise _NoText
        if not _is_product(above):
            numerator = _enclosed(numerator)
        if not _is_unit(below, denominator):
            denominator = _enclosed(denominator)
        return _atom(f"{numerator}/{denominator}", Kind.INNER)

    def _root(self) -> _Atom:
        degree = ""
        if self._peek() == "[":
            self._next()
            degree = _join(self._list("]"), tight=True)
        atoms = self._argument()
        text = _join(atoms)
        sign = symbols.ROOTS.get(degree) or f"{script_text(degree, above=True)}√"
        if sign[0] == "^":
            raise _NoText
        if _is_unit(atoms, text) and not any(atom.text[:1] in {"√", "∛", "∜"} for atom in atoms):
            return _Atom(sign + text, Kind.ORDINARY, Kind.INNER)
        return _atom(sign + _enclosed(text), Kind.ORDINARY)

    def _binomial(self) -> _Atom:
        above, below = _join(self._argument()), _join(self._argument())
        return _atom(f"({above} choose {below})", Kind.ORDINARY)

    def _colored(self) -> _Atom:
        self._raw_argument()
        return self._group_argument()

    def _distance(self) -> _Atom:
        self._raw_argument()
        return _atom(" ", Kind.SPACE)

    def _negated(self) -> _Atom:
        negated = symbols.NEGATED.get(self._next_visible())
        if negated is None:
            raise _NoText
        return _atom(negated, Kind.RELATION)

    def _font(self, letters: dict[str, str]) -> _Atom:
        atoms = self._argument()
        text = "".join(letters.get(character, character) for character in _join(atoms))
        return atoms[0]._replace(text=text) if len(atoms) == 1 else _atom(text, Kind.ORDINARY)

    def _accent(self, mark: str) -> _Atom:
        text = _join(self._argument(), tight=True)
        if not text.isalnum() or len(text) > _MAX_ACCENTED:
            raise _NoText
        accented = "".join(f"{character}{mark}" for character in text)
        return _atom(unicodedata.normalize("NFC", accented), Kind.SYMBOL)

    def _environment(self) -> _Atom:
        name = self._raw_argument()
        kind = name.removesuffix("*")
        if kind not in symbols.ROWS and kind not in symbols.MATRICES:
            raise _NoText
        outermost = self._depth == 1
        if kind == "array":
            self._raw_argument()  # how its columns are aligned
        rows = [row for row in self._cells("\\end") if any(row)]
        if self._raw_argument() != name:
            raise _NoText
        if kind in symbols.ROWS:
            if not outermost:
                raise _NoText
            return _atom(_aligned(rows), Kind.ORDINARY)
        opening, closing = symbols.MATRICES[kind]
        lines = [", ".join(filter(None, (_join(cell).rstrip(",") for cell in row))) for row in rows]
        return _atom(f"{opening}{'; '.join(lines)}{closing}", Kind.INNER)


def _atom(text: str, kind: Kind) -> _Atom:
    return _Atom(text, kind, kind)


def _aligned(rows: Sequence[Sequence[list[_Atom]]]) -> str:
    """Return `rows` as lines; their first cells end in the same column."""
    firsts = [_join(row[0]) if len(row) > 1 else "" for row in rows]
    width = max(map(cell_len, firsts), default=0)
    lines = []
    for first, row in zip(firsts, rows, strict=True):
        if len(row) == 1:
            lines.append(_join(row[0]))
            continue
        indent = " " * (width - cell_len(first))
        lines.append(indent + _join([atom for cell in row for atom in cell], after_operand=not row[0]))
    return "\n".join(lines)


def _join(atoms: Sequence[_Atom], *, tight: bool = False, after_operand: bool = False) -> str:
    """Return the text of `atoms`; without spaces if it is `tight`, as in a script."""
    parts: list[str] = []
    before = Kind.CLOSE if after_operand else Kind.OPEN
    for index, atom in enumerate(atoms):
        left, right = atom.left, atom.right
        if left is Kind.BINARY:
            is_last = index + 1 == len(atoms) or atoms[index + 1].left in {Kind.RELATION, Kind.CLOSE}
            if before not in _OPERANDS or is_last:
                left = right = Kind.OPEN if before not in _OPERANDS else Kind.ORDINARY  # a sign
        is_first = not parts and not after_operand
        has_space = (parts and parts[-1].endswith(" ")) or atom.text.startswith(" ")
        if not (is_first or tight or has_space) and _is_spaced(before, left, written=atom.spaced):
            parts.append(" ")
        parts.append(atom.text)
        before = right
    text = "".join(parts)
    return text if after_operand else text.strip()


def _is_spaced(before: Kind, after: Kind, *, written: bool) -> bool:
    """Return whether a space stands between two atoms of these kinds; `written`: whether the source has one there."""
    kinds = {before, after}
    if Kind.SPACE in kinds or after is Kind.PUNCTUATION:
        return False
    if kinds & {Kind.BINARY, Kind.RELATION}:
        return before is not Kind.OPEN and after is not Kind.CLOSE
    if before is Kind.PUNCTUATION:
        return after is not Kind.CLOSE
    if before is Kind.OPEN or after is Kind.CLOSE:
        return False
    if before is Kind.BIG or after is Kind.BIG:
        return True
    if before is Kind.FUNCTION or after is Kind.FUNCTION:
        return after is not Kind.OPEN
    if Kind.INNER in kinds:
        return True
    return written and before is not Kind.SYMBOL and after not in {Kind.SYMBOL, Kind.OPEN}


def _is_product(atoms: Sequence[_Atom]) -> bool:
    """Return whether `atoms` may stand before a fraction's line without brackets: `2a`, `n(n + 1)`."""
    level = 0
    for atom in atoms:
        level += (atom.left is Kind.OPEN) - (atom.left is Kind.CLOSE and atom.text in _CLOSING_BRACKETS)
        if level <= 0 and len(atoms) > 1 and atom.left not in _UNITS | {Kind.OPEN}:
            return False
    return atoms[0].left is not Kind.INNER


def _is_unit(atoms: Sequence[_Atom], text: str) -> bool:
    """Return whether `text` of `atoms` is read as one thing after a root or a fraction's line: `2`, `x²`, `f(x)`."""
    if _is_enclosed(text) or text.isdecimal():
        return True
    if len(atoms) == 1:
        return atoms[0].left in _ORDINARIES and not _SPACE_OR_DIGIT.search(text[1:]) and "/" not in text
    if len(atoms) == 2 and atoms[1].left is Kind.CLOSE:
        return True  # such as n!
    if len(atoms) == 2:
        return atoms[0].text in {"d", "∂"} and atoms[1].left in _ORDINARIES
    return atoms[0].left in _ORDINARIES and atoms[1].left is Kind.OPEN and _is_enclosed(text[len(atoms[0].text) :])


def _is_enclosed(text: str) -> bool:
    """Return whether the bracket that opens `text` is closed by its last character."""
    if text[:1] not in {"(", "["} or text[-1:] not in {")", "]"}:
        return False
    level = 0
    for index, character in enumerate(text):
        level += (character in "([") - (character in ")]")
        if level == 0:
            return index == len(text) - 1
    return False


def _enclosed(text: str) -> str:
    return text if _is_enclosed(text) else f"({text})"
