"""What a shell completes: the values of options; Typer itself knows the options and sub-commands.

Values go to a shell that evaluates them, and titles are text from anywhere: only harmless characters pass.
"""

import contextlib
import io
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typer.core import TyperGroup

VARIABLE = "_CHAT_COMPLETE"
"""Set by the shell's completion script; its value names the shell."""
NEWEST = 50
"""Threads that are offered."""
TITLE_LENGTH = 40

_SAFE_ID = re.compile(r"[\w.,@%+=/-]+", re.ASCII)
_UNSAFE_IN_TITLE = re.compile(r"[^\w ,.?-]+")

Offer = tuple[str, str]
"""A value, and its help."""


def threads(incomplete: str) -> list[Offer]:
    """Return the newest threads whose IDs begin with what is typed, with their titles."""
    from chatcli.errors import ChatcliError
    from chatcli.settings import Settings
    from chatcli.store.location import choose_store, open_threads

    try:
        found = open_threads(choose_store(Settings.load())).recent(None if incomplete else NEWEST)
    except ChatcliError:  # a completion has no place to tell of it; the command that follows will
        return []
    fitting = [t for t in found if t.thread_id.startswith(incomplete) and _SAFE_ID.fullmatch(t.thread_id)]
    return [(t.thread_id, _UNSAFE_IN_TITLE.sub("", t.title)[:TITLE_LENGTH]) for t in fitting[:NEWEST]]


def models(incomplete: str) -> list[Offer]:
    """Return the models that are known by name."""
    from chatcli.models.names import DEFAULT_OPENAI_MODEL, LOCAL_MODELS, ModelName
    from chatcli.providers import LOCAL, OPENAI

    names = [ModelName(LOCAL, model) for model in LOCAL_MODELS] + [ModelName(OPENAI, DEFAULT_OPENAI_MODEL)]
    return [(str(name), "") for name in names if str(name).startswith(incomplete)]


def roles(incomplete: str) -> list[Offer]:
    """Return the roles by name; no file of theirs is read."""
    from chatcli.roles.library import role_files

    return [(name, "") for name in role_files() if name.startswith(incomplete) and _SAFE_ID.fullmatch(name)]


def own_roles(incomplete: str) -> list[Offer]:
    """Return the roles that the user wrote: the only ones that can be deleted."""
    from chatcli.roles.library import SHIPPED, role_files

    found = role_files().items()
    return [
        (name, "")
        for name, path in found
        if path.parent != SHIPPED and name.startswith(incomplete) and _SAFE_ID.fullmatch(name)
    ]


def files(incomplete: str) -> list[Offer]:
    """Return the files that begin with what is typed: for fish, which is told not to offer any by itself."""
    if not os.environ[VARIABLE].endswith("fish"):
        return []
    typed = Path(incomplete)
    folder = typed if incomplete.endswith("/") or not incomplete else typed.parent
    try:
        found = [f"{path}/" if path.is_dir() else str(path) for path in sorted(folder.iterdir())]
    except OSError:  # no such folder: nothing to offer
        return []
    return [(path, "") for path in found if path.startswith(incomplete) and _SAFE_ID.fullmatch(path)]


def run_completion(command: "TyperGroup") -> None:
    """Print what the shell asks for by its variables."""
    if not os.environ[VARIABLE].endswith("bash"):
        command.main([], "chat", VARIABLE, standalone_mode=False)
        return
    done = _join_words()
    answer = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(answer):
        command.main([], "chat", VARIABLE, standalone_mode=False)
    for line in answer.getvalue().splitlines():
        print(line.removeprefix(done))


def _join_words() -> str:
    """Undo what bash does to `local:qwen`: three words to it, since `:` and `=` end a word there.

    Returns:
        What stands before the last of them in the word at the cursor, which bash keeps by itself.

    """
    words = os.environ.get("COMP_WORDS", "").split("\n")
    current = int(os.environ.get("COMP_CWORD", "0"))
    joined: list[str] = []
    place, done = 0, ""
    for index, word in enumerate(words):
        glued = index > 1 and (word in (":", "=") or words[index - 1] in (":", "="))
        before = joined.pop() if glued and joined else ""
        joined.append(before + word)
        if index == current:
            place, done = len(joined) - 1, before + word if word in (":", "=") else before
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = "\n".join(joined), str(place)
    return done
