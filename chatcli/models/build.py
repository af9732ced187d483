"""Builds the model of a given name."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from chatcli.config.credentials import Credentials
from chatcli.config.providers import LANGFLOW, LMSTUDIO, LOCAL, OLLAMA, OPENAI, PROVIDERS
from chatcli.config.settings import KEPT_ALIVE_SECONDS, Settings
from chatcli.errors import MissingKeyError, UsageError
from chatcli.events import Notice, Progress
from chatcli.models.names import ModelName
from chatcli.runtime.addresses import open_key_warning

if TYPE_CHECKING:
    from chatcli.models.model import Model


def build_model(name: ModelName, settings: Settings, announce: Callable[[Progress | Notice], None]) -> "Model":
    """Return the model `name` with the limits that `settings` have for its answers; raises as `_build` does."""
    model = _build(name, settings, announce)
    if model.key is not None and (warning := open_key_warning(model.address)):
        announce(Notice(warning, "warning", urgent=True))
    return replace(model, silence=settings.timeout or KEPT_ALIVE_SECONDS, max_tokens=settings.max_tokens)


def _build(name: ModelName, settings: Settings, announce: Callable[[Progress | Notice], None]) -> "Model":
    """Return the model `name`; this blocks while a server is asked for its models."""
    # `announce` gets the progress of a local model that is fetched and loaded, also from another thread. Each family is
    # imported only if it is used: langchain_openai alone takes 0.15 s.
    if name.provider == LOCAL:
        from chatcli.models.local.model import build_local

        return build_local(name, settings, announce)
    if name.provider in (OPENAI, LMSTUDIO) or (name.provider == OLLAMA and not PROVIDERS[OLLAMA].has_package):
        from chatcli.models import openai

        build = {OPENAI: openai.build_openai, LMSTUDIO: openai.build_lmstudio, OLLAMA: openai.build_ollama}
        return build[name.provider](name, settings)
    if name.provider == LANGFLOW:
        from chatcli.models.langflow import build_langflow

        return build_langflow(name, settings)
    _require_credentials(name, settings.credentials)
    if PROVIDERS[name.provider].takes_openai:
        from chatcli.models.openai import build_hosted_openai

        return build_hosted_openai(name, settings)
    from chatcli.models.hosted import build_hosted

    return build_hosted(name, settings)


def _require_credentials(name: ModelName, credentials: Credentials) -> None:
    provider = PROVIDERS[name.provider]
    access = credentials.access(provider.prefix)
    if access.key is None and not provider.keyless:
        raise MissingKeyError(
            f"{name} needs a key, and {provider.key_variables[0]} is not set",
            remedy=f"Set {provider.key_variables[0]}, or keep the key: chat keys set {provider.prefix}",
            provider=provider.prefix,
        )
    given = provider.url_variables if access.base_url is not None else ()
    missing = [variable for variable in provider.needs if variable not in given and not os.environ.get(variable)]
    if missing:
        raise UsageError(f"{name} needs {missing[0]}, which is not set", remedy=provider.requirements)
