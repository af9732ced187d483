"""What a scripted model server does with one request, as small values."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Literal
from uuid import uuid4


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    arrived: float

    @property
    def messages(self) -> list[tuple[str, str]]:
        """The conversation that was sent, as (role, text)."""
        return [(message["role"], _text(message["content"])) for message in self.body.get("messages", [])]

    @property
    def tools(self) -> list[str]:
        """The names of the tools that were offered."""
        return [tool["function"]["name"] for tool in self.body.get("tools", [])]

    @property
    def results(self) -> list[str]:
        """The results of the calls that the model gets, oldest first."""
        return [text for role, text in self.messages if role == "tool"]

    @property
    def last(self) -> str:
        """The text of the newest message."""
        return self.messages[-1][1]

    @property
    def key(self) -> str:
        """The bearer token, empty when none was sent."""
        return self.headers.get("authorization", "").removeprefix("Bearer").strip()


def _text(content: str | list[dict[str, Any]] | None) -> str:
    if isinstance(content, list):
        return "".join(block.get("text", "") for block in content)
    return content or ""


@dataclass(frozen=True, slots=True)
class TokenCount:
    """What the server claims to have counted."""

    prompt: int = 11
    completion: int = 7


@dataclass(frozen=True, slots=True)
class Answer:
    """Streams `text` in `chunks` pieces, `delay` seconds apart."""

    text: str
    chunks: int = 4
    delay: float = 0
    usage: TokenCount = field(default_factory=TokenCount)
    finish_reason: str = "stop"

    def pieces(self) -> list[str]:
        """`text` cut into at most `chunks` pieces."""
        size = max(1, -(-len(self.text) // self.chunks))
        return [self.text[start : start + size] for start in range(0, len(self.text), size)]


@dataclass(frozen=True, slots=True)
class Calls:
    """Says `text` and calls tools, each `(name, arguments)`; text for arguments is sent as it is.

    The calls have IDs of their own, or the ID `call_id`, which some servers give every call.
    """

    calls: Sequence[tuple[str, Mapping[str, Any] | str]]
    text: str = ""
    usage: TokenCount = field(default_factory=TokenCount)
    call_id: str = ""

    def named(self) -> list[tuple[str, str, str]]:
        """The calls, each as its ID, its tool's name and its arguments as they are sent."""
        return [
            (
                self.call_id or f"call_{uuid4().hex[:8]}",
                name,
                arguments if isinstance(arguments, str) else json.dumps(arguments),
            )
            for name, arguments in self.calls
        ]


def call(name: str, **arguments: Any) -> Calls:
    """Call one tool."""
    return Calls([(name, arguments)])


@dataclass(frozen=True, slots=True)
class Gated:
    """Streams `before`, waits until `gate` is set, then streams `after` and finishes."""

    before: str
    gate: Event
    after: str


@dataclass(frozen=True, slots=True)
class Fail:
    """Answers with an HTTP error."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StreamError:
    """Streams `after`, then an error event, as servers do that fail after the status line was sent."""

    after: str
    message: str = "The server had an error while processing your request."


@dataclass(frozen=True, slots=True)
class Drop:
    """Streams `after`, then ends without [DONE]: by a reset, a cut in mid-body, or a regular end of body."""

    after: str
    how: Literal["reset", "cut", "end"] = "reset"


@dataclass(frozen=True, slots=True)
class Hang:
    """Takes the request and never answers."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Streams `after`, then nothing more until the client closes."""

    after: str


@dataclass(frozen=True, slots=True)
class Garbage:
    """Answers 200 with something that is no event stream."""

    body: bytes = b"<html><body>It works!</body></html>"
    content_type: str = "text/html"


@dataclass(frozen=True, slots=True)
class Endless:
    """Sends `head`, bytes of any protocol, and then `piece` every few milliseconds until the client closes."""

    head: bytes
    piece: bytes


Reply = Answer | Calls | Fail | Hang | Stall
Step = Reply | Endless | Gated | StreamError | Drop | Garbage | Callable[[Request], Reply]


def echo(request: Request) -> Answer:
    """Answer with the newest message."""
    return Answer(f"You said: {request.last}")


def bob(request: Request) -> Answer:
    """Answer with the name that somebody gave in the conversation."""
    for _, text in request.messages:
        _, found, rest = text.partition("I'm ")
        if found:
            return Answer(f"Your name is {rest.split()[0].strip('.,!')}.")
    return Answer("I don't know your name.")


def _error(message: str, kind: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def unauthorized(key: str = "sk-****") -> Fail:
    return Fail(401, _error(f"Incorrect API key provided: {key}.", "invalid_request_error", "invalid_api_key"))


def unknown_model(name: str = "gpt-none") -> Fail:
    message = f"The model `{name}` does not exist or you do not have access to it."
    return Fail(404, _error(message, "invalid_request_error", "model_not_found"))


def rate_limited(retry_after: str | None = None) -> Fail:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Fail(429, _error("Rate limit reached.", "requests", "rate_limit_exceeded"), headers)


def out_of_credit() -> Fail:
    message = "You exceeded your current quota, please check your plan and billing details."
    return Fail(429, _error(message, "insufficient_quota", "insufficient_quota"))


def server_error(status: int = 500) -> Fail:
    return Fail(status, _error("The server had an error.", "server_error", None))


def context_too_long() -> Fail:
    message = "This model's maximum context length is 8192 tokens. Your messages resulted in 9000 tokens."
    return Fail(400, _error(message, "invalid_request_error", "context_length_exceeded"))


def content_filtered() -> Fail:
    message = "The response was filtered due to the prompt triggering the content management policy."
    return Fail(400, _error(message, "invalid_request_error", "content_filter"))
