"""The events of a session: everything that the engine says.

A turn is an async iterator of `Event`. Its order guarantees:

- `TurnStarted` comes first, once the question is about to be stored.
- `DocumentsFound` comes before the first text where the thread has documents; a tool may find more later.
- `TextDelta` and `ReasoningDelta` come in the order in which the model sent them.
- Exactly one terminal event (`TurnFinished`, `TurnInterrupted` or `TurnFailed`) comes last, whatever happens.
- Each `ToolCallFinished` comes after the `ToolCallStarted` of its `call_id`, which, where the call waited for an
  approval, was in the turn before; calls may overlap.
- `ApprovalRequested` comes last before the terminal event, once for each answer that the graph waits for. The turn
  then ends with `TurnFinished`, whose `finish_reason` is `WAITING`.
- `Notice` and `Progress` may come anywhere before the terminal event.

The JSON Lines output is every `JsonEvent`, serialised by `rendering.json`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from chatcli.errors import ChatcliError
from chatcli.message import Cited, FoundPassage, MessageShown

INTERRUPTED = "interrupted"
"""The finish reason of a partial answer."""
WAITING = "interrupt"
"""The finish reason of a turn that waits for the user's answer to an `ApprovalRequested`."""
STOPPED = "breakpoint"
"""The finish reason of a turn whose graph stopped at one of its breakpoints, which ask nothing."""

NO_ANSWER = "no_answer"
"""The finish reason of a turn in which a user graph ended without an answer."""


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """What happens in a session; what only the screen is told is in `rendering.display`."""


@dataclass(frozen=True, slots=True)
class JsonEvent(SessionEvent):
    """An event that is a line of the JSON Lines output, with its `type`."""

    type: ClassVar[str]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens counted by the provider; all zero if it reported none."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TurnStarted(JsonEvent):
    """A turn begins on `thread_id`; `model` is named `provider:model`."""

    type: ClassVar[Literal["turn_started"]] = "turn_started"
    thread_id: str
    model: str


@dataclass(frozen=True, slots=True)
class DocumentsFound(JsonEvent):
    """The thread's documents were searched for the words `query`; without `passages`, nothing relevant was found."""

    type: ClassVar[Literal["documents_found"]] = "documents_found"
    query: str
    passages: tuple[FoundPassage, ...] = ()


@dataclass(frozen=True, slots=True)
class TextDelta(JsonEvent):
    """The next piece of the answer; untrusted text, cut anywhere.

    `node` is the node of the user graph that writes it, after the nodes of its outer graphs; empty elsewhere. A `draft`
    is taken for an intermediate text while it arrives: the end of the turn says what the answer is.
    """

    type: ClassVar[Literal["text_delta"]] = "text_delta"
    text: str
    node: str = ""
    draft: bool = False


@dataclass(frozen=True, slots=True)
class IntermediateText(SessionEvent):
    """A whole message of a user graph's `node`, which has come as `TextDelta` and is no part of the answer."""

    text: str
    node: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta(JsonEvent):
    """The next piece of the model's reasoning, apart from the answer; untrusted text. `node` is as in `TextDelta`."""

    type: ClassVar[Literal["reasoning_delta"]] = "reasoning_delta"
    text: str
    node: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallStarted(JsonEvent):
    """The model of `node` calls the tool `name`; the arguments are the model's own, untrusted."""

    type: ClassVar[Literal["tool_call_started"]] = "tool_call_started"
    call_id: str
    name: str
    arguments: Mapping[str, Any]
    node: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallFinished(JsonEvent):
    """The call `call_id` is over: `content` is the result that the model gets, untrusted text."""

    type: ClassVar[Literal["tool_call_finished"]] = "tool_call_finished"
    call_id: str
    name: str
    content: str
    status: Literal["success", "error"] = "success"
    node: str = ""
    """The node whose model called it."""


