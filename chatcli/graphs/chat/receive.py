"""Receiving an answer, with retries of temporary failures as long as nothing of the answer has arrived."""

import asyncio
import email.utils
import math
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence

from langchain_core.exceptions import ModelAPIError, ModelConnectionError, ModelRateLimitError
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.constants import TAG_NOSTREAM

from chatcli.config.providers import LOCAL
from chatcli.errors import CutAnswerError, NetworkError, RefusedError
from chatcli.graphs.chat.state import TurnContext
from chatcli.models import sdk_errors
from chatcli.models.errors import BrokenAnswerError, UnreadableAnswerError, is_unreadable, refuse_other_protocol
from chatcli.models.model import Model
from chatcli.sessions.message_calls import finish_reason, whole_answer
from chatcli.store.usage import Tokens, read_tokens
from chatcli.text import one_line

ATTEMPTS = 4
MOST_CHARACTERS = 32_000_000
"""The longest answer, pictures in it included."""
_LONGEST_TOKEN = 256
_ROOM = 64_000
"""Characters that an answer may have besides: reasoning, and names of calls."""
_LABELS = ("type", "index", "id", "role")
"""Keys of a chunk whose values are no part of an answer, and come with every chunk."""
_FIRST_PAUSE = 0.5
"""Seconds before the second attempt if the server names none; each further pause is twice as long."""
_MAX_PAUSE = 8.0


async def receive(
    ask: Callable[[], AsyncIterator[BaseMessage]],
    model: Model,
    *,
    seconds: float,
    report: Callable[[str], None] = lambda note: None,
) -> AIMessage:
    """Return the answer of `model` that streams from `ask`; retry while the server limits the rate or fails."""
    # `ask` is called up to ATTEMPTS times, but not again after text has arrived. The local model is not retried: its
    # transport restarts it. All attempts begin within `seconds`; a server that asks for a longer pause than the time
    # left ends them at once. `report` gets a note for the user before each pause.
    deadline = time.monotonic() + seconds
    for attempt in range(1, ATTEMPTS):
        chunks: list[AIMessageChunk] = []
        try:
            return await _receive_once(ask(), chunks, model)
        except Exception as error:
            begun = any(chunk.content for chunk in chunks)
            if attempt == 1 and not begun:
                await asyncio.to_thread(refuse_other_protocol, error, model)
            reason = _passing_reason(error)
            if reason is None or begun:
                raise
            wanted = retry_after(sdk_errors.header(error, "retry-after"))
            own = min(_FIRST_PAUSE * 2 ** (attempt - 1), _MAX_PAUSE)
            pause = own * random.uniform(0.75, 1) if wanted is None else wanted  # noqa: S311 - not a secret
            if model.name.provider == LOCAL or time.monotonic() + pause >= deadline:
                if wanted:
                    raise NetworkError(
                        f"{model.name} at {model.address}: {reason}, and it asks to wait {wanted:.0f} seconds",
                        remedy="Try again then, or allow more with --timeout.",
                    ) from error
                raise
            report(f"{model.name}: {reason}; asking again in {pause:.0f} s")
        await asyncio.sleep(pause)
    return await _receive_once(ask(), [], model)


async def receive_aside(request: Sequence[BaseMessage], turn: TurnContext, *, seconds: float) -> AIMessage:
    """Return the answer to a `request` that is no part of the thread; note what it used."""
    # Without this tag, LangGraph would stream it as the answer.
    config = RunnableConfig(tags=[TAG_NOSTREAM])
    answer = await receive(lambda: turn.model.client.astream(list(request), config), turn.model, seconds=seconds)
    turn.spent.append(read_tokens(answer.usage_metadata) or Tokens())
    return answer


