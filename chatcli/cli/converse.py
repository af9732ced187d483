"""Runs a one-shot or the REPL, and names its exit code."""

import asyncio
import shlex
import signal
import sys
from contextlib import suppress

from chatcli.bootstrap import build_conversation, build_renderer, build_repl, read_model
from chatcli.cli.approve import answer_waiting, has_user
from chatcli.cli.asked import Asked
from chatcli.cli.missing_key import ask_missing_key
from chatcli.cli.own_graph import chosen_graph
from chatcli.cli.report import report_traceback
from chatcli.cli.script import play
from chatcli.conversation import Conversation, new_thread_id
from chatcli.errors import ExitCode, InternalError, UsageError
from chatcli.events import (
    WAITING,
    Event,
    Notice,
    ThreadChanged,
    TurnFailed,
    TurnFinished,
    TurnInterrupted,
)
from chatcli.models.names import ModelName, resolve_model
from chatcli.providers import PROVIDERS
from chatcli.rendering.consume import consume
from chatcli.rendering.renderer import Renderer
from chatcli.settings import Settings
from chatcli.store.choices import thread_choices
from chatcli.store.location import choose_server, choose_store, open_threads
from chatcli.store.threads import Threads

PAST_MESSAGES = 6
"""How many of a resumed thread's messages are shown again."""


def converse(settings: Settings, asked: Asked, *, stay: bool, continue_: bool, resume: bool) -> ExitCode:
    """Ask what is `asked`, and with `stay` whatever is typed then; return the exit code."""
    thread_id = _choose_thread(settings, continue_=continue_)
    stored = thread_id if continue_ or settings.thread is not None else None
    at_server = choose_server(settings) is not None
    graph = None if at_server else chosen_graph(settings, stored)
    conversation = build_conversation(settings, thread_id, asked.schema, graph, can_ask=stay or has_user(settings))
    if graph is None and not at_server:
        ask_missing_key(settings, _first_model(settings, conversation) if stored else conversation.model_name)
    renderer = build_renderer(settings)
    try:
        if stay:
            return asyncio.run(_stay(settings, conversation, renderer, asked, resume=resume, stored=stored is not None))
        if asked.script:
            last = asyncio.run(play(conversation, renderer, asked.script, asked.attachments))
        else:
            last = asyncio.run(_answer(settings, conversation, renderer, asked))
    finally:
        renderer.close()
    if isinstance(last, TurnFinished) and last.finish_reason == WAITING:
        tell_waiting(settings, conversation.thread_id)
    if isinstance(last, TurnFailed) and settings.debug:
        report_traceback(last.error, settings.redact)
    return _exit_code(last)


def _choose_thread(settings: Settings, *, continue_: bool) -> str:
    if not continue_:
        return settings.thread or new_thread_id()
    newest = open_threads(choose_store(settings)).recent(limit=1)
    if not newest:
        raise UsageError("there is no thread to continue yet", remedy="Begin one: chat")
    return newest[0].thread_id


def _first_model(settings: Settings, conversation: Conversation) -> ModelName:
    """Return the model that the first turn asks: a resumed thread may have its own."""
    location = choose_store(settings)
    chosen = any(settings.is_option(name) for name in ("model", "base_url", "role"))
    if chosen or location.in_memory or not sys.stdin.isatty():
        return conversation.model_name
    known = {thread.thread_id: thread.model for thread in open_threads(location).recent()}
    last = known.get(conversation.thread_id, "").partition(":")[0]
    if last not in PROVIDERS or not settings.lacks_key(last):
        return conversation.model_name
    # Only now, since it takes LangGraph: the index also has the models of threads from elsewhere, which remember none.
    stored = asyncio.run(read_model(settings, conversation.thread_id))
    return resolve_model(stored, settings) if stored else conversation.model_name


async def _answer(settings: Settings, conversation: Conversation, renderer: Renderer, asked: Asked) -> Event | None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, conversation.interrupt)
    try:
        if asked.answer is not None:
            events = conversation.answer(asked.answer)
        else:
            assert asked.prompt is not None
            events = conversation.run_turn(asked.prompt, asked.attachments)
        last = await consume(events, renderer)
        return await answer_waiting(conversation, renderer, last) if has_user(settings) else last
    finally:
        await conversation.close()


async def _stay(
    settings: Settings,
    conversation: Conversation,
    renderer: Renderer,
    asked: Asked,
    *,
    resume: bool,
    stored: bool,
) -> ExitCode:
    repl = build_repl(settings, conversation, renderer)
    location = choose_store(settings)
    choices = thread_choices(open_threads(location).recent()) if resume else ()
    if resume and not choices:
        raise UsageError("there is no thread to resume yet", remedy="Begin one: chat")
    try:
        unanswered = stored and not location.in_memory and _show_past(open_threads(location), conversation, renderer)
        if conversation.turns and asked.prompt is None:
            # A graph of the user's, here or on a server, is no provider's model.
            own = conversation.model_name.provider not in PROVIDERS
            tools = bool(settings.tools or settings.mcp_servers or settings.mcp_file)
            await _show_pending(conversation, renderer, unanswered=unanswered, may_wait=own or tools or unanswered)
        stopped = await repl.run(asked.prompt, asked.attachments, choices=choices)
    finally:
        await conversation.close()
    if conversation.turns and not location.in_memory:
        print(f"Resume this conversation with: {_resuming(settings, conversation.thread_id)}", file=sys.stderr)
    return ExitCode.INTERRUPTED if stopped else ExitCode.OK


def _show_past(threads: Threads, conversation: Conversation, renderer: Renderer) -> bool:
    """Show how the thread stood, from the index: at once, before LangGraph is imported.

    Returns:
        Whether the last question has no answer.

    """
    messages = threads.said(conversation.thread_id, PAST_MESSAGES)
    if messages:
        conversation.turns = len(messages)
        renderer.render(ThreadChanged(conversation.thread_id, tuple(messages)))
    return bool(messages) and messages[-1].role == "user"


async def _show_pending(conversation: Conversation, renderer: Renderer, *, unanswered: bool, may_wait: bool) -> None:
    """Ask again what the thread waits for; only where it may, LangGraph is imported for that before the prompt."""
    requests = await conversation.pending() if may_wait else ()
    for request in requests:
        renderer.render(request)
    if unanswered and not requests:
        renderer.render(Notice("the last question has no answer; /retry asks it again"))


def tell_waiting(settings: Settings, thread_id: str) -> None:
    """Tell how to answer what the thread waits for, where nobody can be asked."""
    with suppress(BrokenPipeError):  # nobody reads stderr: the answer's reason tells
        print(f"It waits for an answer: {_resuming(settings, thread_id)} --resume-with JSON", file=sys.stderr)


def _resuming(settings: Settings, thread_id: str) -> str:
    """Return the command that goes on with the thread: where it is kept is said again where it was said."""
    server = choose_server(settings)
    where = f"--url {shlex.quote(server.shown)} " if server is not None and settings.is_option("url") else ""
    return f"chat {where}--thread {shlex.quote(thread_id)}"


def _exit_code(last: Event | None) -> ExitCode:
    match last:
        case TurnFinished():
            return ExitCode.OK
        case TurnInterrupted():
            return ExitCode.INTERRUPTED
        case TurnFailed(error=error):
            return error.exit_code
        case _:
            raise InternalError("the turn ended without a terminal event")
