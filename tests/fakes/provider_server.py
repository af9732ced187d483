"""A server that answers every provider's wire protocol with the same words, or with the same failure."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from threading import Event
from types import MappingProxyType
from typing import Any
from zlib import crc32

from tests.fakes.http_server import HttpServer

WORDS = ("Ahoy", ", ", "Bob", "!")
ANSWER = "".join(WORDS)
TOKEN = "token-of-the-login"
OLLAMA_SHOW = "/api/show"
"""Asks for a model's facts by POST; all other questions beside those to a model are GETs."""
Words = Sequence[str]


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """One request as it arrived; header names are lower case."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class FakeProvider(HttpServer):
    """Speaks the protocol that the path of a request names.

    Attributes:
        requests: The requests so far.
        logins: The requests for a token so far.
        words: The answer, as it is streamed.
        failure: A status and an error object to answer with; None answers in words.
        retry_after: The header of that name with a failure.
        location: The same.
        delay: Seconds before each answer, or until the server closes.
        failing: How many more requests fail; None fails all.
        cut: Whether the connection ends in the middle of each answer.
        spoil: Makes of the events of an answer what is sent; None sends them as they are.
        content_type: What an answer is called; None names it rightly.
        encoding: What an answer is said to be compressed by.
        others: JSON values by path, for what is asked besides answers: lists of models, a model's facts.
        asides: The requests for these so far, also for those that are not there.

    """

    def __init__(self) -> None:
        self.requests: list[ProviderRequest] = []
        self.logins: list[ProviderRequest] = []
        self.words: Words = WORDS
        self.failure: tuple[int, dict[str, Any]] | None = None
        self.retry_after: str | None = None
        self.location: str | None = None
        self.delay = 0.0
        self.failing: int | None = None
        self.cut = False
        self.spoil: Callable[[list[bytes]], list[bytes]] | None = None
        self.content_type: str | None = None
        self.encoding = ""
        self.others: dict[str, object] = {}
        self.asides: list[ProviderRequest] = []
        self._closing = Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                fake._answer(self)

            def do_GET(self) -> None:
                fake._answer(self)

        super().__init__(Handler)

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        super().__exit__(*exception)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        text = handler.rfile.read(int(handler.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = ProviderRequest(handler.path, headers, _body(text))
        if request.path == "/token":
            self.logins.append(request)
            login = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600}
            _send(handler, 200, "application/json", json.dumps(login).encode())
            return
        if handler.command == "GET" or request.path in self.others or request.path == OLLAMA_SHOW:
            self.asides.append(request)
            self._closing.wait(self.delay)
            found = request.path in self.others
            _send(
                handler, 200 if found else 404, "application/json", json.dumps(self.others.get(request.path)).encode()
            )
            return
        self.requests.append(request)
        self._closing.wait(self.delay)
        if self.failure is not None and self.failing != 0:
            if self.failing is not None:
                self.failing -= 1
            status, error = self.failure
            more = {"Retry-After": self.retry_after, "Location": self.location}
            _send(handler, status, "application/json", json.dumps(error).encode(), more)
            return
        content_type, events = _events(request, self.words)
        data = b"".join(events if self.spoil is None else self.spoil(events))
        content_type = self.content_type or content_type
        sent = len(data) // 2 if self.cut else None
        _send(handler, 200, content_type, data, sent=sent, encoding=self.encoding)


def _body(text: bytes) -> dict[str, Any]:
    """Read JSON; a login is a form instead."""
    return json.loads(text) if text.startswith(b"{") else {}


def _send(
    handler: BaseHTTPRequestHandler,
    status: int,
    content_type: str,
    data: bytes,
    more: Mapping[str, str | None] = MappingProxyType({}),
    sent: int | None = None,
    encoding: str = "",
) -> None:
    handler.send_response(status)
    if encoding:
        handler.send_header("Content-Encoding", encoding)
    for name, value in more.items():
        if value is not None:
            handler.send_header(name, value)
    handler.send_header("Content-Type", content_type)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    with suppress(ConnectionError):  # the client did not wait
        handler.wfile.write(data[:sent])


def _events(request: ProviderRequest, words: Words) -> tuple[str, list[bytes]]:
    path = request.path.partition("?")[0]
    if path.endswith("/converse-stream"):
        return "application/vnd.amazon.eventstream", list(_bedrock())
    if path.endswith("/chat/completions") and not request.body.get("stream"):
        return "application/json", [text.encode() for text in _whole_chat_completion(words)]
    for end, protocol in _PROTOCOLS.items():
        if path.endswith(end):
            kind = "application/x-ndjson" if protocol is _ollama else "text/event-stream"
            return kind, [text.encode() for text in protocol(words)]
    raise AssertionError(f"no protocol has the path {path}")


def _event(value: object, name: str = "") -> str:
    data = value if isinstance(value, str) else json.dumps(value)
    return f"{f'event: {name}' + chr(10) if name else ''}data: {data}\n\n"


def _chat_completions(words: Words) -> Iterator[str]:
    common = {"id": "chat-1", "object": "chat.completion.chunk", "created": 1, "model": "fake"}
    for word in words:
        delta = {"role": "assistant", "content": word}
        yield _event({**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    last = {"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}
    # Groq has the usage in a field of its own.
    yield _event({**common, "choices": [last], "usage": usage, "x_groq": {"id": "1", "usage": usage}})
    yield _event("[DONE]")


def _whole_chat_completion(words: Words) -> Iterator[str]:
    message = {"role": "assistant", "content": "".join(words)}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    common = {"id": "chat-1", "object": "chat.completion", "created": 1, "model": "fake"}
    yield json.dumps({**common, "choices": choices, "usage": usage})


def _responses(words: Words) -> Iterator[str]:
    response: dict[str, Any] = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "fake",
        "status": "in_progress",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    number = iter(range(100))

    def event(kind: str, **fields: object) -> str:
        return _event({"type": kind, "sequence_number": next(number), **fields}, kind)

    yield event("response.created", response=response)
    yield event("response.output_item.added", output_index=0, item=item)
    yield event("response.content_part.added", **place, part=part)
    for word in words:
        yield event("response.output_text.delta", **place, delta=word, logprobs=[])
    whole = {**item, "status": "completed", "content": [{**part, "text": "".join(words)}]}
    yield event("response.output_text.done", **place, text="".join(words), logprobs=[])
    yield event("response.output_item.done", output_index=0, item=whole)
    usage = {
        "input_tokens": 11,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 18,
    }
    yield event("response.completed", response={**response, "status": "completed", "output": [whole], "usage": usage})


def _anthropic(words: Words) -> Iterator[str]:
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "fake",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": 1},
    }
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield _event({"type": "message_start", "message": message}, "message_start")
    yield _event(start, "content_block_start")
    for word in words:
        delta = {"type": "text_delta", "text": word}
        yield _event({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")
    yield _event({"type": "content_block_stop", "index": 0}, "content_block_stop")
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    yield _event({"type": "message_delta", "delta": end, "usage": {"output_tokens": 7}}, "message_delta")
    yield _event({"type": "message_stop"}, "message_stop")


def _gemini(words: Words) -> Iterator[str]:
    for number, word in enumerate(words, 1):
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": word}]}, "index": 0}
        if number == len(words):
            candidate["finishReason"] = "STOP"
        usage = {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18}
        yield _event({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "fake"})


def _ollama(words: Words) -> Iterator[str]:
    common = {"model": "fake", "created_at": "2026-01-01T00:00:00Z"}
    for word in words:
        yield json.dumps({**common, "message": {"role": "assistant", "content": word}, "done": False}) + "\n"
    end = {"done": True, "done_reason": "stop", "prompt_eval_count": 11, "eval_count": 7}
    yield json.dumps({**common, "message": {"role": "assistant", "content": ""}, **end}) + "\n"


def _cohere(words: Words) -> Iterator[str]:
    """Speak version 2 of the chat API."""
    yield _event({"type": "message-start", "id": "1", "delta": {"message": {"role": "assistant"}}}, "message-start")
    begin = {"message": {"content": {"type": "text", "text": ""}}}
    yield _event({"type": "content-start", "index": 0, "delta": begin}, "content-start")
    for word in words:
        delta = {"message": {"content": {"text": word}}}
        yield _event({"type": "content-delta", "index": 0, "delta": delta}, "content-delta")
    yield _event({"type": "content-end", "index": 0}, "content-end")
    tokens = {"input_tokens": 11, "output_tokens": 7}
    usage = {"tokens": tokens, "billed_units": tokens}
    end = {"finish_reason": "COMPLETE", "usage": usage}
    yield _event({"type": "message-end", "delta": end}, "message-end")


def _bedrock() -> Iterator[bytes]:
    """Speak the Converse API, in AWS's binary event stream."""
    yield _aws_event("messageStart", {"role": "assistant"})
    for word in WORDS:
        yield _aws_event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}})
    yield _aws_event("contentBlockStop", {"contentBlockIndex": 0})
    yield _aws_event("messageStop", {"stopReason": "end_turn"})
    usage = {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}
    yield _aws_event("metadata", {"usage": usage, "metrics": {"latencyMs": 1}})


