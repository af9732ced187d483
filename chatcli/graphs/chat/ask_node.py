"""The node of the plain chat that asks the model."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langgraph.constants import TAG_NOSTREAM
from langgraph.runtime import Runtime

from chatcli.errors import ContextError, CutAnswerError, RefusedError
from chatcli.events import Notice
from chatcli.graphs.chat.adapt import notify
from chatcli.graphs.chat.approval_node import review_calls
from chatcli.graphs.chat.context import FittedContext, compact_state, count_exactly, fit_context, request_limit
from chatcli.graphs.chat.offer import OfferedTools, offered_tools
from chatcli.graphs.chat.passages import with_passages
from chatcli.graphs.chat.receive import receive, refuse_unfinished
from chatcli.graphs.chat.small_model import citing_options, is_small
from chatcli.graphs.chat.state import ChatState, TurnContext
from chatcli.graphs.chat.structured_output import ask_structured
from chatcli.memory.prompt_context import PromptContext
from chatcli.models.errors import translate
from chatcli.sessions.found import as_citations, cited_metadata, found_in_turn
from chatcli.sessions.history import heard_before, newest_turn
from chatcli.sessions.message_calls import name_calls
from chatcli.store.usage import note_request

MODEL_NODE = "model"
INSTRUCTIONS = "chatcli_instructions"
"""The key in an answer's metadata for the files of instructions that were sent: their digests by path."""
FEWER_PASSAGES = 2
"""How many passages of documents are sent after the provider found a context too long."""
TIGHTER = 0.6
"""The part of a context that is tried again after the provider found it too long."""
LEAST_TO_LEARN_FROM = 500
"""Tokens of the smallest context whose size, as the provider counts it, corrects our count.

In a shorter one, too large a part is what the provider adds itself: its chat template and its own prompt.
"""


async def call_model(state: ChatState, runtime: Runtime[TurnContext]) -> ChatState:
    """Send the context to the model and return its answer."""
    # A request that the model refuses is tried once more with less: with fewer turns after an overflow, and in any case
    # without the unanswered questions before the newest one, since one of them may have been too large or filtered.
    turn, known = await with_known(state, runtime.context)
    offer = await offered_tools(runtime)
    found = found_in_turn(state)
    about = _about(state, turn, offer)
    offer = OfferedTools() if about else offer
    cites = found is not None and is_small(turn.model) and not offer.tools
    options = about or (citing_options([each["number"] for each in found or ()]) if cites else {})
    citable = None if found is None else as_citations(found)
    runtime.stream_writer({"found": citable, "memory_used": known.facts})
    for event in turn.knowledge.new_notices(known, rules_tokens(known, turn)) if turn.knowledge is not None else ():
        runtime.stream_writer(event)
    sent = state if about else with_passages(state, turn, reserved=offer.tokens)
    fitted, update = await _fit(sent, turn, offer)
    if fitted.trimmed and turn.auto_compact:
        update |= await _compact({**state, **update}, turn, runtime)
        fitted = fit_context({**sent, **update}, turn, reserved=offer.tokens)
    _report(fitted, state, runtime)
    if turn.model.keeps_conversation:
        update |= _report_unsent(state, runtime)
    try:
        answer = await _ask(fitted, runtime, offer, options)
    except CutAnswerError:
        raise  # the part that was shown can't be taken back
    except RefusedError as error:
        if isinstance(error, ContextError):
            sent = with_passages(state, turn, reserved=offer.tokens, limit=FEWER_PASSAGES)
        fitted, left_out = _fit_less(fitted, {**sent, **update}, turn, offer, error)
        update |= left_out
        _report(fitted, state, runtime)
        answer = await _ask(fitted, runtime, offer, options)
    if "refused" in update:
        notice = "the unanswered questions before this one are no longer sent: the model refused the request with them"
        runtime.stream_writer(Notice(notice))
    if answer.usage_metadata is not None and fitted.tokens >= LEAST_TO_LEARN_FROM:
        turn.counter.learn(fitted.messages, answer.usage_metadata["input_tokens"] - offer.tokens)
    if fitted.trimmed:
        update["trimming_told"] = True
    answer = _with_notes(name_calls(answer, state["messages"]), state, turn, known)
    # In a thread: what a call would change is read, perhaps from an editor.
    reviewed = await asyncio.to_thread(review_calls, answer, state, turn, offer.tools, notify(runtime))
    return {**update, **reviewed}


def _about(state: ChatState, turn: TurnContext, offer: OfferedTools) -> dict[str, Any]:
    # The local server takes a grammar only without tools.
    if turn.model.about is None or turn.schema is not None:
        return {}
    from chatcli.graphs.chat.about_model import about_options  # late: only a local model needs it

    return about_options(state, turn.model, tools=bool(offer.tools))


async def with_known(state: ChatState, turn: TurnContext, *, ahead: bool = False) -> tuple[TurnContext, PromptContext]:
    """Return `turn` with what is known beside the conversation, as it is now, and that itself.

    What is read `ahead` is also what the first request of the question gets.
    """
    messages = state.get("messages", [])
    if turn.knowledge is None or turn.model.keeps_conversation:  # the server has a prompt and a memory of its own
        return turn, PromptContext()
    question = str(messages[newest_turn(messages)].text) if messages else ""
    read = turn.knowledge.read_ahead if ahead else turn.knowledge.read
    known = await asyncio.to_thread(read, question, request_limit(turn))
    return replace(turn, known=known.text), known


