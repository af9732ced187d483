"""Completion with Tab."""

import asyncio
import re
import shlex
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from unicodedata import normalize

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from chatcli.commands.all import all_commands
from chatcli.commands.branches import LIST, SUMMARY
from chatcli.commands.lines import parse_command
from chatcli.commands.model import MAX_COST, WATCH
from chatcli.commands.registry import Command, CommandRegistry
from chatcli.config.settings import THEMES, Settings
from chatcli.conversation.backend import Backend
from chatcli.conversation.conversation import Conversation
from chatcli.documents.find import shown_path
from chatcli.errors import ChatcliError
from chatcli.graphs.values import shown_key
from chatcli.manual import list_topics
from chatcli.repl.toolbar import thread_titles
from chatcli.roles import SHIPPED, role_files
from chatcli.sanitize import sanitize_line

Choices = Callable[[], Iterable[tuple[str, str]]]
"""Returns the values that an argument may have, each with a word about it."""

_MENTION = re.compile(r"""(?:^|\s)@(?:"(?P<quoted>[^"\n]*)|(?P<bare>[^\s"]\S*)?)\Z""")
SERVER_SECONDS = 10.0
"""Time for an MCP server, started if necessary, to list what Tab completes."""
Offered = TypeVar("Offered")
_BEFORE_PATH = "/docs add "
_MOST_USED = ("help", "new", "model", "threads", "file", "retry", "undo", "edit", "copy", "save", "docs", "exit")
"""The commands that are offered first."""


def _rank(command: Command) -> int:
    return _MOST_USED.index(command.name) if command.name in _MOST_USED else len(_MOST_USED)


@dataclass(eq=False)
class LineCompleter(Completer):
    """Completes slash commands, with their help, their arguments, and `@paths`.

    `arguments` are the choices for a command's argument, by its name. What `conversation` refuses is not offered; it
    returns None before the conversation has begun, and `begun` is then the loop that it runs in. `servers` returns the
    names of the MCP servers.
    """

    registry: CommandRegistry
    arguments: Mapping[str, Choices]
    conversation: Callable[[], Conversation | None] = lambda: None
    servers: Callable[[], Sequence[str]] = lambda: ()
    begun: Future[asyncio.AbstractEventLoop] = field(default_factory=Future)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Yield the completions of the text before the cursor."""
        typed = document.text_before_cursor
        if mention := _MENTION.search(typed):
            begun, quoted = mention["quoted"] or mention["bare"] or "", mention["quoted"] is not None
            yield from self._resources(begun, quoted=quoted)
            yield from _paths(begun, quoted=quoted)
        elif typed.startswith(_BEFORE_PATH):
            path = typed.removeprefix(_BEFORE_PATH).lstrip()
            yield from _paths(path.removeprefix('"'), quoted=path.startswith('"'))
        elif parse_command(typed) is None or "\n" in typed:
            return
        elif " " in typed:
            yield from self._values(typed)
        else:
            for command in sorted(self.registry.offered(self.conversation()), key=_rank):
                if command.name.startswith(typed[1:]):
                    yield Completion(f"/{command.name}", start_position=-len(typed), display_meta=command.help)
            yield from self._prompts(typed)

    def _resources(self, typed: str, *, quoted: bool) -> Iterable[Completion]:
        """Yield the MCP servers whose names begin with `typed`, or the resources of the one that it names."""
        server, colon, begun = typed.partition(":")
        if not colon:
            for name in self.servers():
                if name.startswith(server):
                    yield Completion(f"{name}:", start_position=-len(typed), display_meta="MCP server")
        elif server in self.servers():
            for resource in self._ask_server(lambda conversation: conversation.mcp_servers.resources(server)):
                uri = resource.uri
                if uri.startswith(begun) and uri.isprintable() and '"' not in uri and (quoted or " " not in uri):
                    closing = '"' if quoted else ""
                    about = sanitize_line(resource.title)
                    yield Completion(f"{uri}{closing}", start_position=-len(begun), display_meta=about)

    def _prompts(self, typed: str) -> Iterable[Completion]:
        """Yield the MCP servers whose names begin the command `typed`, or the prompts of the one that it names."""
        server, colon, begun = typed[1:].partition(":")
        if not colon:
            for name in self.servers():
                if name.startswith(server):
                    yield Completion(f"/{name}:", start_position=-len(typed), display_meta="prompts of the MCP server")
        elif server in self.servers():
            for prompt in self._ask_server(lambda conversation: conversation.mcp_servers.prompts(server)):
                if prompt.name.startswith(begun):
                    about = sanitize_line(f"{prompt.usage} {prompt.description}")
                    yield Completion(prompt.name, start_position=-len(begun), display_meta=about)

    def _ask_server(self, ask: Callable[[Conversation], Coroutine[Any, Any, list[Offered]]]) -> list[Offered]:
        """Return the offers that `ask` gets from an MCP server, in the conversation's thread; none if it is too slow.

        This thread waits for the conversation to begin: Tab may be the first key.
        """
        with suppress(ChatcliError, TimeoutError, CancelledError):
            loop, conversation = self.begun.result(SERVER_SECONDS), self.conversation()
            if conversation is not None:
                asked = asyncio.run_coroutine_threadsafe(ask(conversation), loop)
                try:
                    return asked.result(SERVER_SECONDS)
                finally:
                    asked.cancel()
        return []

    def _prompt_values(self, name: str, typed: str) -> Iterable[Completion]:
        """Yield values for the argument that the end of `typed` gives to the prompt `name`, and names of arguments."""
        server, _, prompt_name = name.partition(":")
        if server not in self.servers():
            return
        prompts = self._ask_server(lambda conversation: conversation.mcp_servers.prompts(server))
        prompt = next((each for each in prompts if each.name == prompt_name), None)
        argument, begun = ("", "") if prompt is None else prompt.argument_at_end(typed)
        if prompt is None or not argument:
            return
        for value in self._ask_server(lambda conversation: conversation.mcp_servers.values(prompt, argument, begun)):
            yield Completion(shlex.quote(value), start_position=-len(begun), display_meta=sanitize_line(argument))
        for other in prompt.arguments if typed.rpartition(" ")[2] == begun else ():
            if other.startswith(begun) and f"{other}=" not in typed and other.isprintable():
                yield Completion(f"{other}=", start_position=-len(begun), display_meta="argument")

    def _values(self, typed: str) -> Iterable[Completion]:
        name, _, argument = typed[1:].partition(" ")
        if ":" in name:
            yield from self._prompt_values(name, argument)
            return
        choices = self.arguments.get(name)
        for value, about in choices() if choices else ():
            if value.startswith(argument) and value.isprintable():
                yield Completion(value, start_position=-len(argument), display_meta=sanitize_line(about))


def build_completer(
    settings: Settings,
    backend: Backend,
    conversation: Callable[[], Conversation | None],
    begun: Future[asyncio.AbstractEventLoop],
) -> LineCompleter:
    """Return the completer for the threads of `backend` and the user's models and roles; see `LineCompleter`."""
    return LineCompleter(
        all_commands(),
        {
            "thread": lambda: thread_titles(backend).items(),
            "model": lambda: _model_choices(settings),
            "role": lambda: [
                (name, "shipped" if path.parent == SHIPPED else "yours") for name, path in role_files().items()
            ],
            "theme": lambda: [(name, "") for name in THEMES],
            "help": lambda: [*list_topics(), *((command.name, command.help) for command in all_commands())],
            "set": lambda: _graph_fields(conversation()),
            "state": lambda: [*_state_keys(conversation()), (WATCH, "the changes of each turn")],
            "tree": lambda: [(LIST, "print it"), (f"{SUMMARY} ", "of the branch of turn N")],
            "docs": lambda: _documents_choices(conversation()),
        },
        conversation,
        lambda: _server_names(settings, conversation()),
        begun,
    )


