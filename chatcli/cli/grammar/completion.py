"""Runs a shell's completion; Typer completes the options and sub-commands, and `offers` the values of options."""

import contextlib
import io
import os
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from chatcli.runtime.program import current_program

if TYPE_CHECKING:
    from typer.core import TyperGroup


def variable() -> str:
    """Return the variable that the shell's completion script sets; its value names the shell."""
    return f"_{current_program().name}_COMPLETE".replace("-", "_").upper()


def offer(kind: str, *arguments: str) -> Callable[[str], list[tuple[str, str]]]:
    """Return a completion by the function `kind` of `offers`, imported late: it gets `arguments` and what is typed."""

    def complete(incomplete: str) -> list[tuple[str, str]]:
        offers = import_module("chatcli.cli.grammar.offers")
        found: list[tuple[str, str]] = getattr(offers, kind)(*arguments, incomplete)
        return found

    return complete


def offer_files(incomplete: str) -> list[tuple[str, str]]:
    """Return the files that begin with the typed text, for fish only: Typer's script keeps it from offering files."""
    return offer("files")(incomplete) if os.environ[variable()].endswith("fish") else []


def run_completion(command: "TyperGroup") -> None:
    """Print the completions that the shell asks for with its variables."""
    if not os.environ[variable()].endswith("bash"):
        command.main([], current_program().name, variable(), standalone_mode=False)
        return
    done = _join_words()
    answer = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(answer):
        command.main([], current_program().name, variable(), standalone_mode=False)
    for line in answer.getvalue().splitlines():
        print(line.removeprefix(done))


def _join_words() -> str:
    """Undo what bash does to `local:qwen`: three words to it, since `:` and `=` end a word there.

    Return the text before the last of them in the word at the cursor, which bash keeps itself.
    """
    words = os.environ.get("COMP_WORDS", "").split("\n")
    current = int(os.environ.get("COMP_CWORD", "0"))
    joined: list[str] = []
    index, done = 0, ""
    for index, word in enumerate(words):
        glued = index > 1 and (word in (":", "=") or words[index - 1] in (":", "="))
        before = joined.pop() if glued and joined else ""
        joined.append(before + word)
        if index == current:
            index, done = len(joined) - 1, before + word if word in (":", "=") else before
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = "\n".join(joined), str(index)
    return done
