"""Questions without an answer: sent along with the next one, until the model refuses it because of them."""

from langchain_core.messages import HumanMessage

from chatcli.graphs.chat.state import ChatState
from chatcli.sessions.history import newest_turn


def leave_out_unanswered(state: ChatState) -> ChatState:
    """Return the update by which the questions right before the newest one are not sent any more; empty for none."""
    refused = list(state.get("refused", ()))
    known = len(refused)
    for message in reversed(state["messages"][: newest_turn(state["messages"])]):
        if not isinstance(message, HumanMessage):
            break
        if message.id is not None and message.id not in refused:
            refused.append(message.id)
    return ChatState(refused=refused) if len(refused) > known else ChatState()
