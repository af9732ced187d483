"""A scripted Langflow server: its run API in the shapes that Langflow 1.13 sends, over a real loopback socket."""

import json
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from threading import Condition, Event
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes.http_server import HttpServer
from tests.waiting import WAIT_SECONDS

KEY = "sk-langflow-91c4e7d2a0b5f386"
FLOW_ID = "8f5c6f0e-6d5e-4a39-9c4f-6b1c8d2f7a10"
FLOWS: list[dict[str, Any]] = [
    {
        "id": FLOW_ID,
        "name": "Parrot",
        "endpoint_name": "parrot",
        "description": "Repeats.",
        "is_component": False,
        "folder_id": None,
        "data": None,
    },
    {"id": "11111111-2222-4333-8444-555555555555", "name": "Plain", "endpoint_name": None, "description": None},
    {"id": "99999999-2222-4333-8444-555555555555", "name": "A part", "endpoint_name": None, "is_component": True},
]


def node(node_id: str, title: str, *fields: str) -> dict[str, Any]:
    """Give a component of a flow as the flow's data hold it."""
    template: dict[str, Any] = {"_type": "Component", "code": {"type": "code", "value": "..."}}
    template |= {name: {"name": name, "type": "str", "value": ""} for name in fields}
    return {
        "id": node_id,
        "type": "genericNode",
        "data": {"id": node_id, "node": {"display_name": title, "template": template}},
    }


