"""Messages of the past and tool calls, as people read them; untrusted, to be sanitised where they are shown."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from chatcli.text import one_line

MAX_ARGUMENTS = 100
"""The most characters of a call's arguments in its line."""
MAX_RESULT = 100
"""The most characters of a call's result in its line."""

SPEAKERS = {"user": "User", "assistant": "AI", "tool": "Tool", "summary": "Summary", "notification": "Notification"}
"""What each role is called on a page and in plain text."""


class FoundPassage(TypedDict):
    """A passage of a document that a turn found, with the number by which an answer may cite it; as it is stored."""

    number: int
    path: str
    """Absolute where it is stored; the event that reports the passage has the path for people."""
    start_line: int | None
    end_line: int | None
    page: int | None
    text: str
    """Exactly what stands there."""
    plain: str
    """The text that is sent, where that is another; else empty."""
    headings: list[str]
    score: float


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage of a document that an answer cites by its number; `quote` is exactly what stands there.

    A passage has lines, counted from 1, or a page, where the document has no lines. All of it is untrusted.
    """

    number: int
    path: str
    start_line: int | None
    end_line: int | None
    page: int | None
    quote: str

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return place_of(self.path, self.start_line, self.end_line, self.page)


def place_of(path: str, start_line: int | None, end_line: int | None, page: int | None) -> str:
    """Return the place of a passage in the document `path`, for people: `setup.md:12-30`, or `setup.pdf, page 3`."""
    if start_line is not None:
        return f"{path}:{start_line}-{end_line}"
    return path if page is None else f"{path}, page {page}"


@dataclass(frozen=True, slots=True)
class Cited:
    """What an answer cites: the passages, by number, and the numbers that stand for none, which the model made up."""

    citations: tuple[Citation, ...] = ()
    made_up: tuple[int, ...] = ()

    def lines(self) -> list[tuple[str, Citation | None]]:
        """Return the list of sources that follows the answer: each line, with the passage that it names."""
        named: list[tuple[str, Citation | None]] = [(f"[{each.number}] {each.place}", each) for each in self.citations]
        return [*named, *((f"[{number}] is no source: the model made it up", None) for number in self.made_up)]


@dataclass(frozen=True, slots=True)
class MessageShown:
    """A message of the past as it looked: `role` is one of `SPEAKERS`, `cited` is None if no documents were used."""

    role: str
    text: str
    interrupted: bool = False
    cited: Cited | None = None


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The beginnings of a turn's question and of its last answer, which is empty where there is none; untrusted."""

    question: str
    answer: str


def human_role(additional_kwargs: Mapping[str, Any]) -> str:
    """Return the role of a human message: langchain marks by `lc_source` what the user did not type."""
    source = additional_kwargs.get("lc_source")
    if not isinstance(source, str):
        return "user"
    return "summary" if source == "summarization" else "notification"


def call_text(name: str, arguments: Mapping[str, Any], *, whole: bool = False) -> str:
    """Return a call as `search(query="cats", limit=3)`; long arguments are shortened, unless `whole` is set."""
    given = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False, default=str)}" for key, value in arguments.items())
    return f"{name}({given if whole or len(given) <= MAX_ARGUMENTS else f'{given[:MAX_ARGUMENTS]}…'})"


def result_text(content: str, *, failed: bool = False) -> str:
    """Return the result of a call on one line; of a long one, the beginning and the length."""
    text = one_line(content) or "(nothing)"
    cut = text if len(text) <= MAX_RESULT else f"{text[:MAX_RESULT]}… ({len(content)} characters)"
    return f"{'✗' if failed else '→'} {cut}"


def is_review(payload: object) -> bool:
    """Return whether `payload` asks for decisions on tool calls, in the format of langchain's middleware.

    What only looks like that is a request like any other.
    """
    if not isinstance(payload, Mapping) or not ("action_requests" in payload or payload.get("type") == "tool_approval"):
        return False
    calls, configs = payload.get("action_requests", [payload]), payload.get("review_configs", [])
    if not (isinstance(calls, list) and calls and isinstance(configs, list)):
        return False
    whole = all(isinstance(each, Mapping) for each in (*calls, *configs))
    return whole and all(isinstance(each.get("args") or {}, Mapping) for each in calls)


FORM = "mcp_form"
"""The `type` of the request by which an MCP server asks the user to fill in a form, or to open an address."""


def is_form(payload: object) -> bool:
    """Return whether `payload` is the form of an MCP server."""
    return isinstance(payload, Mapping) and payload.get("type") == FORM


DECISIONS = ("approve", "edit", "reject")
"""The decisions on a call that is reviewed, unless its request allows others."""
SCOPE_KEYS = {"t": "thread", "a": "always", "o": "outside"}
"""The keys that approve a call in another way than once, with its scope: how long that holds for all calls like it, or
that this one runs outside of the sandbox."""


def decision_keys(action: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys that decide on `action`, one of `reviewed_actions`, each with what it means."""
    allowed, scopes = action.get("allowed") or DECISIONS, action.get("scopes") or ()
    words = {"thread": "for the thread", "always": "always", "outside": "once outside"}
    keys = {"y": "once", **{key: words[scope] for key, scope in SCOPE_KEYS.items() if scope in scopes}}
    keys = keys if "approve" in allowed else {}
    return keys | ({"e": "edit"} if "edit" in allowed else {}) | ({"n": "no"} if "reject" in allowed else {})


def reviewed_actions(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tool calls that `payload` asks about.

    Each has a `name`, `args`, perhaps a `description`, the `allowed` decisions if they are limited, and the `scopes`
    that an approval may have ("thread", "always"), which only our own graph sets.
    """
    if "action_requests" not in payload:
        return [dict(payload)]
    configs = {config.get("action_name"): config for config in payload.get("review_configs", ())}
    actions = []
    for action in payload["action_requests"]:
        config = configs.get(action.get("name"), {})
        limits = {"allowed": config.get("allowed_decisions", ()), "scopes": config.get("scopes", ())}
        actions.append({**action, **limits})
    return actions
