"""A session of an editor: a thread, its folder, and what is shown before the first prompt.

What runs a prompt imports LangGraph, and is imported when the first one comes, or before that behind it all.
"""

import asyncio
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatcli.commands.all import all_commands
from chatcli.config.providers import LOCAL, PROVIDERS
from chatcli.config.settings import Settings, ToolMode
from chatcli.conversation.conversation import Conversation
from chatcli.errors import InterruptedTurnError, UsageError
from chatcli.models.local.pulled import find_model, pulled_models
from chatcli.models.names import LOCAL_MODELS, ModelName, resolve_model
from chatcli.serve.acp.client import Client, Fields, StoppedError, invalid
from chatcli.tools.workspace import Workspace

if TYPE_CHECKING:
    from chatcli.serve.acp.turns import Turns

MODES: dict[ToolMode, Fields] = {
    "plan": {"name": "Plan", "description": "Only tools that read are there: nothing is changed."},
    "ask": {"name": "Ask", "description": "Calls of tools that can change or send something ask first."},
    "edit": {"name": "Edit", "description": "Files in the folder are changed without asking; commands ask."},
    "auto": {"name": "Auto", "description": "Edits in the folder and confined commands run without asking."},
    "yes": {"name": "Run everything", "description": "All calls of tools run without asking."},
}


class EditorSession:
    """One session; its `folder` is named as the editor names it."""

    def __init__(
        self, client: Client, conversation: Conversation, settings: Settings, workspace: Workspace, folder: Path
    ) -> None:
        self.id = conversation.thread_id
        self.conversation = conversation
        self.settings = settings
        self.client = client
        self.workspace = workspace
        self.folder = folder
        self.commands = all_commands()
        self._turns: Turns | None = None
        self._lock = asyncio.Lock()
        """Held by what uses the thread."""
        self._prompts: set[asyncio.Event] = set()
        """What stops each prompt that runs or waits."""
        self._mode = settings.tool_mode

    def state(self) -> Fields:
        """Return the modes and options of the session, as a client gets them when it is opened."""
        available = [{"id": mode, **about} for mode, about in MODES.items()]
        modes = {"modes": {"currentModeId": self._mode, "availableModes": available}} if self._has_tools else {}
        return {**modes, "configOptions": self.options()}

    def options(self) -> list[Fields]:
        """Return the options that the user of the editor can set, in the protocol's form."""
        options = []
        if self._has_tools:  # newer editors show this in place of the modes
            options.append(_option("mode", self._mode, [{"value": mode, **about} for mode, about in MODES.items()]))
        current = str(self.conversation.model_name)
        models = {current: current}
        if not self.conversation.has_own_graph:
            models |= _models(self.settings)
        options.append(_option("model", current, [{"value": value, "name": name} for value, name in models.items()]))
        return options

    @property
    def _has_tools(self) -> bool:
        settings = self.settings
        switched_on = settings.tools is not False and (bool(settings.tools) or bool(settings.servers()))
        return switched_on and not self.conversation.has_own_graph

    async def announce(self) -> None:
        """Send the slash commands."""
        offered: list[Fields] = []
        for command in self.commands.offered(self.conversation):
            if command.in_editor:
                hint = {"input": {"hint": command.usage}} if command.usage else {}
                offered.append({"name": command.name, "description": command.help, **hint})
        await self.client.update(self.id, {"sessionUpdate": "available_commands_update", "availableCommands": offered})

    async def replay(self) -> None:
        """Show the thread's messages again, and its list of what is to be done."""
        async with self._lock:
            await (await self.turns()).replay()

    async def show_state(self) -> None:
        """Show what the thread waits for, so that the next prompt can answer it, and how long it is."""
        async with self._lock:
            await (await self.turns()).show_state()

    async def use_mode(self, mode: str) -> Fields:
        """Let the mode `mode` decide which calls of tools run unasked."""
        await self._choose_mode(mode)
        await self.client.update(self.id, {"sessionUpdate": "config_option_update", "configOptions": self.options()})
        return {}

    async def use_option(self, name: str, value: Any) -> Fields:
        """Set the option `name`, and return all options."""
        if name not in ("mode", "model") or not isinstance(value, str):
            raise invalid(f"there is no option {name!r}")
        if name == "mode":
            await self._choose_mode(value)
            await self.client.update(self.id, {"sessionUpdate": "current_mode_update", "currentModeId": value})
        elif value != str(self.conversation.model_name):
            if self.conversation.has_own_graph:
                raise invalid(f"{self.conversation.model_name} answers, and has a model of its own")
            await self.conversation.use_model(value)
            if self._turns is not None:
                self._turns.shown_model = str(self.conversation.model_name)
        return {"configOptions": self.options()}

    async def _choose_mode(self, mode: str) -> None:
        found = next((each for each in MODES if each == mode), None)
        if not self._has_tools or found is None:
            raise invalid(f"there is no mode {mode!r}")
        self._mode = found
        if self._prompts:  # it holds from the next call of a tool, also in the prompt that runs
            (await self.conversation.chat_session()).toolbox.rules.mode = found

    async def prompt(self, blocks: Any) -> Fields:
        """Run a prompt, and return why it ended."""
        stop = asyncio.Event()
        self._prompts.add(stop)
        try:
            async with self._lock:
                turns = await self.turns()
                return await turns.run(blocks, stop, self._mode if self._has_tools else None)
        except (StoppedError, InterruptedTurnError):
            return {"stopReason": "cancelled"}
        finally:
            self._prompts.discard(stop)

    def cancel(self) -> None:
        """Stop what runs; what has arrived of the answer is kept."""
        for stop in self._prompts:
            stop.set()
        if self._prompts:
            self.conversation.interrupt()
        if self._turns is not None:
            self._turns.stop_asking()

    async def close(self) -> None:
        """Stop what runs, and close the conversation; what waits for the user stays open."""
        if self._turns is not None:
            self._turns.closing = True
        self.cancel()
        async with self._lock:
            await self.conversation.close()

    async def turns(self) -> "Turns":
        """Return the runner of the prompts; call this with the lock."""
        if self._turns is None:
            await asyncio.to_thread(import_module, f"{__package__}.turns")  # it imports LangGraph
            from chatcli.serve.acp.turns import Turns

            self._turns = Turns(self)
        return self._turns


def _option(name: str, current: str, options: list[Fields]) -> Fields:
    fields = {"id": name, "name": name.capitalize(), "category": name, "type": "select"}
    return {**fields, "currentValue": current, "options": options}


def _models(settings: Settings) -> dict[str, str]:
    """Return the models that can be used, as far as that is known without asking a server, by value."""
    found = [
        ModelName(provider.prefix, provider.default_model)
        for provider in PROVIDERS.values()
        if provider.default_model and settings.credentials.has_key(provider.prefix)
    ]
    local = (name for name in (*LOCAL_MODELS, *pulled_models()) if find_model(name, settings.local_model).is_fetched)
    found += [ModelName(LOCAL, name) for name in local]
    named = {str(name): str(name) for name in found}
    for alias, text in settings.aliases.items():
        try:
            resolve_model(text, settings)
        except UsageError:  # `chat models list` reports it
            continue
        named[alias] = f"{alias} ({text})"
    return named