def rules_tokens(known: PromptContext, turn: TurnContext) -> int:
    """Return about how many tokens the instructions of `known` take."""
    return turn.counter.count([SystemMessage(known.rules)]) if known.rules else 0


def _with_notes(answer: AIMessage, state: ChatState, turn: TurnContext, known: PromptContext) -> AIMessage:
    """Return `answer` with a note of what it cites, who was asked, and what was used on the way: its price."""
    noted = cited_metadata(str(answer.text), state)
    noted |= note_request(str(turn.model.name), own_server=turn.model.custom_server, also=turn.spent)
    if known.rules:  # the files of a project's instructions, with their digests
        noted[INSTRUCTIONS] = known.sources
    turn.spent.clear()
    return answer.model_copy(update={"response_metadata": {**answer.response_metadata, **noted}})


async def _compact(state: ChatState, turn: TurnContext, runtime: Runtime[TurnContext]) -> ChatState:
    """Return the update that summarises the oldest turns; if the model refuses, they are left out instead."""
    try:
        update = await compact_state(state, turn)
    except RefusedError as error:
        runtime.stream_writer(Notice(f"the oldest messages are left out, since no summary was made: {error}"))
        return ChatState()
    runtime.stream_writer(Notice("the oldest messages are now sent as a summary; see /context"))
    return update


async def _fit(state: ChatState, turn: TurnContext, offer: OfferedTools) -> tuple[FittedContext, ChatState]:
    """Return the context to send, and the update that leaves out unanswered questions if it is too large with them."""
    await count_exactly(state, turn, reserved=offer.tokens)
    try:
        return fit_context(state, turn, reserved=offer.tokens), ChatState()
    except ContextError:
        if not (update := leave_out_unanswered(state)):
            raise
    return fit_context({**state, **update}, turn, reserved=offer.tokens), update


def _fit_less(
    refused: FittedContext, state: ChatState, turn: TurnContext, offer: OfferedTools, error: RefusedError
) -> tuple[FittedContext, ChatState]:
    """Return the context to try after `refused`, and its update; raise `error` if nothing can be left out."""
    update = leave_out_unanswered(state)
    tighter = int(refused.tokens * TIGHTER) if isinstance(error, ContextError) else None
    smaller = fit_context({**state, **update}, turn, tighter=tighter, reserved=offer.tokens)
    if smaller.tokens >= refused.tokens:
        raise error
    return smaller, update


def _report_unsent(state: ChatState, runtime: Runtime[TurnContext]) -> ChatState:
    """Report once what a server that keeps the conversation does not get; return the update to remember that."""
    name = runtime.context.model.name
    if not heard_before(state["messages"], name.provider):
        runtime.stream_writer(Notice(f"{name} does not know the earlier messages: only the question is sent"))
    if not (state.get("system") or state.get("template")) or state.get("prompt_told"):
        return ChatState()
    runtime.stream_writer(Notice(f"{name} has its own prompt: the system prompt is not sent"))
    return ChatState(prompt_told=True)


async def _ask(
    context: FittedContext,
    runtime: Runtime[TurnContext],
    offer: OfferedTools,
    options: dict[str, Any],
) -> AIMessage:
    """Return the answer to `context`; `options` are those of a request without a schema."""
    model, schema = runtime.context.model, runtime.context.schema
    # With a schema, an answer is not shown before it is known to be valid.
    config = RunnableConfig(tags=[TAG_NOSTREAM]) if schema is not None else None
    own: dict[str, Any] = {}

    async def ask(messages: Sequence[BaseMessage], options: dict[str, Any]) -> AIMessage:
        answer = await receive(
            lambda: client.astream(list(messages), config, **own, **options),
            model,
            seconds=runtime.context.timeout,
            report=lambda text: runtime.stream_writer(Notice(text, passing=True)),
        )
        refuse_unfinished(answer, model)
        return answer

    try:
        client = offer.client(model)
        if model.keeps_conversation and runtime.context.session_name is not None:
            own["session_id"] = await runtime.context.session_name()
        sent = context.messages
        return await (ask(sent, options) if schema is None else ask_structured(ask, sent, schema, model))
    except Exception as error:
        raise translate(error, model) from error


def _report(fitted: FittedContext, state: ChatState, runtime: Runtime[TurnContext]) -> None:
    runtime.stream_writer(
        {
            "messages_in_context": len(fitted.messages),
            # The message of the answer is added to those in the thread.
            "messages_in_thread": len(state["messages"]) + 1,
            "context_tokens": fitted.tokens,
            "context_budget": fitted.budget,
        }
    )
    if fitted.trimmed and not state.get("trimming_told"):
        count = len(fitted.left_out)
        runtime.stream_writer(
            Notice(
                f"the {count} oldest messages are no longer sent: the budget is about {fitted.budget} tokens."
                " See /context; /compact replaces them with a summary"
            )
        )


def leave_out_unanswered(state: ChatState) -> ChatState:
    """Return the update that stops sending the unanswered questions right before the newest one; empty for none."""
    refused = list(state.get("refused", ()))
    known = len(refused)
    for message in reversed(state["messages"][: newest_turn(state["messages"])]):
        if not isinstance(message, HumanMessage):
            break
        if message.id is not None and message.id not in refused:
            refused.append(message.id)
    return ChatState(refused=refused) if len(refused) > known else ChatState()
