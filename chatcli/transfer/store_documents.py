"""Reads threads of a store as documents, and writes documents into a store through the graph, as turns do."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import count
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START

from chatcli.config.thread_ids import MAX_ID_LENGTH
from chatcli.graphs.chat.ask_node import MODEL_NODE
from chatcli.graphs.chat.graph import ChatGraph, build_graph
from chatcli.models.names import GRAPH
from chatcli.sessions.history import is_question
from chatcli.sessions.thread import TITLE_LENGTH, GraphThread
from chatcli.store.open import Store
from chatcli.store.threads import ThreadSummary
from chatcli.text import one_line
from chatcli.transfer.document import ThreadDocument

_INPUT = "__input__"
"""LangGraph's name for the input of a run: an update under it begins a turn."""
_STATE = ("role", "template", "variables", "temperature", "summary", "summarised")
"""The fields of a state that a document has as they are."""


async def read_document(store: Store, summary: ThreadSummary) -> ThreadDocument:
    """Return the whole thread that `summary` describes."""
    thread = GraphThread(build_graph(store.checkpointer), store.threads, summary.thread_id, MODEL_NODE)
    values = (await thread.snapshot()).values
    return document_of(summary, {**values, "messages": await thread.history()})


def document_of(summary: ThreadSummary, values: Mapping[str, Any]) -> ThreadDocument:
    """Return the thread that `summary` describes, with the state `values`."""
    state = {name: values[name] for name in _STATE if name in values}
    return ThreadDocument(
        **asdict(summary),
        **state,
        system=values.get("system"),
        messages=values.get("messages", []),
        refused=tuple(values.get("refused", ())),
        remembered_model=values.get("model", ""),
    )


async def import_documents(store: Store, documents: Sequence[ThreadDocument]) -> dict[str, str]:
    """Store `documents`, all of them or none; return the new ID of each thread by the ID in its document."""
    # An existing thread is never changed: a document with its ID gets another one, with a number at the end.
    # Nor may an imported file choose which code runs here, by the name of a graph.
    documents = [
        replace(document, model="") if document.model.partition(":")[0] == GRAPH else document for document in documents
    ]
    existing = {thread.thread_id for thread in store.threads.recent()}
    taken = existing | {document.thread_id for document in documents}
    ids: dict[str, str] = {}
    for document in documents:
        new = document.thread_id if document.thread_id not in existing else free_id(document.thread_id, taken)
        ids[document.thread_id] = new
        taken.add(new)
    async with store.staging() as staged:
        graph = build_graph(staged)
        for document in documents:
            await _write(graph, ids[document.thread_id], document)
    return ids


def free_id(thread_id: str, taken: set[str]) -> str:
    """Return `thread_id` with the first number at its end that makes it none of `taken`."""
    suffixes = (f"-{number}" for number in count(2))
    numbered = (thread_id[: MAX_ID_LENGTH - len(suffix)] + suffix for suffix in suffixes)
    return next(new for new in numbered if new not in taken)


async def _write(graph: ChatGraph, thread_id: str, document: ThreadDocument) -> None:
    first = _first_update(document)
    beginning, turns = _split(document.messages)
    if beginning or document.title or not turns:
        # The index takes the title from the first checkpoint that has one, in the same transaction.
        config = _config(thread_id, document.model, **({"chatcli_title": document.title} if document.title else {}))
        # The index reads no messages from a thread's first checkpoint, so they come with later ones.
        await graph.aupdate_state(config, {"messages": [], **first}, as_node=MODEL_NODE)
        first = {}
        config = _config(thread_id, document.model)
        for message in beginning:
            await graph.aupdate_state(config, {"messages": [message]}, as_node=MODEL_NODE)
    for number, (question, *answers) in enumerate(turns, 1):
        title = one_line(question.text)[:TITLE_LENGTH]
        config = _config(thread_id, document.model, chatcli_turn=number, chatcli_title=title)
        await graph.aupdate_state(config, {"messages": []}, as_node=_INPUT)
        await graph.aupdate_state(config, {"messages": [question], **first}, as_node=START)
        first = {}
        for answer in answers:
            await graph.aupdate_state(config, {"messages": [answer]}, as_node=MODEL_NODE)


def _first_update(document: ThreadDocument) -> dict[str, Any]:
    """Return the state of the thread without its messages and without empty fields."""
    update = {name: value for name in _STATE if (value := getattr(document, name)) not in (None, "", {})}
    update |= {"refused": list(document.refused)} if document.refused else {}
    update |= {"model": document.remembered_model} if document.remembered_model else {}
    return update | ({} if document.system is None else {"system": document.system})


def _split(messages: Sequence[BaseMessage]) -> tuple[list[BaseMessage], list[list[BaseMessage]]]:
    """Return the messages before the first question, and each question with the messages that follow it."""
    beginning: list[BaseMessage] = []
    turns: list[list[BaseMessage]] = []
    for message in messages:
        if is_question(message):
            turns.append([message])
        else:
            (turns[-1] if turns else beginning).append(message)
    return beginning, turns


def _config(thread_id: str, model: str, **facts: str | int) -> RunnableConfig:
    """Return the config of an update, with the metadata that `Session` gives its turns."""
    return {"configurable": {"thread_id": thread_id}, "metadata": {"chatcli_model": model, **facts}}