def with_payload(event: bytes, payload: bytes) -> bytes:
    """Return `event`, of whatever protocol, with other bytes where its JSON was."""
    head, data, _ = event.partition(b"data:")
    if data:
        return b"%sdata: %s\n\n" % (head, payload)
    return payload + b"\n" if event.startswith(b"{") else _aws_message("contentBlockDelta", payload)


def _aws_event(kind: str, value: object) -> bytes:
    return _aws_message(kind, json.dumps(value).encode())


def _aws_message(kind: str, payload: bytes) -> bytes:
    """Return one message: sizes and their checksum, headers, payload, and the checksum of it all."""
    fields = {":message-type": "event", ":event-type": kind, ":content-type": "application/json"}
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + len(text).to_bytes(2, "big") + text.encode()
        for name, text in fields.items()
    )
    sizes = (16 + len(headers) + len(payload)).to_bytes(4, "big") + len(headers).to_bytes(4, "big")
    message = sizes + crc32(sizes).to_bytes(4, "big") + headers + payload
    return message + crc32(message).to_bytes(4, "big")


_PROTOCOLS = {
    "/chat/completions": _chat_completions,
    "/responses": _responses,
    "/v1/messages": _anthropic,
    ":streamGenerateContent": _gemini,
    "/api/chat": _ollama,
    "/v2/chat": _cohere,
}
