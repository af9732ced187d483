"""Projects in the shape of LangGraph's templates: `chat --graph` by the name in langgraph.json, nothing changed."""

import json
from typing import Any

import psycopg
import pytest

from tests.e2e.program import Chat
from tests.postgres import Postgres

GRAPH = """
import os
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from memo_agent.words import PREFIX

async def call_model(state):
    model = ChatOpenAI(model=os.environ.get("MODEL", "gpt-fake"), max_retries=0)
    return {"messages": [await model.ainvoke(state["messages"])]}

def tell(state):
    return {"messages": [("ai", PREFIX + os.environ.get("MODEL", "none"))]}

builder = StateGraph(MessagesState)
builder.add_node(call_model)
builder.add_edge(START, "call_model")
graph = builder.compile(name="Agent")
telling = StateGraph(MessagesState).add_node("tell", tell).add_edge(START, "tell").compile()
"""
FACTORIES = """
from contextlib import asynccontextmanager
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph
from langgraph_sdk.runtime import ServerRuntime

def saying(text):
    node = lambda state: {"messages": [("ai", text)]}
    return StateGraph(MessagesState).add_node("say", node).add_edge(START, "say").compile()

@asynccontextmanager
async def both(config: RunnableConfig, runtime: ServerRuntime):
    assert runtime.execution_runtime is runtime and runtime.user is None
    await runtime.store.aput(("made",), "by", {"text": "the factory"})
    item = await runtime.store.aget(("made",), "by")
    yield saying(f"{item.value['text']} in {sorted(config)}")

async def swapped(runtime: "ServerRuntime[dict]", config):
    return saying(runtime.access_context)

def alone(runtime: ServerRuntime):
    return saying(runtime.access_context)
"""
STORES = """
from contextlib import asynccontextmanager
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.store.memory import InMemoryStore

@asynccontextmanager
async def make_store():
    store = InMemoryStore()
    await store.aput(("notes",), "a", {"text": "by the project"})
    yield store

async def embed(texts):
    return [[float("cat" in text), float("dog" in text)] for text in texts]

def read(state, runtime):
    return {"messages": [("ai", runtime.store.search(("notes",))[0].value["text"])]}

def find(state, runtime):
    runtime.store.put(("pets",), "1", {"text": "a dog"})
    runtime.store.put(("pets",), "2", {"text": "a cat"})
    found = runtime.store.search(("pets",), query=state["messages"][-1].text, limit=1)
    return {"messages": [("ai", found[0].value["text"])]}

async def wait(state, runtime):
    await runtime.store.aput(("notes",), "short", {"text": "gone soon"})
    return {"messages": [("ai", str(runtime.store.ttl_config))]}

def graph_of(node):
    return StateGraph(MessagesState).add_node("node", node).add_edge(START, "node").compile()

reading, finding, waiting = graph_of(read), graph_of(find), graph_of(wait)
"""


@pytest.fixture
def project(chat: Chat) -> dict[str, Any]:
    """Write a project like LangGraph's templates into the folder of `chat`; return its langgraph.json."""
    work = chat.home.work
    package = work / "src" / "memo_agent"
    package.mkdir(parents=True)
    (package / "graph.py").write_text(GRAPH)
    (package / "words.py").write_text("PREFIX = 'by '\n")
    (package / "factories.py").write_text(FACTORIES)
    (work / "stores.py").write_text(STORES)
    (work / ".env.example").write_text("OPENAI_API_KEY=...\n")
    return {
        "$schema": "https://langgra.ph/schema.json",
        "dockerfile_lines": [],
        "image_distro": "wolfi",
        "dependencies": ["."],
        "graphs": {
            "agent": "./src/memo_agent/graph.py:graph",
            "telling": "memo_agent.graph:telling",
            **{name: f"./src/memo_agent/factories.py:{name}" for name in ("both", "swapped", "alone")},
            **{name: f"./stores.py:{name}" for name in ("reading", "finding", "waiting")},
        },
        "env": ".env",
    }


def write(chat: Chat, project: dict[str, Any], **more: Any) -> None:
    (chat.home.work / "langgraph.json").write_text(json.dumps({**project, **more}))


def test_a_template_runs_by_its_name_without_an_env_file(chat: Chat, project: dict[str, Any]) -> None:
    write(chat, project)
    told = chat("--graph", "telling", "hi")
    assert (told.returncode, told.stdout) == (0, "by none\n"), told
    notice = "warning: langgraph.json: there is no file .env, which `env` names; see .env.example\n"
    assert told.stderr == notice  # and not a word about the image of a container


def test_what_a_project_lacks_is_named_beside_the_import_that_fails_for_it(chat: Chat, project: dict[str, Any]) -> None:
    (chat.home.work / "needy.py").write_text("import a_package_that_nobody_has\n")
    graphs = {"needy": "./needy.py:graph"}
    write(chat, project, graphs=graphs, dependencies=[".", "a-package-that-nobody-has"], env={})
    refused = chat("--graph", "needy", "hi")
    assert refused.returncode == 2, refused
    assert refused.stdout == ""
    warned, failed, remedy = refused.stderr.splitlines()
    assert warned.startswith("warning: langgraph.json depends on a-package-that-nobody-has: not installed here")
    assert failed.startswith("error: the graph 'needy' can't be loaded: ModuleNotFoundError")
    assert remedy.startswith("Install it: ")


