"""Facts that the user lets `chat` remember: bullets in Markdown files of their data folder.

One file is about the user, one about each project, which is a repository's root. Nothing else keeps a fact, so a file
that is removed is forgotten.
"""

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from chatcli import paths
from chatcli.config.entries import find_entry
from chatcli.config.secrets import holds_secret
from chatcli.errors import StoreError, UsageError
from chatcli.events import Event, Listing, Notice
from chatcli.memory.instructions import project_root
from chatcli.ranking.words import index_words, question_terms
from chatcli.runtime.files import lock_folder, replace_privately
from chatcli.runtime.program import command
from chatcli.runtime.sqlite import in_memory
from chatcli.sanitize import sanitize_line

MAX_FACT = 1000
MAX_SENT = 2000
"""Characters of facts that go along with a question: all of them while they are fewer."""
_MAX_BYTES = 10_000_000
_BULLET = re.compile(r" {0,3}[-*+][ \t]+(?=\S)")
_PROJECT = "# Project: "
_USER = "# What chat remembers about the user"
_NAME_LENGTH = 40


@dataclass(frozen=True, slots=True)
class FactFile:
    """A file of facts: about the user, or about the project whose root is `project`."""

    project: Path | None = None

    @property
    def path(self) -> Path:
        """The file, which may not exist."""
        if self.project is None:
            return _folder() / "user.md"
        digest = hashlib.sha256(str(self.project).encode("utf-8", "surrogateescape")).hexdigest()[:12]
        name = re.sub(r"[^\w.-]+", "-", self.project.name, flags=re.ASCII)[:_NAME_LENGTH]
        return _folder() / "projects" / f"{name}-{digest}.md"

    @property
    def heading(self) -> str:
        """The first line of a new file."""
        return _USER if self.project is None else f"{_PROJECT}{sanitize_line(str(self.project))}"


@dataclass(frozen=True, slots=True)
class Fact:
    """A remembered fact."""

    text: str
    """What is remembered, on one line."""
    path: Path
    project: str
    """The root of the project that it is about; empty for the user."""
    lines: tuple[int, int]
    """The lines of the file that it takes, from 0, without the last."""


def _folder() -> Path:
    return paths.data_dir() / "memory"


def current_project(folder: Path | None = None) -> FactFile | None:
    """Return the file about the project of `folder`, by default the current one; None in no repository."""
    root = project_root((folder or Path.cwd()).resolve())
    return None if root is None else FactFile(root)


def current_facts(folder: Path | None = None) -> list[Fact]:
    """Return the facts about the user and the project of `folder`."""
    project = current_project(folder)
    return [*_read(FactFile().path), *(_read(project.path) if project is not None else [])]


def all_facts(folder: Path | None = None) -> list[Fact]:
    """Return everything that is remembered: about the user, the project of `folder`, then the others."""
    facts, project = current_facts(folder), current_project(folder)
    try:
        others = sorted((_folder() / "projects").glob("*.md"))
    except OSError:
        others = []
    known = None if project is None else project.path
    return [*facts, *(fact for path in others if path != known for fact in _read(path))]


def listing(found: Sequence[Fact]) -> Event:
    """Return the table of the facts that `all_facts` found, with the numbers that `forget` takes."""
    if not found:
        return Notice(f"nothing is remembered yet: {command('memory add')} TEXT")
    rows = tuple((str(number), fact.project or "you", fact.text) for number, fact in enumerate(found, 1))
    return Listing("Memory", ("n", "about", "fact"), rows)


def chosen_file(folder: Path | None = None, *, project: bool) -> FactFile:
    """Return the file about the user, or about the project of `folder`, by default the current one."""
    if not project:
        return FactFile()
    if (file := current_project(folder)) is None:
        raise UsageError("this folder is in no repository", remedy="Without --project, it is remembered about you.")
    return file


def prepare(file: FactFile) -> Path:
    """Return `file`, which is made if there is none, for the user to edit."""
    _change(file.path, lambda lines: lines or [file.heading, ""])
    return file.path


def switch(*, on: bool) -> None:
    """Write to config.toml whether facts are sent; raise UsageError if it can't be changed."""
    find_entry("no_memory").write(not on)


def add(text: str, file: FactFile) -> Fact:
    """Remember `text` in `file`; one that is there already is left as it is."""
    fact = check(text)

    def append(lines: list[str]) -> list[str]:
        if fact in (found.text for found in _parse(file.path, lines)):
            return lines
        return [*(lines or [file.heading, ""]), f"- {fact}"]

    _change(file.path, append)
    return next(found for found in _read(file.path) if found.text == fact)


