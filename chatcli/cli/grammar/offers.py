"""The values that a shell's completion offers.

They go to a shell that evaluates them, and titles can hold any text: only harmless characters pass.
"""

import contextlib
import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path

from chatcli.cli.schemas import NAMES
from chatcli.config import credentials, values
from chatcli.config.entries import find_entry, known_keys, written_keys
from chatcli.config.providers import LOCAL, PROVIDERS
from chatcli.config.settings import Settings
from chatcli.conversation.backend import choose_backend
from chatcli.errors import ChatcliError
from chatcli.manual import TOPICS
from chatcli.models.local.pulled import pulled_models
from chatcli.models.names import LOCAL_MODELS, ModelName
from chatcli.roles import SHIPPED, role_files

MAX_THREADS = 50
"""Maximum number of threads that are offered, the newest ones."""
TITLE_LENGTH = 40
"""Characters of a thread's title that are shown."""

_SAFE_ID = re.compile(r"[\w.,@%+=/-]+", re.ASCII)
_SAFE_NAME = re.compile(r"[\w.,@%+=/:-]+", re.ASCII)
_UNSAFE_IN_TITLE = re.compile(r"[^\w ,.?-]+")

Offer = tuple[str, str]
"""A value and its help text."""


def _fitting(names: Iterable[str], incomplete: str) -> list[Offer]:
    """Return the names that begin with the typed text and are safe in a shell."""
    return [(name, "") for name in names if name.startswith(incomplete) and _SAFE_NAME.fullmatch(name)]


def _any_of(names: Callable[[], Iterable[str]]) -> Callable[[str], list[Offer]]:
    """Return the completion that offers `names`, or nothing where they can't be read."""

    def complete(incomplete: str) -> list[Offer]:
        with contextlib.suppress(ChatcliError):  # not reported here: the command that follows does it
            return _fitting(names(), incomplete)
        return []

    return complete


local_models = _any_of(lambda: (str(ModelName(LOCAL, model)) for model in (*LOCAL_MODELS, *pulled_models())))
providers = _any_of(lambda: (row.prefix for row in PROVIDERS.values() if not row.keyless))
kept_keys = _any_of(credentials.kept_keys)
topics = _any_of(lambda: TOPICS)
mcp_servers = _any_of(lambda: Settings.load().mcp_servers)
schemas = _any_of(lambda: NAMES)
written_config_keys = _any_of(written_keys)
code_themes = _any_of(values.code_themes)
roles = _any_of(role_files)
own_roles = _any_of(lambda: (name for name, path in role_files().items() if path.parent != SHIPPED))


def threads(incomplete: str) -> list[Offer]:
    """Return the newest threads whose IDs begin with the typed text, with their titles."""
    try:
        found = choose_backend(Settings.load()).threads().recent(None if incomplete else MAX_THREADS)
    except ChatcliError:  # not reported here: the command that follows does it
        return []
    fitting = [t for t in found if t.thread_id.startswith(incomplete) and _SAFE_ID.fullmatch(t.thread_id)]
    return [(t.thread_id, _UNSAFE_IN_TITLE.sub("", t.title)[:TITLE_LENGTH]) for t in fitting[:MAX_THREADS]]


def models(incomplete: str) -> list[Offer]:
    """Return the known models: the local ones, the default ones of providers, and aliases."""
    names = [name for name, _ in local_models("")]
    names += [f"{row.prefix}:{row.default_model}" for row in PROVIDERS.values() if row.default_model]
    with contextlib.suppress(ChatcliError):
        names += Settings.load().aliases
    return _fitting(names, incomplete)


def words_of(setting: str, incomplete: str) -> list[Offer]:
    """Return the words that the setting `setting` takes."""
    kind = next(one.type for one in fields(Settings) if one.name == setting)
    return _fitting(values.choices(kind), incomplete)


def config_keys(incomplete: str) -> list[Offer]:
    """Return the keys of config.toml, with the entries of tables that are in it."""
    written = (name for name, _ in written_config_keys("") if name.partition(".")[0] in known_keys())
    return _fitting(dict.fromkeys((*known_keys(), *written)), incomplete)


def config_values(key: str, incomplete: str) -> list[Offer]:
    """Return the values that the key `key` of config.toml may have, where there is a list."""
    try:
        entry = find_entry(key)
    except ChatcliError:
        return []
    offers = {"model": models, "aliases": models, "role": roles, "code_theme": code_themes}
    if entry.setting in offers:
        return offers[entry.setting](incomplete)
    return _fitting(("true", "false") if values.is_a(bool, entry.kind) else values.choices(entry.kind), incomplete)


def files(incomplete: str) -> list[Offer]:
    """Return the files that begin with the typed text."""
    typed = Path(incomplete)
    folder = typed if incomplete.endswith("/") or not incomplete else typed.parent
    try:
        found = [f"{path}/" if path.is_dir() else str(path) for path in sorted(folder.iterdir())]
    except OSError:  # no such folder: nothing to offer
        return []
    return [(path, "") for path in found if path.startswith(incomplete) and _SAFE_ID.fullmatch(path)]


def documents(incomplete: str) -> list[Offer]:
    """Return the sources in the index of documents."""
    from chatcli.documents.find import shown_path
    from chatcli.documents.index import DocumentIndex

    with contextlib.suppress(ChatcliError), DocumentIndex() as index:
        sources = [one.source for one in index.sources()]
        return _fitting(sources if incomplete.startswith("/") else map(shown_path, sources), incomplete)
    return []
