"""Shows how a thread that is resumed stood."""

from collections.abc import Sequence

from chatcli.config.settings import Settings
from chatcli.conversation.conversation import Conversation
from chatcli.events import Notice, ThreadChanged
from chatcli.message import MessageShown
from chatcli.providers import PROVIDERS
from chatcli.rendering.renderer import Renderer


async def show_past(
    settings: Settings,
    conversation: Conversation,
    renderer: Renderer,
    messages: Sequence[MessageShown],
    *,
    waits: bool,
) -> None:
    """Show the last `messages`, which come from the index: at once, before LangGraph is imported.

    Then, where `waits` says that nothing is asked yet, ask again what the thread waits for.
    """
    conversation.turns = len(messages)
    renderer.render(ThreadChanged(conversation.thread_id, tuple(messages)))
    if waits:
        await _show_pending(settings, conversation, renderer, unanswered=messages[-1].role == "user")


async def _show_pending(
    settings: Settings, conversation: Conversation, renderer: Renderer, *, unanswered: bool
) -> None:
    """Ask again what the thread waits for; only where it may, LangGraph is imported for that before the prompt."""
    # A graph of the user's, here or on a server, is no provider's model.
    own = conversation.model_name.provider not in PROVIDERS
    tools = bool(settings.tools or settings.mcp_servers or settings.mcp_file)
    requests = await conversation.pending() if own or tools or unanswered else ()
    for request in requests:
        renderer.render(request)
    if unanswered and not requests:
        renderer.render(Notice("the last question has no answer; /retry asks it again"))
