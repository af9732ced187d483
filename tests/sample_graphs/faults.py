"""Graphs whose own code fails, in the ways in which a model's client fails too; and one whose model fails."""

import asyncio
import os
import sqlite3
from typing import Any, NoReturn

import httpx
import requests
from langchain.chat_models import init_chat_model
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph


def _builder(node: Any, name: str = "research") -> Any:
    return StateGraph(MessagesState).add_node(name, node).add_edge(START, name)


def _failing(error: Exception) -> Any:
    def fail(state: Any) -> NoReturn:
        raise error

    return _builder(fail)


timeout = _failing(TimeoutError("the archive gave no answer"))
connection = _failing(ConnectionRefusedError(111, "the archive is closed"))
of_requests = _failing(requests.exceptions.ReadTimeout("the archive's page took too long"))
of_httpx = _failing(httpx.ConnectError("the archive's host is unknown"))
denied = _failing(PermissionError(13, "Permission denied", "archive.txt"))
database = _failing(sqlite3.OperationalError("the archive's database is locked"))


def get(state: Any) -> NoReturn:
    requests.get("http://127.0.0.1:9/archive", timeout=1)
    raise AssertionError


fetched = _builder(get)


async def together(state: Any) -> NoReturn:
    async def wait() -> NoReturn:
        raise TimeoutError("one of several")

    async with asyncio.TaskGroup() as group:
        group.create_task(wait())
    raise AssertionError


grouped = _builder(together)
nested = _builder(_builder(get, "look_up").compile(), "team")


def import_late(state: Any) -> NoReturn:
    import no_such_package.part  # type: ignore[import-not-found]  # noqa: F401

    raise AssertionError


late = _builder(import_late)


def ask(state: Any) -> Any:
    model = init_chat_model(
        "gpt-4.1", model_provider="openai", base_url=os.environ["SERVER"], api_key="k", max_retries=0
    )
    return {"messages": [model.invoke(state["messages"])]}


def ask_and_rephrase(state: Any) -> Any:
    try:
        return ask(state)
    except Exception as error:
        raise RuntimeError("the plan has no first step") from error


def ask_and_go_on(state: Any) -> Any:
    try:
        return ask(state)
    except Exception:  # noqa: BLE001 - as in many a graph
        return {"messages": [AIMessage(os.environ["FALLBACK"])]}


asking = _builder(ask)
rephrasing = _builder(ask_and_rephrase)
going_on = _builder(ask_and_go_on)
