"""The state of a thread of the plain chat, and the context of a turn."""

from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from operator import is_
from typing import TYPE_CHECKING, Annotated, ClassVar, TypedDict

from langchain_core.messages import BaseMessage, RemoveMessage
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import PendingWrite
from langgraph.graph.message import REMOVE_ALL_MESSAGES

from chatcli.config.grants import Grants
from chatcli.config.settings import ANSWER_SECONDS
from chatcli.graphs.chat.token_counter import TokenCounter
from chatcli.memory.prompt_context import PromptContextReader
from chatcli.models.model import Model
from chatcli.sessions.found import Retrieval
from chatcli.store.usage import Tokens
from chatcli.tools.toolbox import Toolbox

if TYPE_CHECKING:
    from chatcli.graphs.chat.answer_schema import AnswerSchema

SNAPSHOT_FREQUENCY = 4000
"""Updates of a thread between two full copies of its messages; the checkpoints between them hold the new ones."""

MAX_UNINDEXED = 100
"""Messages at the end of a thread whose IDs are compared one by one."""


class _IndexedMessages(list[BaseMessage]):
    """Messages with the IDs of the first `indexed` of them, so that a message is added without a look at each."""

    ids: frozenset[str | None] = frozenset()
    indexed = 0

    def __copy__(self) -> "_IndexedMessages":
        same = _IndexedMessages(self)
        same.ids, same.indexed = self.ids, self.indexed
        return same


def append_messages(state: list[BaseMessage], writes: Sequence[list[BaseMessage] | BaseMessage]) -> list[BaseMessage]:
    """Return `state` with `writes` applied in order, as `add_messages` would, in one pass."""
    # LangGraph replays a thread's writes through this on each load, all at once, so calling `add_messages` for each
    # would cost the square of the thread. Every message must have an ID, as LangGraph ensures before it stores a write.
    added = [message for write in writes for message in (write if isinstance(write, list) else [write])]
    ids = {message.id for message in added}
    longer = copy(state) if isinstance(state, _IndexedMessages) else _IndexedMessages(state)
    is_new = ids.isdisjoint(longer.ids) and ids.isdisjoint(message.id for message in longer[longer.indexed :])
    if is_new and len(ids) == len(added) and not any(isinstance(message, RemoveMessage) for message in added):
        longer += added
        if len(longer) > longer.indexed + MAX_UNINDEXED:
            longer.ids = longer.ids.union(message.id for message in longer[longer.indexed :])
            longer.indexed = len(longer)
        return longer
    merged = {message.id: message for message in state}
    for message in added:
        if message.id == REMOVE_ALL_MESSAGES:
            merged.clear()
        elif isinstance(message, RemoveMessage):
            merged.pop(message.id, None)
        else:
            merged[message.id] = message
    return list(merged.values())


class MessagesChannel(DeltaChannel[list[BaseMessage]]):
    """The messages of a thread; a load replays what was written since the last one, if that was of the same thread."""

    _loaded: ClassVar[tuple[list[BaseMessage], Sequence[PendingWrite], list[BaseMessage]]] = ([], (), [])
    """The last load of this process: the value that it began with, the writes that it replayed, and the messages."""

    def replay_writes(self, writes: Sequence[PendingWrite]) -> None:
        """Apply `writes`, the oldest first, to the value."""
        (begun, replayed, messages), before, new = self._loaded, self.value, writes
        # The store keeps a thread's writes (store/savers.py): those of the last load are the same objects.
        same = begun is before or not (begun or before)
        if same and len(replayed) <= len(writes) and all(map(is_, replayed, writes)):
            self.value, new = messages, writes[len(replayed) :]
        super().replay_writes(new)
        MessagesChannel._loaded = before, writes, self.value
        self.value = copy(self.value)  # a caller may change its list


class ChatState(TypedDict, total=False):
    """The state of a thread in its checkpoints."""

    messages: Annotated[list[BaseMessage], MessagesChannel(append_messages, snapshot_frequency=SNAPSHOT_FREQUENCY)]
    system: str
    """The thread's system prompt; text, never a template."""
    role: str
    """The role's name; its template and the values of its variables follow."""
    template: str
    variables: dict[str, str]
    temperature: float | None
    """The temperature of the role."""
    model: str
    """The model that answered last, as `provider:model`."""
    base_url: str
    """The server of that model, without a password; empty for its provider's own."""
    summary: str
    """The summary of the oldest messages, up to the one with the ID `summarised`."""
    summarised: str
    trimming_told: bool
    """Whether the notice about left out messages was shown."""
    prompt_told: bool
    """Whether the notice that the model takes no system prompt was shown."""
    refused: list[str]
    """The IDs of unanswered questions that are no longer sent, since the model refused later questions with them."""
    asked: list[str]
    """The IDs of the calls that wait for approval."""
    found: Retrieval | None
    """None where the newest turn has no documents. What tools found later stands in the artifacts of their results."""
    allowed: list[str]
    """The allow rules of older versions: never used, and emptied with the next question (see `grants.Grants`)."""


@dataclass(frozen=True, slots=True)
class TurnContext:
    """What a turn needs but does not store."""

    model: Model
    context_tokens: int | None = None
    """The user's own budget of what is sent, in tokens."""
    counter: TokenCounter = field(default_factory=TokenCounter)
    auto_compact: bool = False
    """Whether to summarise the oldest turns rather than leave them out."""
    schema: "AnswerSchema | None" = None
    """The schema of the answer."""
    timeout: float = ANSWER_SECONDS
    """Seconds that all attempts of a request may take together."""
    session_name: Callable[[], Awaitable[str]] | None = None
    """Returns the name of this branch of the thread for a server that keeps the conversation itself."""
    toolbox: Toolbox = field(default_factory=Toolbox)
    """The tools that the model may call; none by default."""
    grants: Grants = field(default_factory=lambda: Grants("", ""))
    """What the user allowed for the thread."""
    knowledge: PromptContextReader | None = None
    """Reads the project's instructions and what is remembered; None where neither is sent."""
    known: str = ""
    """What was read of it for the newest question: a part of the system prompt that the thread does not keep."""
    documents: tuple[str, ...] = ()
    """The absolute paths and globs of the documents that answers are grounded on."""
    spent: list[Tokens] = field(default_factory=list)
    """What requests used that are no part of the thread, such as summaries; it is noted with the next answer."""
    numbers: dict[str, int] = field(default_factory=dict)
    """The numbers of the passages that the turn has found so far, by their places."""
