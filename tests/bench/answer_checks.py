"""Checks of a model's answers that need no other model: words, numbers, lists, tables, JSON and code that is run.

A check accepts every right answer whatever its case, accents, punctuation and Markdown, and rejects wrong ones.
"""

import json
import re
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

Check = Callable[[str], bool]

_BULLET = re.compile(r"^\s*(?:[-*•+]|\d+[.)])\s+\S", re.MULTILINE)
_FENCE = re.compile(r"```[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LITERAL = re.compile(r"""r?(?:"([^"\n]+)"|'([^'\n]+)')""")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
_THOUSANDS = re.compile(r"(?<=\d)(?:,|\{,\}|[\u00a0\u202f ])(?=\d{3}(?!\d))")

_STRAIGHT = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")

_RIGHT = 42
"""The exit code of a program that found the code right; one that calls `sys.exit` itself is not."""
_SECONDS = 20.0
_BOUNDS = """
import contextlib, resource, sys
for kind, bound in (("CPU", 1), ("AS", 1 << 29), ("FSIZE", 0)):
    with contextlib.suppress(ValueError):  # macOS bounds no address space
        resource.setrlimit(getattr(resource, "RLIMIT_" + kind), (bound, bound))
HARMLESS = ("os.listdir", "os.scandir")
def refuse(event, arguments):
    family = event.partition(".")[0]
    if family in ("os", "subprocess", "socket", "shutil", "ctypes", "pty") and event not in HARMLESS:
        raise PermissionError(event)
    if event == "open" and (not isinstance(arguments[1], str) or set(arguments[1]) & set("wax+")) and arguments[2] & 3:
        raise PermissionError(event)
sys.addaudithook(refuse)
"""
"""What the model wrote may compute and import, but not write, start or connect to anything."""


def says(*patterns: str, never: str = "") -> Check:
    """Return the check that finds all `patterns` and not `never`, in lower case and without accents; see `plain`."""

    def check(answer: str) -> bool:
        text = plain(answer)
        return all(re.search(pattern, text) for pattern in patterns) and not (never and re.search(never, text))

    return check


def both(*checks: Check) -> Check:
    return lambda answer: all(check(answer) for check in checks)


def result(value: float) -> Check:
    """Return the check that finds `value` in the last line that has a number: steps and explanations may go before."""

    def check(answer: str) -> bool:
        lines = [found for line in plain(answer).splitlines() if (found := numbers(line))]
        return bool(lines) and value in lines[-1]

    return check


def label(right: str, *others: str) -> Check:
    """Return the check that the first of the labels that the answer names is `right`."""

    def check(answer: str) -> bool:
        found = re.search("|".join(rf"\b{one}\b" for one in (right, *others)), plain(answer))
        return found is not None and found[0] == right

    return check


def at_most(words: int) -> Check:
    """Return the check of an answer's length; a word of an introduction like `Title:` does not count."""

    def check(answer: str) -> bool:
        text = plain(answer)
        return 0 < len(text.removeprefix(text.partition(":")[0] if ":" in text[:20] else "").split()) <= words

    return check


def one_line(longest: int = 100) -> Check:
    """Return the check of a commit message: one line, in a code block or not, after an introduction or not."""

    def check(answer: str) -> bool:
        text = fenced[0] if (fenced := _FENCE.findall(answer)) else answer
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().endswith(":")]
        return len(lines) == 1 and len(lines[0]) <= longest

    return check


def bullets(count: int) -> Check:
    """Return the check that the answer has a list of `count` items."""
    return lambda answer: len(_BULLET.findall(answer)) == count


def table(*rows: tuple[str, ...]) -> Check:
    """Return the check for a Markdown table of exactly `rows`, the first of which is its head."""

    def check(answer: str) -> bool:
        lines = [plain(line).strip().strip("|") for line in answer.splitlines() if line.count("|") >= len(rows[0]) - 1]
        cells = [tuple(cell.strip() for cell in line.split("|")) for line in lines if re.search(r"[^-:|\s]", line)]
        return len(lines) == len(cells) + 1 and cells == [tuple(map(plain, row)) for row in rows]

    return check


def json_equal(expected: Any) -> Check:
    """Return the check that the first JSON in the answer is `expected`; "30" counts as 30, and case is ignored."""
    return lambda answer: any(_leveled(value) == _leveled(expected) for value in _jsons(answer))


def function(name: str, *cases: tuple[tuple[Any, ...], Any]) -> Check:
    """Return the check that the Python function `name` in the answer returns each case's result for its arguments."""

    def check(answer: str) -> bool:
        blocks = [code for code in _FENCE.findall(answer) if f"def {name}" in code] or [answer]
        return _runs(
            f"names = {{}}\nexec({blocks[0]!r}, names)\n"
            f"for arguments, expected in {list(cases)!r}:\n    assert names[{name!r}](*arguments) == expected"
        )

    return check


def expression(matching: tuple[str, ...], others: tuple[str, ...]) -> Check:
    """Return the check for a regular expression in the answer that matches each of `matching` and none of `others`."""

    def check(answer: str) -> bool:
        code = [*_FENCE.findall(answer), *_INLINE.findall(answer)] or [answer]
        literals = [one or other for part in code for one, other in _LITERAL.findall(part)]
        candidates = [text.strip().strip("/") for text in (*literals, *code)]
        return _runs(
            f"""
import re
def fits(text):
    try:
        known = re.compile(text)
    except re.error:
        return False
    return all(map(known.fullmatch, {matching!r})) and not any(map(known.fullmatch, {others!r}))
assert any(map(fits, {candidates!r}))
"""
        )

    return check


def plain(text: str) -> str:
    """Return `text` in lower case without accents, curly quotes and Markdown's emphasis.

    `ß` becomes `ss`, and `*.py` becomes `.py`.
    """
    text = unicodedata.normalize("NFD", text.translate(_STRAIGHT))
    text = unicodedata.normalize("NFC", re.sub(r"[\u0300-\u036f]", "", text))
    return re.sub(r"[*`]|(?<!\w)_|_(?!\w)", "", text).casefold().strip()


def numbers(text: str) -> list[float]:
    """Return the numbers in `text`; `1,250.50` and `1 250` have separators of thousands."""
    return [float(number) for number in _NUMBER.findall(_THOUSANDS.sub("", text))]


def _jsons(answer: str) -> Iterator[Any]:
    """Return the first JSON object or list that stands in `answer`."""
    for start in re.finditer(r"[{\[]", answer):
        try:
            yield json.JSONDecoder().raw_decode(answer, start.start())[0]
        except ValueError:
            continue
        return


def _leveled(value: Any) -> Any:
    if isinstance(value, dict):
        return {plain(key): _leveled(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_leveled(one) for one in value]
    if isinstance(value, str):
        found = numbers(value)
        return found[0] if re.fullmatch(r"-?[\d.,]+", value.strip()) and found else plain(value).rstrip(".")
    return value


def _runs(program: str) -> bool:
    """Return whether `program` reaches its end, in a process with bounds."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            ended = subprocess.run(
                [sys.executable, "-I", "-S", "-c", f"{_BOUNDS}\n{program}\nraise SystemExit({_RIGHT})"],
                cwd=folder,
                env={},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except (subprocess.TimeoutExpired, ValueError):  # a null byte in what the model wrote
            return False
    return ended.returncode == _RIGHT
