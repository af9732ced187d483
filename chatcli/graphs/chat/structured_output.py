"""An answer that follows a JSON Schema: the model's own structured output, and a second try where it fails."""

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import openai
from langchain_core.exceptions import ModelInvalidRequestError
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.ai import add_usage
from langchain_core.runnables import RunnableBinding, RunnableSequence

from chatcli.config.providers import OPENAI
from chatcli.errors import RefusedError
from chatcli.models import sdk_errors
from chatcli.models.model import Model
from chatcli.sessions.message_calls import finish_reason

if TYPE_CHECKING:
    from chatcli.graphs.chat.answer_schema import AnswerSchema

_FENCE = re.compile(r"^```\w*\n(.*?)\n?```$", re.DOTALL)

Ask = Callable[[Sequence[BaseMessage], dict[str, Any]], Awaitable[AIMessage]]
"""Sends messages with options of the request, and returns the model's answer."""


async def ask_structured(ask: Ask, messages: list[BaseMessage], schema: "AnswerSchema", model: Model) -> AIMessage:
    """Return an answer whose text is JSON that validates against `schema`."""
    # The schema is sent by the provider's own option if there is one, else as a part of the question. An answer that
    # does not validate is sent back once, with the reason; RefusedError if the second does not either.
    options = _options(schema, model)
    sent = messages if options else _instructed(messages, schema)
    try:
        answer = await _ask_bare(ask, sent, options, model)
    except Exception as error:
        if not options or not _is_about_format(error):
            raise
        # Not every server has the option, and none accepts every schema.
        options, sent = {}, _instructed(messages, schema)
        answer = await _ask_bare(ask, sent, options, model)
    if (problem := schema.problem(answer.text)) is None:
        return answer
    correction = HumanMessage(f"That answer does not follow the JSON Schema: {problem}. Answer again, with JSON only.")
    second = await _ask_bare(ask, [*sent, answer, correction], options, model)
    if (problem := schema.problem(second.text)) is not None:
        raise RefusedError(f"the answer of {model.name} does not follow the schema: {problem}")
    usage = add_usage(answer.usage_metadata, second.usage_metadata)
    return second.model_copy(update={"usage_metadata": usage})


def _options(schema: "AnswerSchema", model: Model) -> dict[str, Any]:
    """Return the options of the request that hold the schema; none if the provider is not known to have them."""
    known = (model.client.profile or {}).get("structured_output")
    if model.maker != OPENAI:
        return _own_options(schema, model.client) if known else {}
    if known is False:
        return {}
    described = {"name": schema.name, "schema": schema.schema, "strict": _suits_strict(schema.schema)}
    return {"response_format": {"type": "json_schema", "json_schema": described}}


def _own_options(schema: "AnswerSchema", client: BaseChatModel) -> dict[str, Any]:
    """Return the options of the provider's own `with_structured_output`, so that the answer still streams as text."""
    try:
        chain = client.with_structured_output({**schema.schema, "title": schema.name}, method="json_schema")
    except (ValueError, TypeError, KeyError, NotImplementedError):  # the client does not support the schema
        return {}
    bound = chain.first if isinstance(chain, RunnableSequence) else None
    # Some clients make a tool of the schema instead, or use another client.
    if not isinstance(bound, RunnableBinding) or bound.bound is not client or "tools" in bound.kwargs:
        return {}
    return dict(bound.kwargs)


def _suits_strict(schema: Any) -> bool:
    """Return whether OpenAI's strict mode takes `schema`: closed objects, whose every property is required."""
    # https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    if isinstance(schema, list):
        return all(map(_suits_strict, schema))
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if isinstance(properties, dict) or schema.get("type") == "object":
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(properties or ()):
            return False
    return all(map(_suits_strict, schema.values()))


def _instructed(messages: list[BaseMessage], schema: "AnswerSchema") -> list[BaseMessage]:
    instruction = (
        "\n\nAnswer with one JSON value and nothing else, no Markdown fence. It must follow this JSON Schema:\n"
        f"{json.dumps(schema.schema)}"
    )
    question = messages[-1]
    content = question.content
    asked = content + instruction if isinstance(content, str) else [*content, {"type": "text", "text": instruction}]
    return [*messages[:-1], question.model_copy(update={"content": asked})]


async def _ask_bare(ask: Ask, messages: list[BaseMessage], options: dict[str, Any], model: Model) -> AIMessage:
    """Return the answer without a Markdown fence; refuse one that was cut short: its JSON is incomplete."""
    try:
        answer = await ask(messages, options)
    except (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError) as error:
        raise _cut_short(model) from error
    if finish_reason(answer) in ("length", "content_filter"):
        raise _cut_short(model)
    text = answer.text.strip()
    fenced = _FENCE.match(text)
    return answer.model_copy(update={"content": fenced.group(1).strip() if fenced else text})


def _cut_short(model: Model) -> RefusedError:
    return RefusedError(
        f"the answer of {model.name} was cut short, and does not follow the schema",
        remedy="Allow a longer answer with --max-tokens, or ask for less.",
    )


def _is_about_format(error: Exception) -> bool:
    if not isinstance(error, ModelInvalidRequestError) and sdk_errors.status(error) not in (400, 422):
        return False
    text = f"{error} {sdk_errors.body(error)}".lower()
    return any(word in text for word in ("response_format", "json_schema", "grammar", "schema", "output_config"))
