"""LangSmith tracing: by its own environment variables alone."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.conftest import KEY
from tests.e2e.program import Chat, Home
from tests.fakes.openai_server import FakeOpenAI

GRAPH = """
from langgraph.graph import START, MessagesState, StateGraph

def answer(state):
    return {"messages": [("ai", f"You said: {state['messages'][-1].text}")]}

graph = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer").compile()
"""


class Tracer:
    """Takes what LangSmith's client sends, or refuses it with another `status`; what it asks has no body."""

    def __init__(self) -> None:
        self.status = 200
        self.bodies: list[bytes] = []
        bodies, tracer = self.bodies, self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                bodies.append(b"")
                self._reply()

            def do_POST(self) -> None:
                bodies.append(self._body())
                self._reply()

            do_PATCH = do_POST  # noqa: N815  # the name that http.server looks for

            def _body(self) -> bytes:
                if self.headers.get("transfer-encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("content-length", "0")))
                data = b""
                while size := int(self.rfile.readline(), 16):
                    data += self.rfile.read(size)
                    self.rfile.readline()
                return data

            def _reply(self) -> None:
                self.send_response(tracer.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that it has there
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def tracer(home: Home) -> Iterator[Tracer]:
    tracer = Tracer()
    thread = Thread(target=tracer.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    home.env["LANGSMITH_ENDPOINT"] = f"http://127.0.0.1:{tracer.server.server_port}"
    home.env["LANGSMITH_API_KEY"] = "ls-test"
    home.env["LANGSMITH_DISABLE_RUN_COMPRESSION"] = "true"
    yield tracer
    tracer.server.shutdown()
    tracer.server.server_close()
    thread.join()


def test_a_turn_is_traced_with_its_thread(chat: Chat, fake: FakeOpenAI, tracer: Tracer) -> None:
    result = chat("-t", "traced-thread", "hello", env={"LANGSMITH_TRACING": "true"})
    assert (result.returncode, result.stderr) == (0, "")
    sent = b"".join(tracer.bodies)
    assert b'"thread_id":"traced-thread"' in sent
    assert b"You said: hello" in sent
    assert KEY.encode() not in sent


@pytest.mark.parametrize("graph", [(), ("--graph", "graph.py:graph")], ids=["chat", "a graph"])
def test_a_trace_that_is_refused_is_reported(
    chat: Chat, fake: FakeOpenAI, tracer: Tracer, home: Home, graph: tuple[str, ...]
) -> None:
    (home.work / "graph.py").write_text(GRAPH)
    tracer.status = 401
    result = chat(*graph, "hello", env={"LANGSMITH_TRACING": "true"})
    assert (result.returncode, result.stdout) == (0, "You said: hello\n")
    assert result.stderr.startswith("LangSmith did not take the whole trace: Authentication failed")
    assert len(result.stderr.splitlines()) == 1
    assert "ls-test" not in result.stderr


@pytest.mark.executable
@pytest.mark.parametrize("listening", [True, False], ids=["it hangs", "it is away"])
def test_an_endpoint_that_does_not_answer_costs_two_seconds(chat: Chat, fake: FakeOpenAI, listening: bool) -> None:
    variables = {"LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": "ls-test"}
    with socket.socket() as endpoint:
        endpoint.bind(("127.0.0.1", 0))
        if listening:
            endpoint.listen()
        variables["LANGSMITH_ENDPOINT"] = f"http://127.0.0.1:{endpoint.getsockname()[1]}"
        result = chat("hello", env=variables, timeout=50)  # LangSmith itself waits a minute for each try
    assert (result.returncode, result.stdout) == (0, "You said: hello\n")
    assert result.stderr.startswith("LangSmith did not take the whole trace")
    assert len(result.stderr.splitlines()) == 1


def test_nothing_is_traced_without_the_variable(chat: Chat, fake: FakeOpenAI, tracer: Tracer) -> None:
    assert chat("hello").returncode == 0
    assert not tracer.bodies


RUN = """
import sys, threading
from chatcli.__main__ import main
sys.argv = ["chat", "hello"]
try:
    main()
finally:
    from langsmith import run_trees
    print([thread.name for thread in threading.enumerate() if "trac" in thread.name], run_trees._CLIENT)
"""


def test_without_the_variable_no_tracer_is_made(home: Home, fake: FakeOpenAI, tracer: Tracer) -> None:
    """langchain-core imports the package langsmith by itself; nothing of it is started."""
    result = subprocess.run(
        [sys.executable, "-c", RUN], env=home.env, cwd=home.work, capture_output=True, text=True, check=False
    )
    assert result.stdout.endswith("You said: hello\n[] None\n"), result
    assert not tracer.bodies
