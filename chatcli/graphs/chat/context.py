"""The context, as it is sent to the model: the system prompt, a summary, and the newest messages that fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    merge_message_runs,
    trim_messages,
)

from chatcli.errors import ContextError, RefusedError, UsageError
from chatcli.graphs.chat.adapt import adapt_messages
from chatcli.graphs.chat.receive import receive_aside, refuse_unfinished
from chatcli.graphs.chat.state import ChatState, TurnContext
from chatcli.memory.prompt_context import PromptContext
from chatcli.message import Citation
from chatcli.models.errors import translate
from chatcli.sessions.history import newest_question, newest_turn
from chatcli.sessions.message_calls import calls_of, pair_calls

KEPT_TURNS = 2
"""The number of newest turns that are never summarised."""
PIECE_TOKENS = 4000
"""How much is summarised at once if the model's window is not known."""
CHARACTERS_PER_TOKEN = 3
"""A cautious estimate, for cutting text that is larger than a piece."""
INSTRUCTIONS = (
    "Summarise the conversation that you are given, for yourself, so that you can go on with it without having it."
    " Keep every name, number, decision, preference and open question of the user. Write at most 200 words, in the"
    " language of the conversation. Answer with the summary alone."
)

SUMMARY_LABEL = "Summary of the conversation so far:"


@dataclass(frozen=True, slots=True)
class FittedContext:
    """The messages that are sent, their size, and the messages that do not fit; sizes in tokens."""

    messages: list[BaseMessage]
    tokens: int
    budget: int | None
    dropped: list[BaseMessage]
    """The newest messages that do not fit."""
    older: list[BaseMessage]
    """The messages before those, as they are in the thread."""
    summed_up: list[BaseMessage]
    """The messages before those, which a summary replaces."""
    passages: tuple[Citation, ...] = ()
    """The passages of documents that went with the newest question."""
    passage_tokens: int = 0
    known: PromptContext = field(default_factory=PromptContext)
    """What the system prompt has beside the thread's own: instructions and facts."""
    rules_tokens: int = 0
    """About how many tokens the instructions take."""

    @property
    def trimmed(self) -> bool:
        """Whether any message is not sent."""
        return bool(self.dropped or self.older)

    @property
    def left_out(self) -> list[BaseMessage]:
        """The messages that are not sent; this reads the whole thread."""
        return [*_sendable(self.older), *self.dropped]


async def count_exactly(state: ChatState, turn: TurnContext, *, reserved: int = 0) -> None:
    """Let the model's own tokenizer, if it has one, count what may be sent besides `reserved` tokens."""
    # Call it before `fit_context`. It costs nothing if all of the messages fit anyway.
    if turn.model.tokenizer is None or (budget := _budget(turn, request_limit(turn, reserved))) is None:
        return
    summed_up, opened = open_messages(state)
    reached = opened[_first_in_reach(opened, budget, turn) :]
    messages = _prompted(state, reached, turn, summed_up=bool(summed_up))
    await turn.counter.look_up(messages, budget)


def fit_context(state: ChatState, turn: TurnContext, *, tighter: int | None = None, reserved: int = 0) -> FittedContext:
    """Return the context: the system prompt, and the newest whole turns that fit the budget."""
    # A turn is never split, so a tool's result stays with its call. `tighter` is a budget below the usual one, for a
    # provider that refused a context within it. `reserved` tokens are sent besides: the tools. Raises ContextError if
    # the newest question alone is larger; nothing has been sent then.
    if turn.model.keeps_conversation:
        # The last question alone, without a size: nobody knows how much the server adds to it.
        questions = [message for message in state["messages"] if isinstance(message, HumanMessage)]
        return FittedContext(adapt_messages(questions[-1:], turn.model), 0, None, [], [], [])
    limit = request_limit(turn, reserved)
    budget = _smallest(_budget(turn, limit), tighter)
    summed_up, opened = open_messages(state)
    start = _first_in_reach(opened, budget, turn)
    head, messages = _split(_prompted(state, opened[start:], turn, summed_up=bool(summed_up)))
    newest = messages[newest_turn(messages) :]
    _refuse_oversized_question(head, newest, turn, reserved)
    kept = messages
    if budget is not None and turn.counter.count([*head, *messages]) > budget:
        trimmed: list[BaseMessage] = trim_messages(
            [*head, *messages],
            max_tokens=budget,
            token_counter=turn.counter.count,
            strategy="last",
            include_system=True,
            start_on="human",
            allow_partial=False,
        )
        kept = _split(trimmed)[1]
        # A question that exceeds the budget is still sent, alone: only the limit refuses.
        if len(kept) < len(newest):
            kept = newest
    sent = adapt_messages([*head, *kept], turn.model)
    dropped = messages[: len(messages) - len(kept)]
    return FittedContext(sent, turn.counter.count(sent), budget, dropped, opened[:start], summed_up)