NODES = [
    node("ChatInput-x1", "Chat Input", "input_value", "sender"),
    node("LanguageModel-x1", "Language Model", "temperature", "model_name"),
    node("Prompt-x1", "Prompt", "template"),
    node("A-x1", "A", "b"),
    {"id": "note-1", "type": "noteNode", "data": {"id": "note-1", "type": "note", "node": {"description": "hi"}}},
]


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run of a flow as it was asked for; header names are lower case."""

    flow: str
    headers: Mapping[str, str]
    query: Mapping[str, list[str]]
    body: Mapping[str, Any]


@dataclass
class Reply:
    """What the server does with a run.

    Attributes:
        events: What it streams, one line each.
        status: What it answers instead of streaming, when it is no 200.
        detail: The error of that answer.
        gate: What it waits for before the last event; None does not wait.
        whole: Whether the stream ends in the regular way.
        raw: A body that is sent instead, as it is.

    """

    events: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    detail: Any = None
    gate: Event | None = None
    whole: bool = True
    raw: bytes | None = None


def message(text: str, sender: str, session_id: str, **more: Any) -> dict[str, Any]:
    """Give a message as `add_message` and an error event hold it."""
    return {
        "text_key": "text",
        "data": {},
        "default_value": "",
        "text": text,
        "sender": sender,
        "sender_name": "User" if sender == "User" else "AI",
        "files": [],
        "session_id": session_id,
        "timestamp": "2026-01-01 00:00:00 UTC",
        "flow_id": FLOW_ID,
        "error": False,
        "edit": False,
        "properties": {"state": "complete", "usage": None},
        "category": "message",
        "content_blocks": [],
        "id": f"{sender}-1",
        **more,
    }


def end(session_id: str, *texts: str) -> dict[str, Any]:
    """Give the last event, with a chat output for each of `texts`."""
    outputs: list[dict[str, Any]] = [
        {
            "results": {"message": message(text, "Machine", session_id)},
            "artifacts": {"message": text, "sender": "Machine", "sender_name": "AI", "files": [], "type": "object"},
            "outputs": {"message": {"message": text, "type": "text"}},
            "logs": {"message": []},
            "messages": [
                {
                    "message": text,
                    "sender": "Machine",
                    "sender_name": "AI",
                    "session_id": session_id,
                    "stream_url": None,
                    "component_id": f"ChatOutput-{number}",
                    "files": [],
                    "type": "text",
                }
            ],
            "timedelta": None,
            "duration": None,
            "component_display_name": "Chat Output",
            "component_id": f"ChatOutput-{number}",
            "used_frozen_result": False,
            "token_usage": None,
        }
        for number, text in enumerate(texts)
    ]
    run = {"inputs": {"input_value": "hello"}, "outputs": outputs}
    return {"event": "end", "data": {"result": {"session_id": session_id, "outputs": [run]}}}


def question(text: str, session_id: str) -> dict[str, Any]:
    """Give the event that repeats the question."""
    return {"event": "add_message", "data": message(text, "User", session_id)}


def streamed(words: Iterable[str], text: str, session_id: str, message_id: str = "m1") -> list[dict[str, Any]]:
    """Give the events of an answer in tokens: its first piece twice, once as a message and once as a token."""
    pieces = list(words)
    partial = message(pieces[0], "Machine", session_id, id=message_id, properties={"state": "partial"})
    usage = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
    complete = message(text, "Machine", session_id, id=message_id, properties={"state": "complete", "usage": usage})
    tokens = [{"event": "token", "data": {"chunk": piece, "id": message_id}} for piece in pieces]
    return [{"event": "add_message", "data": partial}, *tokens, {"event": "add_message", "data": complete}]


class FakeLangflow(HttpServer):
    """Plays its script, one reply a run; when that is used up, it repeats the question in tokens.

    Attributes:
        runs: The runs so far, also those that failed.
        script: What to do with the next runs.
        disconnects: How many answers the client left before their end.
        key: The only key that is let in; None lets everybody in.

    """

    def __init__(self) -> None:
        self.runs: list[RunRequest] = []
        self.script: deque[Reply] = deque()
        self.disconnects = 0
        self.key: str | None = KEY
        self._changed = Condition()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                fake._list(self)

            def do_POST(self) -> None:
                fake._run(self)

        super().__init__(Handler)

    def wait_for_runs(self, count: int) -> None:
        """Wait until `count` runs have been asked for."""
        self._wait(lambda: len(self.runs) >= count)

    def wait_for_disconnects(self, count: int) -> None:
        """Wait until the client has left `count` answers before their end."""
        self._wait(lambda: self.disconnects >= count)

    def _wait(self, condition: Any) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, WAIT_SECONDS), (self.runs, self.disconnects)

    def _let_in(self, handler: BaseHTTPRequestHandler) -> bool:
        """Return whether the request has the key where Langflow wants it; a Bearer token is no key to it."""
        given = handler.headers.get("x-api-key")
        if self.key is None or given == self.key:
            return True
        wants = "An API key must be passed as query or header" if given is None else "Invalid or missing API key"
        _send(handler, 403, {"detail": wants})
        return False

    def _list(self, handler: BaseHTTPRequestHandler) -> None:
        if not self._let_in(handler):
            return
        if urlsplit(handler.path).path == "/api/v1/flows/":
            _send(handler, 200, FLOWS)
        elif urlsplit(handler.path).path == f"/api/v1/flows/{FLOW_ID}":
            _send(handler, 200, {**FLOWS[0], "data": {"nodes": NODES, "edges": [], "viewport": {}}})
        else:
            _send(handler, 404, {"detail": "Not Found"})

    def _run(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        address = urlsplit(handler.path)
        flow = unquote(address.path.removeprefix("/api/v1/run/"))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        run = RunRequest(flow, headers, parse_qs(address.query), body)
        with self._changed:
            reply = self.script.popleft() if self.script else self._repeat(run)
            self.runs.append(run)
            self._changed.notify_all()
        if not self._let_in(handler):
            return
        if flow not in ("parrot", FLOW_ID):
            _send(handler, 404, {"detail": f"Flow identifier {flow} not found"})
        elif reply.status != 200:
            _send(handler, reply.status, {"detail": reply.detail})
        else:
            self._stream(handler, reply)

    def _repeat(self, run: RunRequest) -> Reply:
        session_id, text = run.body["session_id"], run.body["input_value"]
        answer = f"You said: {text}"
        events = streamed(["You ", "said: ", text], answer, session_id)
        return Reply([question(text, session_id), *events, end(session_id, answer)])

    def _stream(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        lines = [reply.raw] if reply.raw is not None else [f"{json.dumps(e)}\n\n".encode() for e in reply.events]
        try:
            for number, line in enumerate(lines, 1):
                if reply.gate is not None and number == len(lines):
                    _wait_for(reply.gate, handler)
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            if reply.whole:
                handler.wfile.write(b"0\r\n\r\n")
        except OSError:
            with self._changed:
                self.disconnects += 1
                self._changed.notify_all()
        handler.close_connection = True


def _wait_for(gate: Event, handler: BaseHTTPRequestHandler) -> None:
    """Wait for `gate`, and notice like a server with an event loop that the client has left."""
    handler.connection.setblocking(False)
    while not gate.is_set():
        try:
            if handler.connection.recv(1) == b"":
                raise ConnectionResetError
        except BlockingIOError:
            time.sleep(0.02)
    handler.connection.setblocking(True)


def _send(handler: BaseHTTPRequestHandler, status: int, value: object) -> None:
    data = json.dumps(value).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
