"""LangSmith's package and requests, which run only when they are used."""

import os
import subprocess
import sys

_BEGIN = """
import sys
from chatcli.runtime.deferred_packages import defer_packages
from chatcli.runtime.tracing import leave_out_tracing

defer_packages()
leave_out_tracing()
sys.modules["absent"] = None

import langgraph.pregel.remote
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

def answer(state):
    return {"messages": [AIMessage("You said: " + state["messages"][-1].text)]}

graph = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer").compile()

def ask():
    return graph.invoke({"messages": [("user", "hello")]})["messages"][-1].text

heavy = ("urllib3", "requests.models", "langsmith.schemas", "langsmith._client")
def imported():
    return [name in sys.modules for name in heavy]

print(ask())
"""

_TRACED = """
import json
import urllib3
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from langchain_core.tracers import core, schemas
from langsmith import Client, get_tracing_context, tracing_context

got = []

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self):
        got.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(202)
        self.end_headers()

    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Handler)
Thread(target=server.serve_forever, daemon=True).start()
client = Client(f"http://127.0.0.1:{server.server_port}", api_key="none", info={})
with tracing_context(enabled=True, client=client, project_name="late"):
    print(get_tracing_context()["project_name"], ask())
client.flush()
print(b"You said: hello" in b"".join(got))

import langsmith, requests
from langchain_core.utils import utils

print(schemas.Run is core.Run is langsmith.RunTree, utils.HTTPError is requests.HTTPError)
print(issubclass(requests.HTTPError, Exception), requests.codes.ok, langsmith.utils.tracing_is_enabled())
"""


def _run(code: str, **variables: str) -> list[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LANGSMITH_", "LANGCHAIN_"))}
    env["LANGSMITH_DISABLE_RUN_COMPRESSION"] = "true"
    return subprocess.check_output([sys.executable, "-c", code], text=True, env=env | variables).splitlines()


def test_a_graph_runs_without_them() -> None:
    assert _run(_BEGIN + "print(imported())") == ["You said: hello", str([False] * 4)]


def test_what_uses_them_later_finds_them_whole() -> None:
    printed = _run(_BEGIN + _TRACED)
    assert printed == ["You said: hello", "late You said: hello", "True", "True True", "True 200 False"]


def test_a_subclass_and_a_check_of_a_class_imported_early_are_those_of_the_real_one() -> None:
    code = """
from langsmith.run_trees import RunTree
from requests import HTTPError
print(isinstance(ValueError(), HTTPError))
class Own(RunTree): pass
print(Own.__mro__[1] is sys.modules["langsmith.run_trees"].RunTree, hasattr(langsmith.run_trees, "nothing"))
"""
    assert _run(_BEGIN + "import langsmith.run_trees" + code)[1:] == ["False", "True False"]


def test_they_are_imported_as_usual_where_the_environment_switches_tracing_on() -> None:
    for variable in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
        code = _BEGIN.replace("print(ask())", "print(imported())")
        assert _run(code, **{variable: "true"}) == [str([True] * 4)]
