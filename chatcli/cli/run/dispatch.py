"""Starts a command line without a sub-command: chooses the thread and the model, and runs a one-shot or the REPL."""

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

from chatcli import paths
from chatcli.cli.run.chosen_graph import chosen_graph, recorded_graph, recorded_model
from chatcli.cli.run.request import Request, read_request
from chatcli.config.credentials import save_key
from chatcli.config.providers import LANGFLOW, LOCAL, PROVIDERS
from chatcli.config.settings import Settings
from chatcli.config.thread_ids import new_thread_id
from chatcli.conversation.build import build_conversation, who_answers
from chatcli.conversation.place import Place, choose_place, open_threads
from chatcli.errors import ExitCode, InternalError, UsageError
from chatcli.graphs.server.client import ServerAddress
from chatcli.models.names import ModelName
from chatcli.rendering.build import build_renderer
from chatcli.runtime.program import CHAT, command, current_program
from chatcli.runtime.signals import leave_signals_to_python
from chatcli.store.location import StoreLocation


def fits_helper(settings: Settings, *, continue_: bool = False) -> bool:
    """Return whether a one-shot with these settings only asks a model: it runs no user graph and no tools.

    Raises:
        ChatcliError: The store can't be read.

    """
    elsewhere = settings.graph or settings.url or settings.resume_with or settings.script
    tools = settings.tools or settings.recall or settings.mcp_file or settings.mcp_servers
    if not settings.helper or elsewhere or tools:
        return False
    place, thread = choose_place(settings), settings.thread
    if continue_ and (newest := open_threads(place).recent(limit=1)):
        thread = newest[0].thread_id
    return thread is None or not recorded_graph(recorded_model(place, thread))


def _converse(settings: Settings, request: Request, *, continue_: bool) -> ExitCode:
    """Ask the `request`, then what the user types if the conversation continues; return the exit code.

    Wrong options are refused here, before anything is opened or a prompt is shown.
    """
    place = choose_place(settings)
    thread_id = _choose_thread(settings, place, continue_=continue_)
    stored = thread_id if continue_ or settings.thread is not None else None
    at_server = isinstance(place, ServerAddress)
    recorded = cache(lambda: recorded_model(place, stored) if stored is not None and not at_server else "")
    graph = None if at_server else chosen_graph(settings, place, stored, recorded)
    name = who_answers(settings, place, graph)
    if _may_choose(settings, request, name) and not recorded():
        from chatcli.cli.run.first_run import choose_first

        chosen = choose_first(settings)
        if isinstance(chosen, ExitCode):
            return chosen
        settings, name = chosen, who_answers(chosen, place)
    if graph is None and isinstance(place, StoreLocation):
        ask_missing_key(settings, name if stored is None else _first_model(settings, place, stored, recorded, name))
    if request.stays and graph is None and stored is not None:
        name = shown_model(settings, recorded(), name)
    plain = graph is None and not at_server
    documents = chosen_documents(settings, name, recorded()) if plain and settings.docs else ()
    begin = partial(
        build_conversation, settings, place, thread_id, graph, request.schema, name=name, documents=documents
    )
    renderer = build_renderer(settings)
    if request.stays:
        from chatcli.cli.run.interactive import run_interactive

        begin = partial(begin, can_ask=True)
        try:
            return asyncio.run(run_interactive(settings, place, begin, renderer, request, stored=stored))
        finally:
            renderer.close()
    from chatcli.cli.run.one_shot import has_user, run_once

    return run_once(settings, begin(can_ask=has_user(settings)), renderer, request)


def _may_choose(settings: Settings, request: Request, name: ModelName) -> bool:
    """Return whether a user at a terminal begins a conversation, and nothing says what answers: see `first_run`."""
    if name.provider != LOCAL or not request.stays or request.asks or request.resume:
        return False
    if settings.model or settings.local_model or settings.langflow_url or settings.format in ("json", "jsonl"):
        return False
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        return False
    return not os.access(paths.local_mark(), os.F_OK) and not any(map(settings.credentials.has_key, PROVIDERS))


def _choose_thread(settings: Settings, place: Place, *, continue_: bool) -> str:
    if not continue_:
        return settings.thread or new_thread_id()
    newest = open_threads(place).recent(limit=1)
    if not newest:
        raise UsageError("there is no thread to continue yet", remedy=f"Begin one: {command()}")
    return newest[0].thread_id