def open_messages(state: ChatState) -> tuple[list[BaseMessage], list[BaseMessage]]:
    """Return the messages that a summary replaces, and those after them without the refused questions."""
    messages = state.get("messages", [])
    covered = state.get("summarised")
    ids = [message.id for message in messages] if covered else []
    start = ids.index(covered) + 1 if covered in ids else 0
    opened, refused = messages[start:], state.get("refused", ())
    return messages[:start], [message for message in opened if message.id not in refused] if refused else opened


def _first_in_reach(messages: list[BaseMessage], budget: int | None, turn: TurnContext) -> int:
    """Return the index of the first message that may be sent, so that a late turn costs no more than an early one."""
    # It begins a turn after an answer, so that no message before it belongs to one after it. Twice the budget is enough
    # for the messages that pairing and joining remove.
    start = 0 if budget is None else turn.counter.reach(messages, 2 * budget)
    while start > 0:
        answer = messages[start - 1]
        if isinstance(messages[start], HumanMessage) and isinstance(answer, AIMessage) and answer.content:
            break
        start -= 1
    return start


def _prompted(state: ChatState, opened: list[BaseMessage], turn: TurnContext, *, summed_up: bool) -> list[BaseMessage]:
    """Return the system message, if there is one, and `opened`."""
    # Behind the system prompt stand what is known beside the conversation, and the summary if the rest is `summed_up`.
    messages = _sendable(opened)
    if template := state.get("template"):  # its fields are plain names: `template_variables`
        messages = [SystemMessage(template.format_map(state.get("variables", {}))), *messages]
    elif system := state.get("system") or turn.model.default_system:
        messages = [SystemMessage(system), *messages]
    added = [turn.known] if turn.known else []
    if summed_up:
        added.append(f"{SUMMARY_LABEL}\n{state['summary']}")
    if not added:
        return messages
    head, rest = _split(messages)
    return [SystemMessage("\n\n".join([*(str(message.text) for message in head), *added])), *rest]


def _split(messages: list[BaseMessage]) -> tuple[list[BaseMessage], list[BaseMessage]]:
    size = 1 if messages and isinstance(messages[0], SystemMessage) else 0
    return messages[:size], messages[size:]


def system_messages(system: str, turn: TurnContext) -> list[BaseMessage]:
    """Return the message of the `system` prompt with what is known beside it; none if both are empty."""
    text = "\n\n".join(filter(None, (system, turn.known)))
    return [SystemMessage(text)] if text else []


async def refuse_oversized(question: BaseMessage, system: str, turn: TurnContext) -> None:
    """Raise ContextError when `question` alone, with the `system` prompt, is larger than what may be sent."""
    head = system_messages(system, turn)
    limit = request_limit(turn)
    if limit is not None:
        await turn.counter.look_up([*head, question], limit)
    _refuse_oversized_question(head, [question], turn)


def request_limit(turn: TurnContext, reserved: int = 0) -> int | None:
    """Return the size of the largest allowed request, less `reserved` tokens."""
    limit = _smallest(turn.context_tokens, turn.model.limits.request)
    return limit if limit is None else max(limit - reserved, 1)


def _budget(turn: TurnContext, limit: int | None) -> int | None:
    return _smallest(limit, turn.model.limits.history if turn.context_tokens is None else None)