def check(text: str) -> str:
    """Return `text` as a fact, on one line."""
    fact = sanitize_line(" ".join(text.split()))
    if not fact:
        raise UsageError("there is nothing to remember", remedy="Give a sentence: memory add TEXT")
    if len(fact) > MAX_FACT:
        raise UsageError(f"a fact has at most {MAX_FACT} characters, not {len(fact)}", remedy="Make it shorter.")
    if holds_secret(fact):
        raise UsageError("this may hold a key or a password, which is never remembered")
    return fact


def forget(numbers: Sequence[int], folder: Path | None = None) -> list[Fact]:
    """Remove the facts with these numbers, from 1, as `all_facts` lists them for `folder`; return them."""
    facts = all_facts(folder)
    if wrong := [number for number in numbers if not 1 <= number <= len(facts)]:
        raise UsageError(f"there is no fact {wrong[0]}", remedy="See their numbers: memory list")
    gone = [facts[number - 1] for number in dict.fromkeys(numbers)]
    for path in dict.fromkeys(fact.path for fact in gone):
        texts = [fact.text for fact in gone if fact.path == path]

        def remove(lines: list[str], path: Path = path, texts: list[str] = texts) -> list[str]:
            # By their texts: the user's editor may have moved them since they were listed.
            found = [fact.lines for fact in _parse(path, lines) if fact.text in texts]
            removed = {line for begin, end in found for line in range(begin, end)}
            return [line for number, line in enumerate(lines) if number not in removed]

        _change(path, remove)
    return gone


def relevant(facts: Sequence[Fact], question: str, room: int = MAX_SENT) -> list[Fact]:
    """Return all `facts` if they fit into `room` characters, else those that share the words of `question` and fit."""
    if sum(len(fact.text) for fact in facts) <= room:
        return list(facts)
    query = " OR ".join(term.query for term in question_terms(question))
    if not query:
        return []
    with closing(in_memory()) as database:
        database.execute("CREATE VIRTUAL TABLE facts USING fts5(text, tokenize='porter unicode61 remove_diacritics 2')")
        rows = ((number, index_words(fact.text)) for number, fact in enumerate(facts))
        database.executemany("INSERT INTO facts (rowid, text) VALUES (?, ?)", rows)
        found = database.execute("SELECT rowid FROM facts WHERE facts MATCH ? ORDER BY rank", [query]).fetchall()
    chosen: list[int] = []
    for (number,) in found:
        room -= len(facts[number].text)
        if room < 0:
            break
        chosen.append(number)
    return [facts[number] for number in sorted(chosen)]


def _read(path: Path) -> list[Fact]:
    return _parse(path, _lines(path))


def _parse(path: Path, lines: Sequence[str]) -> list[Fact]:
    """Return the bullets in `lines`; an indented line goes on with the bullet above it."""
    head = lines[0] if lines else ""
    project = head.removeprefix(_PROJECT) if head.startswith(_PROJECT) else "" if path == FactFile().path else path.stem
    facts: list[Fact] = []
    begin, parts = 0, list[str]()

    def end(number: int) -> None:
        if parts:
            facts.append(Fact(sanitize_line(" ".join(" ".join(parts).split())), path, project, (begin, number)))
            parts.clear()

    for number, line in enumerate(lines):
        if bullet := _BULLET.match(line):
            end(number)
            begin = number
            parts.append(line[bullet.end() :])
        elif parts and line.startswith((" ", "\t")) and line.strip():
            parts.append(line)
        else:
            end(number)
    end(len(lines))
    return facts


def _lines(path: Path) -> list[str]:
    try:
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(_folder())):
            raise StoreError(f"the memory {path} is a link that leaves its folder")
        if path.stat().st_size > _MAX_BYTES:
            raise StoreError(f"the memory {path} is larger than {_MAX_BYTES // 1_000_000} MB")
        return path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"the memory {path} can't be read: {error.strerror}") from None


def _change(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    try:
        with lock_folder(paths.private_dir(path.parent)):
            lines = _lines(path)
            changed = change(lines)
            if changed != lines:
                replace_privately(path, [f"{line}\n" for line in changed])
    except OSError as error:
        raise StoreError(f"the memory {path} can't be written: {error.strerror}") from None
