import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from chatcli.config.settings import Settings
from chatcli.conversation.backend import LocalBackend
from chatcli.conversation.compose import compose
from chatcli.events import TurnFinished
from chatcli.sessions.requests import Ask
from chatcli.store.location import StoreLocation
from tests.fakes.http_server import HttpServer

ANSWER = {
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
}


class Server(HttpServer):
    """A model server that keeps its connections open, as most real ones do."""

    def __init__(self) -> None:
        self.answered = 0
        self.closed = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                body = json.dumps(ANSWER).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                fake.answered += 1

            def finish(self) -> None:
                super().finish()
                fake.closed.set()

        super().__init__(Handler)


async def test_a_conversation_that_is_closed_leaves_no_connection_to_the_model(own_folders: Path) -> None:
    with Server() as server:
        settings = Settings.load({"model": "openai:gpt-fake", "base_url": f"{server.url}/v1"})
        conversation = compose(settings, "work", backend=LocalBackend(StoreLocation())).conversation()
        for _ in range(2):
            *_, end = [event async for event in conversation.run(Ask("hello"))]
            assert isinstance(end, TurnFinished), end
        assert server.answered == 2
        assert not server.closed.is_set()  # the second turn took the first one's connection
        await conversation.close()
        assert await asyncio.to_thread(server.closed.wait, 10)