async def _receive_once(stream: AsyncIterator[BaseMessage], chunks: list[AIMessageChunk], model: Model) -> AIMessage:
    """Return the complete answer of `stream`; `chunks` holds what has arrived, even after a failure."""
    # TimeoutError means that the server brought nothing for `model.silence` seconds: comments, pings, empty pieces and
    # statuses such as 102 bring nothing. CutAnswerError: it is longer than any of `model.max_tokens` tokens; no known
    # token has more than 128 characters. This is the only place where a client reads an answer, so an error without a
    # meaning of its own is caused by what the server sent.
    now, length, most = asyncio.get_running_loop().time, 0, MOST_CHARACTERS
    if model.max_tokens is not None:
        most = min(_ROOM + _LONGEST_TOKEN * model.max_tokens, MOST_CHARACTERS)
    async with asyncio.timeout(model.silence) as silence:
        try:
            async for message in stream:
                if isinstance(message, AIMessage) and not isinstance(message, AIMessageChunk):
                    return whole_answer(message)  # the model does not stream
                assert isinstance(message, AIMessageChunk)
                chunks.append(message)
                if brought := _length(message):
                    silence.reschedule(now() + model.silence)
                    length += brought
                    if length > most:
                        raise _endless(model, length)
            if not chunks:
                raise BrokenAnswerError
            return whole_answer(chunks[0] + chunks[1:])
        except Exception as error:
            begun = any(chunk.content for chunk in chunks)
            if begun and isinstance(error, ModelAPIError | ModelConnectionError | ConnectionError):
                raise BrokenAnswerError from error
            if is_unreadable(error, begun=begun):
                raise UnreadableAnswerError(begun=begun) from error
            raise


def _length(chunk: AIMessageChunk) -> int:
    """Return the characters that `chunk` brings: of text, reasoning and calls, and any other block of content."""
    if type(chunk.content) is str and chunk.content:
        return len(chunk.content)  # nearly always
    return _characters((chunk.content, chunk.additional_kwargs, chunk.tool_call_chunks))


def _characters(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(_characters(part) for name, part in value.items() if name not in _LABELS)
    return sum(map(_characters, value)) if isinstance(value, list | tuple) else 0


def _endless(model: Model, length: int) -> CutAnswerError:
    limit = "" if model.max_tokens is None else f", and the limit is {model.max_tokens} tokens (--max-tokens)"
    return CutAnswerError(
        f"{model.name} at {model.address} does not end its answer: {length:,} characters have come{limit}",
        remedy="Choose another server or model.",
    )


def retry_after(header: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, as a number or a date; None if it is neither."""
    if header is None:
        return None
    try:
        seconds = float(header)
        return max(seconds, 0.0) if math.isfinite(seconds) else None
    except ValueError:
        pass  # a date
    try:
        return max(email.utils.parsedate_to_datetime(header).timestamp() - time.time(), 0.0)
    except ValueError:
        return None


def _passing_reason(error: Exception) -> str | None:
    """Return why a retry may help, or None; not every client raises langchain's errors."""
    status = sdk_errors.status(error)
    final = sdk_errors.limit(error) is not None or sdk_errors.is_not_http(error) or sdk_errors.is_page(error)
    if final or sdk_errors.is_out_of_credit(error) or isinstance(error, BrokenAnswerError | UnreadableAnswerError):
        return None
    if isinstance(error, ModelRateLimitError) or status == 429:
        return "the rate limit is reached"
    if status == 408:
        return "the server gave up waiting for the request"
    if status == 409:
        return "the server is busy with another request"
    if isinstance(error, ModelAPIError) or (status is not None and status >= 500):
        return "the server failed"
    if isinstance(error, ModelConnectionError):
        return "the server can't be reached"
    away = status is None and not sdk_errors.is_any(error, sdk_errors.TIMEOUTS)
    if away and sdk_errors.is_any(error, sdk_errors.CONNECTIONS | sdk_errors.BREAKS):
        return "the server can't be reached"
    return None


def refuse_unfinished(answer: AIMessage, model: Model) -> None:
    """Raise BrokenAnswerError if the server broke off, RefusedError if the model or a filter stopped the answer."""
    if not answer.text and (refusal := _refusal(answer)):
        raise RefusedError(f"{model.name} refused to answer: {refusal}", remedy="Put it another way.")
    if not (reason := finish_reason(answer)):
        raise BrokenAnswerError
    if reason == "content_filter":
        failure = CutAnswerError if answer.text else RefusedError
        raise failure(f"{model.name} stopped the answer by its content filter", remedy="Put it another way.")


def _refusal(answer: AIMessage) -> str:
    """Return the refusal of an OpenAI model, empty if it did not refuse."""
    blocks = answer.content if isinstance(answer.content, list) else []
    refusals = [
        answer.additional_kwargs.get("refusal"),
        *(block.get("refusal") for block in blocks if type(block) is dict),
    ]
    return one_line(" ".join(filter(None, refusals)))
