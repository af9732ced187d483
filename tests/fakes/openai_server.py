"""A scripted model server that speaks OpenAI's protocol over a real loopback socket."""

import json
import socket
from collections import deque
from collections.abc import Callable, Mapping
from threading import Condition, Thread
from types import TracebackType
from typing import Any, Self

from tests.fakes.connection import ClientClosedError, Connection
from tests.fakes.steps import (
    Answer,
    Calls,
    Drop,
    Endless,
    Fail,
    Garbage,
    Gated,
    Hang,
    Request,
    Stall,
    Step,
    StreamError,
    TokenCount,
    echo,
    unauthorized,
)
from tests.waiting import WAIT_SECONDS


class FakeOpenAI:
    """Plays its script, one step a request; when that is used up, `default`.

    Attributes:
        requests: The chat requests so far, also those that failed.
        disconnects: The chat requests that the client left before their answer was complete.
        default: The step of a request for which the script has none.
        models: What GET /v1/models lists.
        greeting: What is sent unasked; then each request ends the connection, as with another protocol.
        key: The only key that is let in; None lets everybody in.

    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.disconnects: list[Request] = []
        self.default: Step = echo
        self.models = ["gpt-fake", "gpt-fake-mini"]
        self.key: str | None = None
        self.greeting = ""
        self._script: deque[Step] = deque()
        self._changed = Condition()
        self._open: set[Connection] = set()
        self._threads: list[Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=32)
        self._acceptor = Thread(target=self._accept, daemon=True)

    @property
    def base_url(self) -> str:
        """What goes into OPENAI_BASE_URL."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def script(self, *steps: Step) -> None:
        """Add what to do with the next requests."""
        self._script.extend(steps)

    def wait_for_requests(self, count: int) -> None:
        """Wait until `count` chat requests have arrived."""
        self._wait(lambda: len(self.requests) >= count, f"{count} requests")

    def wait_for_disconnects(self, count: int) -> None:
        """Wait until the client has left `count` answers before their end."""
        self._wait(lambda: len(self.disconnects) >= count, f"{count} disconnects")

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, WAIT_SECONDS):
                seen = f"{len(self.requests)} requests, {len(self.disconnects)} disconnects"
                raise AssertionError(f"no {what} within {WAIT_SECONDS} s, only {seen}")

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept, which close alone does not
        self._acceptor.join()
        self._listener.close()
        for connection in list(self._open):
            connection.abort()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:  # the listener was shut down
                return
            connection = Connection(sock)
            self._open.add(connection)
            thread = Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: Connection) -> None:
        request: Request | None = None
        try:
            if self.greeting:
                connection.send_text(self.greeting)
            request = connection.read_request()
            if request is not None:
                self._route(connection, request)
        except ClientClosedError:
            if request is not None:
                self._note(self.disconnects, request)
        finally:
            self._open.discard(connection)
            connection.close()

    def _note(self, journal: list[Request], request: Request) -> None:
        with self._changed:
            journal.append(request)
            self._changed.notify_all()

    def _route(self, connection: Connection, request: Request) -> None:
        if self.greeting:
            self._note(self.requests, request)
            return
        if request.path.partition("?")[0] == "/v1/chat/completions":
            with self._changed:
                step = self._script.popleft() if self._script else self.default
            self._note(self.requests, request)
        else:
            step = Fail(404, {"error": {"message": f"Invalid URL ({request.method} {request.path})"}})
        if self.key is not None and request.key != self.key:
            step = unauthorized()
        elif request.path == "/v1/models":
            listed = [{"id": name, "object": "model"} for name in self.models]
            connection.send_json(200, {"object": "list", "data": listed})
            return
        self._play(connection, request, step)

    def _play(self, connection: Connection, request: Request, step: Step) -> None:
        if callable(step):
            step = step(request)
        match step:
            case Fail(status, body, headers):
                connection.send_json(status, body, headers)
            case Hang():
                connection.wait_until_closed()
            case Endless(head, piece):
                connection.send_endlessly(head, piece)
            case Garbage(content, content_type):
                connection.send_body(200, content, content_type)
            case Answer() if not request.body.get("stream"):
                connection.send_json(200, _completion(request, step))
            case _:
                self._stream(connection, request, step)

    def _stream(self, connection: Connection, request: Request, step: Step) -> None:
        model = str(request.body["model"])
        connection.send_event(_chunk(model, {"role": "assistant", "content": ""}))
        match step:
            case Answer():
                for piece in step.pieces():
                    connection.send_event(_chunk(model, {"content": piece}))
                    connection.pause(step.delay)
                _finish(connection, request, step)
            case Calls():
                _send_calls(connection, request, step)
            case Gated(before, gate, after):
                connection.send_event(_chunk(model, {"content": before}))
                connection.wait_for(gate)
                connection.send_event(_chunk(model, {"content": after}))
                _finish(connection, request, Answer(before + after))
            case Stall(after):
                connection.send_event(_chunk(model, {"content": after}))
                connection.wait_until_closed()
            case StreamError(after, message):
                connection.send_event(_chunk(model, {"content": after}))
                connection.send_event(json.dumps({"error": {"message": message, "type": "server_error"}}))
                connection.end_body()
            case Drop(after, how):
                connection.send_event(_chunk(model, {"content": after}))
                if how == "reset":
                    connection.reset()
                elif how == "end":
                    connection.end_body()
            case _:
                raise AssertionError(f"no stream for {step}")


def _finish(connection: Connection, request: Request, answer: Answer) -> None:
    model = str(request.body["model"])
    connection.send_event(_chunk(model, {}, finish_reason=answer.finish_reason))
    options: Mapping[str, Any] = request.body.get("stream_options") or {}
    if options.get("include_usage"):
        connection.send_event(_chunk(model, None, usage=answer.usage))
    connection.send_event("[DONE]")
    connection.end_body()


def _send_calls(connection: Connection, request: Request, step: Calls) -> None:
    model = str(request.body["model"])
    if step.text:
        connection.send_event(_chunk(model, {"content": step.text}))
    for index, named in enumerate(step.named()):
        for delta in _call_deltas(index, *named):
            connection.send_event(_chunk(model, {"tool_calls": [delta]}))
    _finish(connection, request, Answer("", finish_reason="tool_calls", usage=step.usage))


def _call_deltas(index: int, call_id: str, name: str, arguments: str) -> list[dict[str, Any]]:
    """Give one call as servers stream it: its name first, then its arguments piece by piece."""
    half = len(arguments) // 2
    return [
        {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}},
        {"index": index, "function": {"arguments": arguments[:half]}},
        {"index": index, "function": {"arguments": arguments[half:]}},
    ]


def _chunk(
    model: str,
    delta: Mapping[str, Any] | None,
    *,
    finish_reason: str | None = None,
    usage: TokenCount | None = None,
) -> str:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    chunk: dict[str, Any] = {
        "id": "chatcmpl-fake",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": model,
        "choices": choices,
    }
    if usage is not None:
        chunk["usage"] = _usage(usage)
    return json.dumps(chunk)


def _completion(request: Request, answer: Answer) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer.text}
    return {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "created": 1,
        "model": request.body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason}],
        "usage": _usage(answer.usage),
    }


def _usage(count: TokenCount) -> dict[str, int]:
    return {
        "prompt_tokens": count.prompt,
        "completion_tokens": count.completion,
        "total_tokens": count.prompt + count.completion,
    }
