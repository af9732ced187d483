"""Shows the last messages of a resumed thread, and how to resume one."""

import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress

from chatcli.config.settings import Settings
from chatcli.conversation.backend import Backend
from chatcli.conversation.compose import recorded_graph, recorded_model
from chatcli.conversation.conversation import Conversation
from chatcli.errors import ChatcliError
from chatcli.events import Notice
from chatcli.message import MessageShown, is_form, is_review
from chatcli.rendering.display import ThreadChanged
from chatcli.rendering.renderer import Renderer
from chatcli.runtime.program import command, current_program
from chatcli.text import tell


async def show_history(
    settings: Settings,
    conversation: Conversation,
    renderer: Renderer,
    messages: Sequence[MessageShown],
    *,
    waits: bool,
) -> bool:
    """Show the last `messages`, which come from the index, before LangGraph is imported.

    The index does not know what an answer cites, so a thread with documents is opened for that.

    With `waits`, the command line asks nothing: then show the requests that the thread is waiting on. Return whether
    it waits for a decision on tool calls, which is asked for by keys.
    """
    conversation.turns = len(messages)
    shown = messages
    if conversation.documents:
        with suppress(ChatcliError):  # it comes again with the first question
            shown = (await conversation.open_thread(conversation.thread_id))[-len(messages) :]
    renderer.render(ThreadChanged(conversation.thread_id, tuple(shown)))
    return waits and await _show_pending(settings, conversation, renderer, unanswered=messages[-1].role == "user")


async def _show_pending(
    settings: Settings, conversation: Conversation, renderer: Renderer, *, unanswered: bool
) -> bool:
    """Show the requests that the thread is waiting on; import LangGraph for it only where there may be some.

    Those that are decided by keys are not shown here; return whether there are any, or forms to fill in.
    """
    own = conversation.has_own_graph
    tools = bool(settings.tools or settings.mcp_servers or settings.mcp_file)
    session = await conversation.session() if own or tools or unanswered else None
    requests = await session.pending() if session is not None else ()
    reviews = [request for request in requests if is_review(request.payload)]
    for request in requests:
        if request not in reviews:
            renderer.render(request)
    if own and session is not None and (stopped := await session.stopped_notice()) is not None:
        renderer.render(stopped)
    elif unanswered and not requests:
        renderer.render(Notice("the last question has no answer; /retry asks it again"))
    return bool(reviews) or any(is_form(request.payload) for request in requests)


def resume_command(settings: Settings, backend: Backend, thread_id: str, *, answer: str = "") -> str:
    """Return the command that continues the thread, with the options of this command line that name its backend.

    A URL that holds a password or a key is replaced, with a remark. `answer` is for a thread that is waiting, which
    needs the tools again.
    """
    words, remark = [command()], ""
    for option in ("url", "store", "base_url"):
        value = getattr(settings, option)
        if not settings.is_option(option) or value is None:
            continue
        secret = settings.credentials.redact(value) != value
        words += [f"--{option.replace('_', '-')}", "URL" if secret else value]
        if secret:
            remark = "  (URL: the one that you gave; it holds a password or a key, so it is not shown)"
    if settings.is_option("graph") and settings.graph and not recorded_graph(recorded_model(backend, thread_id)):
        words += ["--graph", settings.graph]  # the index has none, as where the graph keeps its own threads
    if answer and settings.is_option("tools") and settings.tools:
        words.append("--tools")
    if answer and settings.is_option("mcp_file") and settings.mcp_file is not None:
        words += ["--mcp", str(settings.mcp_file)]
    words += ["--thread", thread_id, *(["--resume-with", answer] if answer else [])]
    return f"{shlex.join(words)}{remark}"


def resume_hint(settings: Settings, backend: Backend, thread_id: str) -> str:
    """Return the line that says how to go on with the thread later."""
    if not current_program().name:
        return f"This conversation is the thread {thread_id}."
    return f"Resume this conversation with: {resume_command(settings, backend, thread_id)}"


def print_hint(settings: Settings, backend: Backend, thread_id: str, *, stopped: bool) -> None:
    """Print the command that answers the waiting thread, or goes on where the graph stopped at a breakpoint."""
    if current_program().name:
        goes_on = resume_command(settings, backend, thread_id, answer="null" if stopped else "JSON")
        print(f"{'Go on with' if stopped else 'It waits for an answer'}: {goes_on}", file=sys.stderr)
    elif not stopped:
        tell(f"The thread {thread_id} waits for an answer.")
