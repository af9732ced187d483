"""Why an answer ended, in one vocabulary for every provider: OpenAI's."""

from langchain_core.messages import AIMessage

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