@dataclass(frozen=True, slots=True)
class TodosChanged(SessionEvent):
    """The graph has another list of what it is going to do: each a `content` with a `status`, the graph's own."""

    todos: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class ApprovalRequested(JsonEvent):
    """The graph waits for the user: LangGraph's interrupt `interrupt_id`, whose `payload` is the graph's own JSON.

    It stays pending in the thread until the turn is resumed with an answer, in this process or a later one.
    """

    type: ClassVar[Literal["approval_requested"]] = "approval_requested"
    interrupt_id: str
    payload: Any
    response_schema: Mapping[str, Any] | None = None
    """The JSON Schema of the answer, where the graph gives one."""
    among: int = 1
    """How many answers the graph waits for; of several, each is given with its ID."""


@dataclass(frozen=True, slots=True)
class FlowAnswer:
    """A Langflow flow's answer as Langflow keeps it: `text` by `sender`, in its own session `session_id`."""

    session_id: str
    sender: str
    text: str


@dataclass(frozen=True, slots=True)
class TurnFinished(JsonEvent):
    """The whole answer, stored in the thread."""

    type: ClassVar[Literal["turn_finished"]] = "turn_finished"
    thread_id: str
    checkpoint_id: str
    model: str
    content: str
    finish_reason: str
    usage: Usage
    elapsed_ms: int
    messages_in_context: int
    messages_in_thread: int
    context_tokens: int = 0
    """About how many tokens were sent; None for `context_budget` means no known limit."""
    context_budget: int | None = None
    cost_usd: float | None = None
    """The turn's price by the provider's list; None where it is not known."""
    langflow: FlowAnswer | None = None
    """Only from a Langflow flow."""
    output: Any = None
    """What a user graph returned, as JSON, where that is more than the text of the answer."""
    cited: Cited | None = None
    """What the answer cites; None where no documents were used. It is `citations` and `unknown_citations` in JSON."""
    memory_used: tuple[str, ...] | None = None
    """The remembered facts that were sent; None where the memory is off or empty, and then left out of JSON."""


@dataclass(frozen=True, slots=True)
class TurnInterrupted(JsonEvent):
    """The user stopped the turn; `content` is what had arrived, kept in the thread as a partial answer."""

    type: ClassVar[Literal["turn_interrupted"]] = "turn_interrupted"
    thread_id: str
    checkpoint_id: str
    model: str
    content: str
    elapsed_ms: int
    cited: Cited | None = None
    """As in `TurnFinished`."""


@dataclass(frozen=True, slots=True)
class TurnFailed(JsonEvent):
    """The turn failed; `content` is what had arrived, kept in the thread as a partial answer."""

    type: ClassVar[Literal["turn_failed"]] = "turn_failed"
    thread_id: str
    model: str
    content: str
    error: ChatcliError
    cited: Cited | None = None
    """As in `TurnFinished`."""


@dataclass(frozen=True, slots=True)
class Notice(JsonEvent):
    """One line or a few for the user, never part of the answer.

    A `passing` one explains a wait: it is for a terminal, not for a log. An `urgent` one stands on standard error in
    every format, also with `--quiet`.
    """

    type: ClassVar[Literal["notice"]] = "notice"
    text: str
    level: Literal["info", "warning", "error"] = "info"
    passing: bool = False
    urgent: bool = False
    data: Any = None
    """What a node of a user graph reported by LangGraph's stream writer, as it gave it; None for other notices."""


@dataclass(frozen=True, slots=True)
class ImageAttached(SessionEvent):
    """The image `data` goes along with the question as `name`: to be looked at. A `Notice` has named it."""

    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Progress(SessionEvent):
    """Work that takes a while: `done` of `total` units so far; `total` 0 when it is not known.

    `unit` is "bytes" for a download, "files" for documents, "percent" for a call of a tool, and "" for a step without
    a size. The last one of a label has `finished`. `detail` says what is done just now; untrusted text.
    """

    label: str
    done: int = 0
    total: int = 0
    unit: Literal["bytes", "files", "percent", ""] = ""
    finished: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Listing(SessionEvent):
    """A table for the user, as `/help` and `chat threads list` show."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


TerminalEvent = TurnFinished | TurnInterrupted | TurnFailed
"""The last event of a turn."""
Event = SessionEvent | MessageShown
"""All that can be shown."""
