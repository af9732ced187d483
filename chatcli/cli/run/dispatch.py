"""Starts a command line without a sub-command: chooses the thread and the model, and runs a one-shot or the REPL."""

import asyncio
import os
import sys
from contextlib import closing
from dataclasses import replace

from chatcli import paths
from chatcli.cli.run.request import Request, read_request
from chatcli.config.providers import LOCAL, PROVIDERS
from chatcli.config.settings import Settings
from chatcli.conversation.backend import choose_backend
from chatcli.conversation.compose import Composition, compose, recorded_graph, recorded_model
from chatcli.errors import ExitCallError, ExitCode, UsageError
from chatcli.models.names import ModelName
from chatcli.rendering.build import build_renderer
from chatcli.runtime.program import CHAT, command, current_program
from chatcli.runtime.signals import leave_signals_to_python
from chatcli.runtime.untraced import leave_out_tracing
from chatcli.text import tell


def fits_helper(settings: Settings, *, continue_: bool = False) -> bool:
    """Return whether a one-shot with these settings only asks a model: it runs no user graph and no tools."""
    elsewhere = settings.graph or settings.url or settings.resume_with or settings.script
    tools = settings.tools or settings.recall or settings.mcp_file or settings.mcp_servers
    if not settings.helper or elsewhere or tools:
        return False
    backend, thread = choose_backend(settings), settings.thread
    if continue_ and (newest := backend.threads().recent(limit=1)):
        thread = newest[0].thread_id
    return thread is None or not recorded_graph(recorded_model(backend, thread))


def _converse(settings: Settings, request: Request, *, continue_: bool) -> ExitCode:
    """Ask the `request`, then what the user types if the conversation continues; return the exit code.

    Wrong options are refused here, before anything is opened or a prompt is shown.
    """
    thread_id = settings.thread
    if continue_:
        newest = choose_backend(settings).threads().recent(limit=1)
        if not newest:
            raise UsageError("there is no thread to continue yet", remedy=f"Begin one: {command()}")
        thread_id = newest[0].thread_id
    composed = compose(settings, thread_id, stored=thread_id is not None)
    if _may_choose(settings, request, composed.name) and not composed.recorded():
        from chatcli.cli.run.first_run import choose_first

        chosen = choose_first(settings)
        if isinstance(chosen, ExitCode):
            return chosen
        settings = chosen
        composed = compose(settings, composed.thread_id, stored=composed.stored)
    if composed.graph_notice and not settings.quiet:
        tell(composed.graph_notice)
    if composed.is_plain:
        leave_out_tracing()
        ask_missing_key(settings, _first_model(composed))
        if request.asks and not composed.stored:  # a thread may remember another server
            from chatcli.models.early_connection import connect_early

            connect_early(composed.name, settings.credentials)
    renderer = build_renderer(settings)
    if request.stays:
        from chatcli.cli.run.interactive import run_interactive

        with closing(renderer):
            return asyncio.run(run_interactive(composed, renderer, request))
    from chatcli.cli.run.one_shot import has_user, run_once

    conversation = replace(composed, schema=request.schema, can_ask=has_user(settings)).conversation()
    return run_once(settings, conversation, renderer, request)


def _may_choose(settings: Settings, request: Request, name: ModelName) -> bool:
    """Return whether a user at a terminal begins a conversation, and nothing says what answers: see `first_run`."""
    if name.provider != LOCAL or not request.stays or request.asks or request.resume:
        return False
    if settings.model or settings.local_model or settings.langflow_url or settings.format in ("json", "jsonl"):
        return False
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        return False
    return not os.access(paths.local_mark(), os.F_OK) and not any(map(settings.credentials.has_key, PROVIDERS))


def _first_model(composed: Composition) -> ModelName | None:
    """Return the model that the first turn asks: `composed.name`, unless a stored thread has its own.

    None means a model at a server that the thread remembers, which may need no key.
    """
    settings = composed.settings
    chosen = any(settings.is_option(option) for option in ("model", "base_url", "role"))
    if not composed.stored or chosen or not composed.backend.keeps_threads or not sys.stdin.isatty():
        return composed.name
    last = composed.recorded().partition(":")[0]
    if last not in PROVIDERS or not settings.credentials.lacks_key(last):
        return composed.name
    from chatcli.roles import Setup, opening_model

    # Only now, since it takes LangGraph: the index also has the models of threads from elsewhere, which remember none.
    first = opening_model(settings, asyncio.run(composed.backend.reader().setup(composed.thread_id)) or Setup())
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
    from chatcli.cli.subcommands.keys import ask_key, keep_key

    leave_signals_to_python()
    tell(f"{name} needs a key, and {provider.key_variables[0]} is not set.")
    key = ask_key(provider)
    if not key.get_secret_value():
        return  # the turn that needs it reports what to do
    settings.credentials.use_key(provider.prefix, key)
    print("Keep the key for the next time? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        keep_key(provider, key)


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

    With `from_stdin`, the prompt is read from standard input, even from a terminal. `continue_` goes on with the thread
    used last, `resume` lets the user choose one, and `interactive` stays in the conversation after the answer.
    """
    request = read_request(settings, words, from_stdin=from_stdin, resume=resume)
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
        raise ExitCallError(end) from end
    if not request.stays and code is ExitCode.OK and current_program() is CHAT and fits_helper(settings):
        from chatcli.helper.spawn import spawn_helper  # it could have run this one-shot, and may run the next one

        spawn_helper()
    return code