def _sendable(messages: list[BaseMessage]) -> list[BaseMessage]:
    """Return `messages` without empty answers, and with consecutive questions joined."""
    # Several providers refuse two human messages in a row, and a call without its result.
    present = [
        message
        for message in pair_calls(messages)
        if not isinstance(message, AIMessage) or message.content or calls_of(message)
    ]
    joined: list[BaseMessage] = []
    for human, run in groupby(present, lambda message: isinstance(message, HumanMessage)):
        together = list(run)
        # Only consecutive questions are joined, since joining copies every message.
        if human and len(together) > 1:
            # The newest question among them, which a summary may stand before, says what they are.
            question = newest_question(together)
            marks = {} if question is None else {"additional_kwargs": question.additional_kwargs}
            joined += [merged.model_copy(update=marks) for merged in merge_message_runs(together)]
        else:
            joined += together
    return joined


def _refuse_oversized_question(
    head: list[BaseMessage], newest: list[BaseMessage], turn: TurnContext, reserved: int = 0
) -> None:
    count, limit = turn.counter.count, request_limit(turn)
    if limit is None or count([*head, *newest]) + reserved <= limit:
        return
    fixed = {"the system prompt": count(head), "the tools": reserved}
    more = "".join(f", {what} {size}" for what, size in fixed.items() if size)
    raise ContextError(
        f"the question takes about {count(newest)} tokens{more}, and the limit of {turn.model.name} here is {limit}",
        remedy="Send less, raise --context-tokens, or choose a model with a larger context.",
    )


def _smallest(*bounds: int | None) -> int | None:
    return min((bound for bound in bounds if bound is not None), default=None)


async def compact_state(state: ChatState, turn: TurnContext) -> ChatState:
    """Return the update of `state` that summarises all turns but the newest; refuse a thread with at most one."""
    if turn.model.keeps_conversation:
        raise UsageError(f"{turn.model.name} keeps the conversation itself: there is nothing to compact here")
    summed_up, messages = open_messages(state)
    starts = [index for index, message in enumerate(messages) if isinstance(message, HumanMessage)]
    if len(starts) < 2:
        raise UsageError("there is nothing to compact yet: the newest turn is always kept")
    older = messages[: starts[-min(KEPT_TURNS, len(starts) - 1)]]
    summary = await summarise(older, turn, state.get("summary", "") if summed_up else "")
    return ChatState(summary=summary, summarised=older[-1].id or "")


async def summarise(messages: Sequence[BaseMessage], turn: TurnContext, summary: str = "") -> str:
    """Return the model's summary of `messages`, and of what the `summary` before them is about."""
    if turn.model.keeps_conversation:
        raise UsageError(f"{turn.model.name} keeps the conversation itself: it can't be given a summary of one")
    for piece in _pieces(messages, turn):
        summary = await _summarise(summary, piece, turn)
    limit = turn.context_tokens or turn.model.limits.request
    if limit is not None:  # a longer summary would leave no room for a question
        summary = _cut(summary, limit // 2 * CHARACTERS_PER_TOKEN)
    return summary


async def _summarise(summary: str, piece: str, turn: TurnContext) -> str:
    before = f"Summary of what came before:\n{summary}\n\n" if summary else ""
    request = [SystemMessage(INSTRUCTIONS), HumanMessage(f"{before}{piece}")]
    try:
        answer = await receive_aside(request, turn, seconds=turn.timeout)
        refuse_unfinished(answer, turn.model)
    except Exception as error:
        raise translate(error, turn.model) from error
    if not (text := str(answer.text).strip()):
        raise RefusedError(f"{turn.model.name} gave no summary", remedy="Try again, or choose another model.")
    return text


def _pieces(messages: Sequence[BaseMessage], turn: TurnContext) -> Iterator[str]:
    """Yield the conversation as text, cut between messages into pieces that the model can read."""
    room = (turn.model.limits.request or 2 * PIECE_TOKENS) // 2 * CHARACTERS_PER_TOKEN
    piece = ""
    for message in messages:
        line = f"{message.type}: {_cut(str(message.text), room)}\n"
        if piece and len(piece) + len(line) > room:
            yield piece
            piece = ""
        piece += line
    yield piece


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[:room]} [...]"