def chosen_documents(settings: Settings, name: ModelName, recorded: str) -> tuple[str, ...]:
    """Return the documents of the settings as absolute paths and globs.

    Raises:
        UsageError: There is no such file, or a Langflow flow answers.

    """
    answers = name.provider if settings.is_option("model") or not recorded else recorded.partition(":")[0]
    if answers == LANGFLOW:
        settings.refuse_options(
            ["docs"],
            "a Langflow flow, which has its own documents",
            "Leave it out, or choose another model with -m.",
        )
        return ()
    from chatcli.documents.find import resolve_source

    return tuple(map(resolve_source, settings.docs))


def shown_model(settings: Settings, recorded: str, name: ModelName) -> ModelName:
    """Return the model to show until the state of a stored thread is read: that of the index, where it may be right."""
    provider, _, model = recorded.partition(":")
    if provider not in PROVIDERS or any(settings.is_option(option) for option in ("model", "role")):
        return name
    return ModelName(provider, model)


def _first_model(
    settings: Settings, location: StoreLocation, thread_id: str, recorded: Callable[[], str], name: ModelName
) -> ModelName | None:
    """Return the model that the first turn on a stored thread asks: `name`, unless the thread has its own.

    None means a model at a server that the thread remembers, which may need no key.
    """
    chosen = any(settings.is_option(option) for option in ("model", "base_url", "role"))
    if chosen or location.in_memory or not sys.stdin.isatty():
        return name
    last = recorded().partition(":")[0]
    if last not in PROVIDERS or not settings.credentials.lacks_key(last):
        return name
    from chatcli.conversation.store_threads import read_thread_setup
    from chatcli.roles import Setup, opening_model

    # Only now, since it takes LangGraph: the index also has the models of threads from elsewhere, which remember none.
    first = opening_model(settings, asyncio.run(read_thread_setup(location, thread_id)) or Setup())
    return None if first.base_url else first


def ask_missing_key(settings: Settings, name: ModelName | None) -> None:
    """Ask for the key of the model `name` if it is missing and a user can be asked; offer to keep it.

    The key goes to `settings` only, not to the environment, which every child process would inherit.
    """
    if name is None:
        return
    provider = PROVIDERS[name.provider]
    if not settings.credentials.lacks_key(provider.prefix) or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    from chatcli.cli.subcommands.keys import ask_key, report_place

    leave_signals_to_python()
    print(f"{name} needs a key, and {provider.key_variables[0]} is not set.", file=sys.stderr)
    key = ask_key(provider)
    if not key.get_secret_value():
        return  # the turn that needs it reports what to do
    settings.credentials.use_key(provider.prefix, key)
    print("Keep the key for the next time? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        report_place(provider, save_key(provider.prefix, key))


def start(
    settings: Settings,
    words: list[str],
    *,
    from_stdin: bool = False,
    continue_: bool = False,
    resume: bool = False,
    interactive: bool = False,
) -> ExitCode:
    """Ask the prompt `words`, or start a conversation; return the exit code.

    Args:
        settings: The user's choices.
        words: The words of the prompt on the command line.
        from_stdin: Whether `-` takes its place: the prompt is read from standard input, even from a terminal.
        continue_: Whether to continue the thread used last.
        resume: Whether the user chooses a thread first.
        interactive: Whether to stay in the conversation after the answer.

    Raises:
        ChatcliError: The command line contradicts itself, or something can't be read.

    """
    request = read_request(settings, words, from_stdin=from_stdin)
    request = replace(request, resume=resume, stays=interactive or resume or not request.asks)
    if request.stays and request.script:
        raise UsageError("a script does not stay in the conversation", remedy="Leave out --interactive and --resume.")
    if request.stays and not sys.stdout.isatty():
        example = command('"your question"') if current_program().name else ""
        remedy = f"For a pipe, give a prompt: {example}" if example else "Send the question through a pipe."
        raise UsageError("a conversation needs a terminal", remedy=remedy)
    try:
        code = _converse(settings, request, continue_=continue_)
    except SystemExit as end:  # asyncio lets it through, out of any task; its code is none of ours
        raise InternalError(
            f"a graph or a tool ended the program by sys.exit({end.code!r})",
            remedy="Let it raise an exception instead.",
        ) from end
    if not request.stays and code is ExitCode.OK and current_program() is CHAT:
        _start_helper(settings)
    return code


def _start_helper(settings: Settings) -> None:
    """Start the helper, if it could have run this one-shot."""
    if fits_helper(settings):
        from chatcli.helper.spawn import spawn_helper

        spawn_helper()
