"""The apps on the tests' LangGraph server; they need no model and no key."""

import asyncio
from typing import Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt


async def answer(state: MessagesState, config: RunnableConfig) -> dict[str, list[AnyMessage]]:
    """Stream what was asked, and by whom; a question with `slowly` is answered in some 20 s, one with `fail` not."""
    question = state["messages"][-1].text
    if "fail" in question:
        raise ValueError("the app can't answer that")
    user = config["configurable"].get("langgraph_auth_user_id", "")
    words = f"You said: {question} (message {len(state['messages'])}, {user})"
    if "slowly" in question:
        words += " and so on" * 100
    model = GenericFakeChatModel(messages=iter([AIMessage(words)]))
    chunks = []
    async for chunk in model.astream(state["messages"]):
        chunks.append(chunk)
        if "slowly" in question:
            await asyncio.sleep(0.1)
    return {"messages": [AIMessage("".join(chunk.text for chunk in chunks), id=chunks[0].id)]}


def ask(state: MessagesState) -> dict[str, list[AnyMessage]]:
    """Ask for an approval, and say what came."""
    approval: Any = interrupt({"question": "Send it?", "to": "bob@example.org"})
    return {"messages": [AIMessage(f"The answer was {approval!r}.")]}


echo = StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile()
approve = StateGraph(MessagesState).add_node("ask", ask).add_edge(START, "ask").compile()
