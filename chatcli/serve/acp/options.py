"""The modes and options of a session: which calls of tools run unasked, and which model answers."""

from chatcli.config.settings import Settings
from chatcli.conversation.conversation import Conversation
from chatcli.errors import UsageError
from chatcli.models.local.pulled import find_model, pulled_models
from chatcli.models.names import LOCAL_MODELS, ModelName, resolve_model
from chatcli.providers import LOCAL, PROVIDERS
from chatcli.serve.acp.client import Fields

MODES = (
    ("ask", "Ask", "Calls of tools that can change or send something ask first."),
    ("auto", "Run everything", "All calls of tools run without asking."),
)


def mode_state(current: str) -> Fields:
    """Return the modes, of which `current` is the one that holds."""
    modes = [{"id": mode, "name": name, "description": description} for mode, name, description in MODES]
    return {"currentModeId": current, "availableModes": modes}


def model_option(conversation: Conversation, settings: Settings) -> Fields:
    """Return the option that shows what answers, and lets the user choose another model."""
    current = str(conversation.model_name)
    names = {current: current}
    if not conversation.has_own_graph:
        names |= _models(settings)
    options = [{"value": value, "name": name} for value, name in names.items()]
    return {
        "id": "model",
        "name": "Model",
        "category": "model",
        "type": "select",
        "currentValue": current,
        "options": options,
    }


def _models(settings: Settings) -> dict[str, str]:
    """Return the models that can be used, as far as that is known without asking a server, by value."""
    found = {}
    for provider in PROVIDERS.values():
        if provider.default_model and settings.credentials.has_key(provider.prefix):
            found[str(ModelName(provider.prefix, provider.default_model))] = ""
    for name in (*LOCAL_MODELS, *pulled_models()):
        if find_model(name, settings.local_model).is_fetched:
            found[str(ModelName(LOCAL, name))] = ""
    named = {value: name or value for value, name in found.items()}
    for alias, text in settings.aliases.items():
        try:
            resolve_model(text, settings)
        except UsageError:  # `chat models list` reports it
            continue
        named[alias] = f"{alias} ({text})"
    return named
