"""What a session offers: modes (which calls of tools run unasked), the model that answers, and slash commands."""

from chatcli.commands.registry import CommandRegistry
from chatcli.config.providers import LOCAL, PROVIDERS
from chatcli.config.settings import Settings, ToolMode
from chatcli.conversation.conversation import Conversation
from chatcli.errors import UsageError
from chatcli.models.local.pulled import find_model, pulled_models
from chatcli.models.names import LOCAL_MODELS, ModelName, resolve_model
from chatcli.serve.acp.client import Fields

MODES: dict[ToolMode, Fields] = {
    "plan": {"name": "Plan", "description": "Only tools that read are there: nothing is changed."},
    "ask": {"name": "Ask", "description": "Calls of tools that can change or send something ask first."},
    "edit": {"name": "Edit", "description": "Files in the folder are changed without asking; commands ask."},
    "auto": {"name": "Auto", "description": "Edits in the folder and confined commands run without asking."},
    "yes": {"name": "Run everything", "description": "All calls of tools run without asking."},
}


def mode_state(current: ToolMode) -> Fields:
    """Return the modes, of which `current` is the one that holds."""
    return {"currentModeId": current, "availableModes": [{"id": mode, **about} for mode, about in MODES.items()]}


def mode_option(current: ToolMode) -> Fields:
    """Return the modes as an option, which newer editors show in place of them."""
    return _option("mode", "Mode", current, [{"value": mode, **about} for mode, about in MODES.items()])


def model_option(conversation: Conversation, settings: Settings) -> Fields:
    """Return the option that shows what answers, and lets the user choose another model."""
    current = str(conversation.model_name)
    names = {current: current}
    if not conversation.has_own_graph:
        names |= _models(settings)
    options = [{"value": value, "name": name} for value, name in names.items()]
    return _option("model", "Model", current, options)


def _option(name: str, title: str, current: str, options: list[Fields]) -> Fields:
    fields = {"id": name, "name": title, "category": name, "type": "select"}
    return {**fields, "currentValue": current, "options": options}


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


LEFT_OUT = frozenset(
    (
        *("new", "thread", "threads", "fork", "delete", "edit", "approve"),  # what the editor itself does
        *("copy", "save", "file", "paste", "editor", "plain", "theme", "clear", "exit", "help"),  # a terminal's
    )
)
"""The slash commands that an editor does not offer."""


def command_list(registry: CommandRegistry, conversation: Conversation) -> list[Fields]:
    """Return the commands of `registry` that can work in `conversation`, in the protocol's form."""
    offered = []
    for command in registry.offered(conversation):
        if command.name not in LEFT_OUT:
            hint = {"input": {"hint": command.usage}} if command.usage else {}
            offered.append({"name": command.name, "description": command.help, **hint})
    return offered
