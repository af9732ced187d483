"""Why an answer ended, in one vocabulary for every provider: OpenAI's."""

from langchain_core.messages import AIMessage

from chatcli.errors import CutAnswerError, RefusedError
from chatcli.models.errors import BrokenAnswerError
from chatcli.models.model import Model

_KEYS = ("finish_reason", "status", "stop_reason", "done_reason", "stopReason")
_WORDS = {
    "completed": "stop",
    "complete": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "incomplete": "length",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "safety": "content_filter",
    "refusal": "content_filter",
    "guardrail_intervened": "content_filter",
}


def finish_reason(message: AIMessage) -> str:
    """Return why the model stopped: stop, length, tool_calls, content_filter or its own word; empty if it did not say.

    A server that breaks off says nothing, so an empty reason means that the answer is not whole.
    """
    for key in _KEYS:
        if reason := message.response_metadata.get(key):
            word = str(reason).lower()
            return _WORDS.get(word, word)
    return ""


def refuse_unfinished(answer: AIMessage, model: Model) -> None:
    """Raise what became of an `answer` of `model` that did not come to its end.

    Raises:
        BrokenAnswerError: The server broke off.
        RefusedError: The model refused to answer, or the content filter stopped it; `CutAnswerError` where a part of
            the answer has come.

    """
    if not answer.text and (refusal := _refusal(answer)):
        raise RefusedError(f"{model.name} refused to answer: {refusal}", remedy="Put it another way.")
    if not (reason := finish_reason(answer)):
        raise BrokenAnswerError
    if reason == "content_filter":
        failure = CutAnswerError if answer.text else RefusedError
        raise failure(f"{model.name} stopped the answer by its content filter", remedy="Put it another way.")


def _refusal(answer: AIMessage) -> str:
    """Return the words of OpenAI's models where they refuse to answer, empty where they do not."""
    blocks = answer.content if isinstance(answer.content, list) else []
    said = [answer.additional_kwargs.get("refusal"), *(block.get("refusal") for block in blocks if type(block) is dict)]
    return " ".join(" ".join(filter(None, said)).split())
