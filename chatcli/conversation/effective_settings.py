"""The settings in effect: what is really used, where each value comes from, and none of it a key."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatcli.config.providers import LANGFLOW_URL, LOCAL, OPENAI
from chatcli.config.secrets import HIDDEN, Secret, names_secret
from chatcli.config.settings import ANSWER_SECONDS, DEFAULT, LOCAL_ANSWER_SECONDS, TOOL_SECONDS, Settings, user_name
from chatcli.conversation.backend import choose_backend
from chatcli.conversation.compose import answering_model
from chatcli.errors import ChatcliError
from chatcli.events import Event, Listing, Notice
from chatcli.helper.eligible import is_supported
from chatcli.models.local.choice import default_weights
from chatcli.models.local.pulled import find_model
from chatcli.runtime.program import current_program


@dataclass(frozen=True, slots=True)
class Effective:
    """What is used of a setting, as JSON can hold it, and where it comes from."""

    value: Any
    source: str

    def __str__(self) -> str:
        return ", ".join(_words(self.value)) or "none"


def effective_settings(settings: Settings) -> dict[str, Effective]:
    """Return the effective value of each setting by its name; keys, passwords and the like are `***`."""
    found = {}
    for name in Settings.names():
        if name in current_program().without:
            continue
        value, source = getattr(settings, name), settings.source(name)
        resolve = _RESOLVERS.get(name)
        if resolve is not None:
            with suppress(ChatcliError):  # the value can't be used; the command that needs it reports why
                value, source = resolve(settings, value, source)
        found[user_name(name)] = Effective(_shown(value, settings.credentials.redact), source)
    return found


def show_settings(found: Mapping[str, Effective], all_command: str, *, show_all: bool) -> Iterator[Event]:
    """Yield the table of the settings that were set, and with `show_all` of the others.

    Without `show_all`, say that `all_command` shows the others.
    """
    chosen = {name: one for name, one in found.items() if one.source != DEFAULT}
    shown = {**chosen, **found} if show_all else chosen
    rows = tuple((name, str(one), one.source) for name, one in shown.items())
    yield Listing("Settings", ("setting", "value", "from"), rows)
    if not show_all:
        yield Notice(f"{len(found) - len(chosen)} other settings have their defaults; `{all_command}` shows them, too")


def _words(value: Any) -> Iterator[str]:
    """Yield the parts of `value` as a user would write them."""
    match value:
        case None:
            pass
        case bool():
            yield "on" if value else "off"
        case float():
            yield f"{value:g}"
        case list():
            yield from map(str, value)
        case dict():
            for key, part in value.items():
                if isinstance(part, dict):
                    yield from (f"{key}.{field}={text}" for field, text in part.items())
                else:
                    yield f"{key}={part}"
        case _:
            yield str(value)


def _shown(value: Any, redact: Callable[[str], str]) -> Any:
    """Return `value` as JSON can hold it, without what is secret in it."""
    match value:
        case Secret():
            return HIDDEN
        case None | bool() | int() | float():
            return value
        case tuple() | list():
            return [_shown(part, redact) for part in value]
        case dict():
            return {key: _shown(part, redact) for key, part in value.items()}
        case _:
            return redact(str(value))


Resolved = tuple[Any, str]
"""A value and its source, before what is secret is hidden."""


def _model(settings: Settings, _value: Any, source: str) -> Resolved:
    if not choose_backend(settings).runs_here:
        return None, settings.source("url")
    if settings.graph is not None:
        return None, settings.source("graph")
    return str(answering_model(settings)), source


def _store(settings: Settings, _value: Any, source: str) -> Resolved:
    uri = choose_backend(settings).store_uri
    if uri is None:
        return None, settings.source("url")
    return uri, settings.source("no_save") if settings.no_save else source


def _timeout(settings: Settings, value: float | None, source: str) -> Resolved:
    default = LOCAL_ANSWER_SECONDS if answering_model(settings).provider == LOCAL else ANSWER_SECONDS
    return value or default, source


def _tool_timeout(settings: Settings, value: float | None, source: str) -> Resolved:
    if value is None and settings.timeout is not None:
        return settings.timeout, settings.source("timeout")
    return value or TOOL_SECONDS, source


def _local_model(settings: Settings, value: Path | None, source: str) -> Resolved:
    if value is not None:
        return value, source
    name = answering_model(settings)
    weights = find_model(name.model) if name.provider == LOCAL else default_weights()
    return weights.cache_file, source


def _format(settings: Settings, value: str | None, source: str) -> Resolved:
    plain = settings.plain or settings.schema_file is not None or not sys.stdout.isatty()
    return value or ("text" if plain else "markdown"), source


def _color(settings: Settings, value: str, source: str) -> Resolved:
    if value == "auto":
        for variable, meant in (("NO_COLOR", "never"), ("FORCE_COLOR", "always")):
            if os.environ.get(variable):
                return meant, f"environment {variable}"
    return value, source


def _plain(settings: Settings, value: bool, source: str) -> Resolved:
    return value, "environment ACCESSIBLE" if value and source == DEFAULT else source


def _openai_key(settings: Settings, value: Secret | None, source: str) -> Resolved:
    if value is None and settings.credentials.has_key(OPENAI):
        return Secret(HIDDEN), "chat keys"
    return value, source


def _hidden_by_name(name: str, part: Any) -> Any:
    """Hide what its name calls a key, in a table or in the tables in it."""
    if isinstance(part, dict):
        return {key: _hidden_by_name(key, inner) for key, inner in part.items()}
    return HIDDEN if names_secret(name) else part


def _given(settings: Settings, value: dict[str, Any], source: str) -> Resolved:
    """Hide what a graph is given: nobody knows which of it is a key."""
    return dict.fromkeys(value, HIDDEN), source


_RESOLVERS: dict[str, Callable[[Settings, Any, str], Resolved]] = {
    "model": _model,
    "store": _store,
    "timeout": _timeout,
    "tool_timeout": _tool_timeout,
    "local_model": _local_model,
    "format": _format,
    "color": _color,
    "plain": _plain,
    "openai_api_key": _openai_key,
    "var": lambda settings, value, source: (_hidden_by_name("", value), source),
    "tweak": lambda settings, value, source: (_hidden_by_name("", value), source),
    "context": _given,
    "configurable": _given,
    "input": _given,
    "langflow_url": lambda settings, value, source: (value or LANGFLOW_URL, source),
    "tools": lambda settings, value, source: (bool(value), source),
    "mcp_servers": lambda settings, value, source: (settings.servers(), source),
    "helper": lambda settings, value, source: (value and is_supported(), source),
}
"""What is really used of settings whose own value does not say it."""
