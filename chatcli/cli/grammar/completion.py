"""Completes the values of options in a shell; Typer itself completes the options and sub-commands.

Values go to a shell that evaluates them, and titles can hold any text: only harmless characters pass.
"""

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from chatcli.runtime.program import current_program

if TYPE_CHECKING:
    from typer.core import TyperGroup

NEWEST = 50
"""Maximum number of threads that are offered."""
TITLE_LENGTH = 40

_SAFE_ID = re.compile(r"[\w.,@%+=/-]+", re.ASCII)
_SAFE_NAME = re.compile(r"[\w.,@%+=/:-]+", re.ASCII)
_UNSAFE_IN_TITLE = re.compile(r"[^\w ,.?-]+")

Offer = tuple[str, str]
"""A value and its help text."""


def variable() -> str:
    """Return the variable that the shell's completion script sets; its value names the shell."""
    return f"_{current_program().name}_COMPLETE".replace("-", "_").upper()


def threads(incomplete: str) -> list[Offer]:
    """Return the newest threads whose IDs begin with the typed text, with their titles."""
    from chatcli.config.settings import Settings
    from chatcli.conversation.place import choose_place, open_threads
    from chatcli.errors import ChatcliError

    try:
        found = open_threads(choose_place(Settings.load())).recent(None if incomplete else NEWEST)
    except ChatcliError:  # a completion has no place to tell of it; the command that follows will
        return []
    fitting = [t for t in found if t.thread_id.startswith(incomplete) and _SAFE_ID.fullmatch(t.thread_id)]
    return [(t.thread_id, _UNSAFE_IN_TITLE.sub("", t.title)[:TITLE_LENGTH]) for t in fitting[:NEWEST]]


def models(incomplete: str) -> list[Offer]:
    """Return the known models: the local ones, the default ones of providers, and aliases."""
    from chatcli.config.settings import Settings
    from chatcli.errors import ChatcliError
    from chatcli.providers import PROVIDERS

    names = [name for name, _ in local_models("")]
    names += [f"{row.prefix}:{row.default_model}" for row in PROVIDERS.values() if row.default_model]
    with contextlib.suppress(ChatcliError):
        names += Settings.load().aliases
    return _fitting(names, incomplete)


def local_models(incomplete: str) -> list[Offer]:
    """Return the local models, whose weights can be downloaded."""
    from chatcli.models.names import LOCAL_MODELS, ModelName
    from chatcli.providers import LOCAL

    return _fitting([str(ModelName(LOCAL, model)) for model in LOCAL_MODELS], incomplete)


def providers(incomplete: str) -> list[Offer]:
    """Return the providers that take a key."""
    from chatcli.providers import PROVIDERS

    return _fitting([row.prefix for row in PROVIDERS.values() if not row.keyless], incomplete)


def kept_keys(incomplete: str) -> list[Offer]:
    """Return the providers whose key is saved."""
    from chatcli.config import kept_keys as keys
    from chatcli.errors import ChatcliError

    with contextlib.suppress(ChatcliError):
        return _fitting(keys.kept_keys(), incomplete)
    return []


def topics(incomplete: str) -> list[Offer]:
    """Return the topics of the manual."""
    from chatcli.manual import TOPICS

    return _fitting(TOPICS, incomplete)


def schemas(incomplete: str) -> list[Offer]:
    """Return the names of the JSON Schemas."""
    from chatcli.cli.schemas import NAMES

    return _fitting(NAMES, incomplete)


def values_of(setting: str) -> Callable[[str], list[Offer]]:
    """Return a function that completes the option of `setting`, which takes one of a few words."""

    def offer(incomplete: str) -> list[Offer]:
        from dataclasses import fields

        from chatcli.config.settings import Settings
        from chatcli.config.values import choices

        kind = next(one.type for one in fields(Settings) if one.name == setting)
        return _fitting(choices(kind), incomplete)

    return offer


def roles(incomplete: str) -> list[Offer]:
    """Return the roles by name; no file of theirs is read."""
    from chatcli.roles.role import role_files

    return _fitting(role_files(), incomplete)


def own_roles(incomplete: str) -> list[Offer]:
    """Return the roles that the user wrote: the only ones that can be deleted."""
    from chatcli.roles.role import SHIPPED, role_files

    return _fitting([name for name, path in role_files().items() if path.parent != SHIPPED], incomplete)


def files(incomplete: str) -> list[Offer]:
    """Return the files that begin with the typed text, for fish only: Typer's script keeps it from offering files."""
    if not os.environ[variable()].endswith("fish"):
        return []
    typed = Path(incomplete)
    folder = typed if incomplete.endswith("/") or not incomplete else typed.parent
    try:
        found = [f"{path}/" if path.is_dir() else str(path) for path in sorted(folder.iterdir())]
    except OSError:  # no such folder: nothing to offer
        return []
    return [(path, "") for path in found if path.startswith(incomplete) and _SAFE_ID.fullmatch(path)]


def _fitting(names: Iterable[str], incomplete: str) -> list[Offer]:
    return [(name, "") for name in names if name.startswith(incomplete) and _SAFE_NAME.fullmatch(name)]


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

    Returns:
        The text before the last of them in the word at the cursor, which bash keeps itself.

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
