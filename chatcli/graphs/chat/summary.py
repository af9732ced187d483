"""Summaries: the model summarises the oldest turns, which are then no longer sent but stay in the thread."""

from collections.abc import Iterator, Sequence

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langgraph.constants import TAG_NOSTREAM

from chatcli.errors import RefusedError, UsageError
from chatcli.graphs.chat.context import open_messages
from chatcli.graphs.chat.receive import receive, refuse_unfinished
from chatcli.graphs.chat.state import ChatState, TurnContext
from chatcli.models.errors import translate

KEPT_TURNS = 2
"""The number of newest turns that are never summarised."""
PIECE_TOKENS = 4000
"""How much is summarised at once if the model's window is not known."""
CHARACTERS_PER_TOKEN = 3
"""A cautious estimate, for cutting text that is larger than a piece."""
INSTRUCTIONS = (
    "Summarise the conversation that you are given, for yourself, so that you can go on with it without having it."
    " Keep every name, number, decision, preference and open question of the user. Write at most 200 words, in the"
    " language of the conversation. Answer with the summary alone."
)


async def compact_state(state: ChatState, turn: TurnContext) -> ChatState:
    """Return the update of `state` that summarises all turns but the newest.

    Raises:
        UsageError: There is at most one turn, or the model's server keeps the conversation itself.
        ChatcliError: The model did not make a summary.

    """
    if turn.model.keeps_conversation:
        raise UsageError(f"{turn.model.name} keeps the conversation itself: there is nothing to compact here")
    summed_up, messages = open_messages(state)
    starts = [index for index, message in enumerate(messages) if isinstance(message, HumanMessage)]
    if len(starts) < 2:
        raise UsageError("there is nothing to compact yet: the newest turn is always kept")
    older = messages[: starts[-min(KEPT_TURNS, len(starts) - 1)]]
    summary = state.get("summary", "") if summed_up else ""
    for piece in _pieces(older, turn):
        summary = await _summarise(summary, piece, turn)
    limit = turn.context_tokens or turn.model.limits.request
    if limit is not None:  # a longer summary would leave no room for a question
        summary = _cut(summary, limit // 2 * CHARACTERS_PER_TOKEN)
    return ChatState(summary=summary, summarised=older[-1].id or "")


async def _summarise(summary: str, piece: str, turn: TurnContext) -> str:
    before = f"Summary of what came before:\n{summary}\n\n" if summary else ""
    request = [SystemMessage(INSTRUCTIONS), HumanMessage(f"{before}{piece}")]
    # Without this tag, LangGraph would stream the summary as the answer.
    config = RunnableConfig(tags=[TAG_NOSTREAM])
    try:
        # Streamed, since some servers can't do otherwise, and retried like every question.
        answer = await receive(
            lambda: turn.model.client.astream(request, config),
            turn.model,
            seconds=turn.timeout,
            report=lambda text: None,
        )
        refuse_unfinished(answer, turn.model)
    except Exception as error:
        raise translate(error, turn.model.endpoint) from error
    if not (text := str(answer.text).strip()):
        raise RefusedError(f"{turn.model.name} gave no summary", remedy="Try again, or choose another model.")
    return text


def _pieces(messages: Sequence[BaseMessage], turn: TurnContext) -> Iterator[str]:
    """Yield the conversation as text, cut between messages into pieces that the model can read."""
    room = (turn.model.limits.request or 2 * PIECE_TOKENS) // 2 * CHARACTERS_PER_TOKEN
    piece = ""
    for message in messages:
        line = f"{message.type}: {_cut(str(message.text), room)}\n"
        if piece and len(piece) + len(line) > room:
            yield piece
            piece = ""
        piece += line
    yield piece


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[:room]} [...]"