def test_a_key_read_from_the_environment_while_loading_is_exit_3(chat: Chat, project: dict[str, Any]) -> None:
    (chat.home.work / "keyed.py").write_text("import os\nkey = os.environ['SEARCH_API_KEY']\n")
    refused = chat("--graph", "keyed.py:graph", "hi")
    assert refused.returncode == 3, refused
    assert "needs a key that is not set: SEARCH_API_KEY" in refused.stderr
    (chat.home.work / "made.py").write_text(
        "from langchain_tavily import TavilySearch\n"
        "from langchain_anthropic import ChatAnthropic\n"
        "from langgraph.graph import START, MessagesState, StateGraph\n"
        "def ask(state):\n"
        "    return {'messages': [ChatAnthropic(model='claude-fake', max_retries=0).invoke(state['messages'])]}\n"
        "def search():\n"
        "    TavilySearch()\n"
        "graph = StateGraph(MessagesState).add_node('ask', ask).add_edge(START, 'ask').compile()\n"
    )
    refused = chat("--graph", "made.py:graph", "hi", env={"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"})
    assert (refused.returncode, "not set: ANTHROPIC_API_KEY" in refused.stderr) == (3, True), refused
    refused = chat("--graph", "made.py:search", "hi")
    assert (refused.returncode, "not set: TAVILY_API_KEY" in refused.stderr) == (3, True), refused


def test_a_path_uses_the_project_that_lists_its_file(chat: Chat, project: dict[str, Any]) -> None:
    path = "src/memo_agent/graph.py:telling"
    assert chat("--graph", path, "hi").stdout == "by none\n"  # a folder called src is enough
    write(chat, project, env={"MODEL": "the project"})
    assert chat("--graph", path, "hi").stdout == "by the project\n"
    write(chat, project, graphs={"telling": project["graphs"]["telling"]}, env={"MODEL": "a module"})
    assert chat("--graph", path, "hi").stdout == "by a module\n"
    write(chat, project, graphs={"other": "./stores.py:reading"}, env={"MODEL": "the project"})
    assert chat("--graph", path, "hi").stdout == "by none\n"


def test_a_missing_key_of_the_graphs_model_is_exit_3(chat: Chat, project: dict[str, Any]) -> None:
    write(chat, project)
    refused = chat("--graph", "agent", "--json", "hi")
    assert refused.returncode == 3, refused
    assert refused.json()["error"] == {
        "code": "auth",
        "message": "the graph 'agent' needs a key that is not set: OPENAI_API_KEY",
        "retryable": False,
    }


def test_an_untrusted_env_file_sets_nothing_and_is_named(chat: Chat, project: dict[str, Any]) -> None:
    write(chat, project)
    (chat.home.work / ".env").write_text("OPENAI_API_KEY=sk-of-the-folder\nMODEL=theirs\n")
    told = chat("--graph", "telling", "hi")
    assert told.stdout == "by none\n"
    assert "the .env of this folder is not trusted and sets nothing: OPENAI_API_KEY." in told.stderr
    assert (
        "langgraph.json: .env is not trusted and sets nothing: MODEL. Read it, then trust it: chat trust" in told.stderr
    )
    refused = chat("--graph", "agent", "hi")
    assert refused.returncode == 3, refused
    assert "OPENAI_API_KEY; .env of this project sets it, but is not trusted" in refused.stderr
    assert chat("--graph", "telling", "hi", env={"CHATCLI_TRUST": "1"}).stdout == "by theirs\n"
    trusted = chat("trust", "--yes")
    assert "for the project's graphs" in trusted.stdout
    assert chat("--graph", "telling", "hi").stdout == "by theirs\n"


def test_an_env_file_of_another_name_is_trusted_the_same_way(chat: Chat, project: dict[str, Any]) -> None:
    write(chat, project, env="config/dev.env")
    (chat.home.work / "config").mkdir()
    file = chat.home.work / "config" / "dev.env"
    file.write_text("MODEL=${HOME} as it is\nCHATCLI_TRUST=1\n")
    told = chat("--graph", "telling", "hi")
    assert told.stdout == "by none\n"
    assert "config/dev.env is not trusted and sets nothing: MODEL, CHATCLI_TRUST." in told.stderr
    assert "${HOME} as it is" in chat("trust", "--yes").stdout
    assert chat("--graph", "telling", "hi").stdout == "by ${HOME} as it is\n"
    assert "config/dev.env" in chat("trust", "--list").stdout
    file.write_text("MODEL=changed\n")
    assert chat("--graph", "telling", "hi").stdout == "by none\n"