def _server_names(settings: Settings, conversation: Conversation | None) -> Sequence[str]:
    """Return the names of the MCP servers; before the conversation has begun, those of the settings."""
    if conversation is not None:
        return conversation.mcp_servers.names
    return () if settings.tools is False else [name for name, each in settings.servers().items() if not each.disabled]


def _model_choices(settings: Settings) -> list[tuple[str, str]]:
    from chatcli.models.usable import usable_models  # an HTTP client, which the other choices do without

    return [(model.alias or str(model.name), model.source) for model in usable_models(settings)]


def _graph_fields(conversation: Conversation | None) -> list[tuple[str, str]]:
    """Return the beginnings of `/set`, with the type of each; those of a graph once its thread is open."""
    if conversation is not None and not conversation.has_own_graph:
        return [(f"{MAX_COST}=", "US dollars that a thread may cost")]
    settable = () if conversation is None else conversation.settable()
    return [(f"{shown_key(kind, key)}=", name) for kind, key, name in settable]


def _state_keys(conversation: Conversation | None) -> Iterable[tuple[str, str]]:
    """Return the keys of the graph's state, with the type of each."""
    return () if conversation is None else conversation.state_names().items()


def _documents_choices(conversation: Conversation | None) -> list[tuple[str, str]]:
    """Return the words of `/docs`, and the thread's documents to remove."""
    words = [("add ", "a folder, a file or a glob"), ("list", "")]
    if conversation is None or not conversation.documents:
        return words
    removals = [(f"remove {shown_path(source)}", "") for source in conversation.documents]
    return [*words, ("off", "no documents any more"), *removals]


def _composed(name: str) -> str:
    """Return `name` with each accented letter as one character, as it is typed; macOS makes names with two."""
    return normalize("NFC", name)


def _paths(typed: str, *, quoted: bool) -> Iterable[Completion]:
    """Yield the paths that begin with `typed`, the text after `@`, or after `@"` if it is `quoted`."""
    folder, _, begun = typed.rpartition("/")
    try:
        base = Path(f"{folder}/" if typed.startswith("/") else folder or ".").expanduser()
        found = sorted(path for path in base.iterdir() if _composed(path.name).startswith(_composed(begun)))
    except (OSError, RuntimeError):
        return  # the folder does not exist or can't be read, or `~name` is no user: nothing to offer
    above = typed.removesuffix(begun)
    for path in found:
        if not path.name.isprintable() or (not begun and path.name.startswith(".")):
            continue
        name = f"{path.name}/" if path.is_dir() else path.name
        if not quoted and " " not in name:
            yield Completion(name, start_position=-len(begun))
        elif '"' not in above + name:
            opening = "" if quoted else '"'
            closing = "" if path.is_dir() else '"'  # after a folder the path goes on
            yield Completion(f"{opening}{above}{name}{closing}", start_position=-len(typed), display=name)
