"""Questions without an answer: sent along with the next one, until the model refuses it because of them."""

from langchain_core.messages import HumanMessage

from chatcli.graph.history import newest_turn
from chatcli.graph.state import ChatState


def leave_out_unanswered(state: ChatState) -> ChatState:
    """Return the update by which the questions right before the newest one are not sent any more; empty for none."""
    earlier: list[str] = []
    for message in reversed(state["messages"][: newest_turn(state["messages"])]):
        if not isinstance(message, HumanMessage):
            break
        earlier.append(str(message.id))
    return ChatState(refused=[*state.get("refused", ()), *earlier]) if earlier else ChatState()


def without_refused(state: ChatState) -> ChatState:
    """Return `state` without the messages that are not sent any more: a refused question would spoil every turn."""
    refused = set(state.get("refused", ()))
    if not refused:
        return state
    return {**state, "messages": [message for message in state["messages"] if message.id not in refused]}