def test_a_project_in_another_folder_is_named_in_the_command(chat: Chat, project: dict[str, Any]) -> None:
    write(chat, project)
    (chat.home.work / ".env").write_text("MODEL=theirs\n")
    (elsewhere := chat.home.work / "elsewhere").mkdir()
    told = chat.shell(f"cd {elsewhere} && chat --graph ../langgraph.json:telling hi", forks=True)
    assert told.stdout == "by none\n", told
    assert f"chat trust {chat.home.work}" in told.stderr


def test_a_factory_gets_the_runtime_of_the_server(chat: Chat, project: dict[str, Any]) -> None:
    write(chat, project)
    assert chat("--graph", "both", "hi").stdout == "the factory in ['configurable', 'metadata']\n"
    assert chat("--graph", "swapped", "hi").stdout == "threads.create_run\n"
    assert chat("--graph", "alone", "hi").stdout == "threads.create_run\n"


def test_the_projects_own_store_is_used(chat: Chat, project: dict[str, Any]) -> None:
    write(chat, project, store={"path": "./stores.py:make_store"})
    assert chat("--graph", "reading", "hi").stdout == "by the project\n"
    write(chat, project, store={"path": "./stores.py:embed"})
    refused = chat("--graph", "reading", "hi")
    assert refused.returncode == 2, refused


def test_an_index_works_where_it_can_and_is_a_line_where_not(chat: Chat, project: dict[str, Any]) -> None:
    write(chat, project, store={"index": {"dims": 2, "embed": "./stores.py:embed", "fields": ["text"]}})
    assert chat("--graph", "finding", "--no-save", "a cat").stdout == "a cat\n"
    assert chat("--graph", "finding", "--no-save", "a dog").stdout == "a dog\n"
    write(chat, project, store={"index": {"dims": 2, "embed": "nowhere:model"}})
    told = chat("--graph", "finding", "--no-save", "a cat")
    assert told.returncode == 0, told
    assert told.stdout == "a cat\n"
    assert told.stderr.count("store.index (nowhere:model) can't be used, and the extra `semantic` does its work: ") == 1
    assert chat("--graph", "finding", "--no-save", "a growling puppy").stdout == "a dog\n"
    write(chat, project, store={"index": {"dims": "many"}})
    assert "store.index is not used: it needs `dims` and `embed`" in chat("--graph", "finding", "a cat").stderr


def test_a_file_searches_by_meaning_without_an_extension_of_sqlite(chat: Chat, project: dict[str, Any]) -> None:
    write(chat, project, store={"index": {"dims": 2, "embed": "./stores.py:embed", "fields": ["text"]}})
    for question in ("a cat", "a dog"):
        result = chat("--graph", "finding", question)
        assert (result.returncode, result.stdout) == (0, f"{question}\n"), result
        assert "store.index" not in result.stderr


def test_postgresql_without_vectors_reports_it_in_one_line(
    chat: Chat, project: dict[str, Any], postgres: Postgres
) -> None:
    store = postgres.new_database()
    with psycopg.connect(store) as database:
        found = database.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'").fetchone()
    write(chat, project, store={"index": {"dims": 2, "embed": "./stores.py:embed", "fields": ["text"]}})
    for question in ("a cat", "a dog"):
        result = chat("--graph", "finding", "--store", store, question)
        assert result.returncode == 0, result
        assert result.stdout.strip() in ("a cat", "a dog")
        assert ("the PostgreSQL server has no extension vector" in result.stderr) == (found is None), result


def test_items_expire_as_the_project_asks(chat: Chat, project: dict[str, Any]) -> None:
    write(chat, project, store={"ttl": {"default_ttl": 0.0001, "sweep_interval_minutes": 5}})
    told = chat("--graph", "waiting", "hi")
    assert "'default_ttl': 0.0001" in told.stdout, told
    assert "store" not in told.stderr
    assert "store.ttl is not used: the store is in memory" in chat("--graph", "waiting", "--no-save", "hi").stderr


def test_a_dependency_that_is_a_package_itself_is_found_by_its_name(chat: Chat, project: dict[str, Any]) -> None:
    libs = chat.home.work / "libs" / "common"
    libs.mkdir(parents=True)
    (libs / "__init__.py").write_text("WORD = 'flat'\n")
    app = chat.home.work / "apps" / "speaker"
    app.mkdir(parents=True)
    (app / "speak.py").write_text(
        "from common import WORD\n"
        "from langgraph.graph import START, MessagesState, StateGraph\n"
        "graph = StateGraph(MessagesState).add_node('say', lambda state: {'messages': [('assistant', WORD)]})\n"
        "graph.add_edge(START, 'say')\n"
    )
    speaker = {"graphs": {"speaker": "./speak.py:graph"}, "dependencies": [".", "../../libs/common"]}
    (app / "langgraph.json").write_text(json.dumps(speaker))
    assert chat("--graph", "apps/speaker/langgraph.json:speaker", "hi").stdout == "flat\n"
