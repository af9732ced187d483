"""Replaces the oldest turns of what is sent by a summary that the model makes; the thread itself keeps them."""

from collections.abc import Iterator, Sequence

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langgraph.constants import TAG_NOSTREAM

from chatcli.errors import UsageError
from chatcli.graph.context import open_messages
from chatcli.graph.state import ChatState, TurnContext
from chatcli.models.errors import translate

KEPT_TURNS = 2
"""The newest turns are sent as they are."""
PIECE_TOKENS = 4000
"""How much is summarised at once where the model's window is not known."""
CHARACTERS_PER_TOKEN = 3
"""A cautious size of what is cut because it is larger than a piece."""
INSTRUCTIONS = (
    "Summarise the conversation that you are given, for yourself, so that you can go on with it without having it."
    " Keep every name, number, decision, preference and open question of the user's. Write at most 200 words, in the"
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
    messages = open_messages(state)
    starts = [index for index, message in enumerate(messages) if isinstance(message, HumanMessage)]
    if len(starts) < 2:
        raise UsageError("there is nothing to compact yet: the newest turn is always kept")
    older = messages[: starts[-min(KEPT_TURNS, len(starts) - 1)]]
    summary = state.get("summary", "") if len(messages) < len(state["messages"]) else ""
    for piece in _pieces(older, turn):
        summary = await _summarise(summary, piece, turn)
    return ChatState(summary=summary, summarised=older[-1].id or "")


async def _summarise(summary: str, piece: str, turn: TurnContext) -> str:
    before = f"Summary of what came before:\n{summary}\n\n" if summary else ""
    request = [SystemMessage(INSTRUCTIONS), HumanMessage(f"{before}{piece}")]
    try:
        # Untagged, LangGraph would stream the summary as if it were the answer.
        answer = await turn.model.client.ainvoke(request, {"tags": [TAG_NOSTREAM]})
    except Exception as error:
        raise translate(error, turn.model.endpoint) from error
    return str(answer.text).strip()


def _pieces(messages: Sequence[BaseMessage], turn: TurnContext) -> Iterator[str]:
    """Yield the conversation as text, cut between messages into pieces that the model can read."""
    room = (turn.model.limits.request or 2 * PIECE_TOKENS) // 2 * CHARACTERS_PER_TOKEN
    piece = ""
    for message in messages:
        text = str(message.text)
        line = f"{message.type}: {text[:room]}{' [...]' if len(text) > room else ''}\n"
        if piece and len(piece) + len(line) > room:
            yield piece
            piece = ""
        piece += line
    yield piece
