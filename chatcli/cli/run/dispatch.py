"""Chooses the thread and its model or graph, and runs a one-shot or the REPL with them."""

import asyncio
import sys
from collections.abc import Callable
from functools import cache, partial

from chatcli.cli.run.chosen_graph import chosen_graph, recorded_model
from chatcli.cli.run.missing_key import ask_missing_key
from chatcli.cli.run.request import Request
from chatcli.config.settings import Settings
from chatcli.conversation.build import build_conversation, who_answers
from chatcli.conversation.place import choose_server, choose_store, open_threads
from chatcli.errors import ExitCode, UsageError
from chatcli.models.names import ModelName
from chatcli.providers import PROVIDERS
from chatcli.rendering.build import build_renderer
from chatcli.thread_ids import new_thread_id


def converse(settings: Settings, request: Request, *, stay: bool, continue_: bool, resume: bool) -> ExitCode:
    """Ask the `request`, and with `stay` what the user types then; return the exit code.

    Wrong options are refused here, before anything is opened or a prompt is shown.
    """
    thread_id = _choose_thread(settings, continue_=continue_)
    stored = thread_id if continue_ or settings.thread is not None else None
    at_server = choose_server(settings) is not None
    recorded = cache(lambda: recorded_model(settings, stored) if stored is not None and not at_server else "")
    graph = None if at_server else chosen_graph(settings, stored, recorded)
    name = who_answers(settings, graph)
    if graph is None and not at_server:
        ask_missing_key(settings, name if stored is None else _first_model(settings, stored, recorded, name))
    if stay and graph is None and stored is not None:
        name = _shown_model(settings, recorded(), name)
    begin = partial(build_conversation, settings, thread_id, graph, request.schema, name=name)
    renderer = build_renderer(settings)
    if stay:
        from chatcli.cli.run.interactive import run_interactive

        return run_interactive(settings, partial(begin, can_ask=True), renderer, request, stored=stored, resume=resume)
    from chatcli.cli.run.ask_approval import has_user
    from chatcli.cli.run.one_shot import run_once

    return run_once(settings, begin(can_ask=has_user(settings)), renderer, request)


def _choose_thread(settings: Settings, *, continue_: bool) -> str:
    if not continue_:
        return settings.thread or new_thread_id()
    newest = open_threads(choose_store(settings)).recent(limit=1)
    if not newest:
        raise UsageError("there is no thread to continue yet", remedy="Begin one: chat")
    return newest[0].thread_id


def _shown_model(settings: Settings, recorded: str, name: ModelName) -> ModelName:
    """Return the model to show until the state of a stored thread is read: that of the index, where it may be right."""
    provider, _, model = recorded.partition(":")
    if provider not in PROVIDERS or any(settings.is_option(option) for option in ("model", "role")):
        return name
    return ModelName(provider, model)


def _first_model(settings: Settings, thread_id: str, recorded: Callable[[], str], name: ModelName) -> ModelName | None:
    """Return the model of the first turn on a stored thread: `name`, unless the thread has its own.

    None stands for a model at a server that the thread remembers, which may need no key.
    """
    chosen = any(settings.is_option(option) for option in ("model", "base_url", "role"))
    if chosen or choose_store(settings).in_memory or not sys.stdin.isatty():
        return name
    last = recorded().partition(":")[0]
    if last not in PROVIDERS or not settings.lacks_key(last):
        return name
    from chatcli.conversation.stored_threads import read_thread_setup
    from chatcli.roles.opening import opening_model
    from chatcli.roles.setup import Setup

    # Only now, since it imports LangGraph: the index also has models of imported threads, which remember none.
    first = opening_model(settings, asyncio.run(read_thread_setup(settings, thread_id)) or Setup())
    return None if first.base_url else first
