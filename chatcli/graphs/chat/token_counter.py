"""The number of tokens in a message, counted by the model's own tokenizer or approximated."""

# Only a tokenizer on this machine is used. The other exact counters cost too much for every turn: OpenAI's downloads
# its tables, Anthropic's and Google's are separate requests. For those models the number is an approximation, which the
# provider's own count corrects.

from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.messages.utils import count_tokens_approximately

from chatcli.models.model import Tokenizer
from chatcli.sessions.message_calls import calls_of

TOKENS_A_PAGE = 1500
"""The tokens of a PDF page: its text, and its picture, which providers add."""

SAFETY_MARGIN = 1.1
"""The approximation is 4 characters a token; code and CJK take more tokens."""
MAX_CORRECTION = 4.0
"""CJK text takes about a token a character."""
_PER_MESSAGE = 5
"""The tokens that the approximation adds for each message and its role; joining messages removes them."""

_Key = tuple[str, int]


class TokenCounter:
    """Counts each message once; `tokenizer` is the model's own, if it is on this machine."""

    def __init__(self, tokenizer: Tokenizer | None = None) -> None:
        self._tokenizer = tokenizer
        self._exact: dict[_Key, int] = {}
        self._approximate: dict[_Key, float] = {}
        self._correction = 1.0

    def count(self, messages: Sequence[BaseMessage]) -> int:
        """Return the approximate number of tokens in `messages`, rather too high than too low."""
        return int(sum(map(self._one, messages))) + (self._tokenizer.per_request if self._tokenizer else 0)

    def reach(self, messages: Sequence[BaseMessage], tokens: int) -> int:
        """Return the index of the newest message such that the texts from it on take more than `tokens`; 0 for none."""
        room, overhead = float(tokens), _PER_MESSAGE * SAFETY_MARGIN * self._correction
        for index in range(len(messages) - 1, -1, -1):
            room -= max(self._one(messages[index]) - overhead, 0)
            if room < 0:
                return index
        return 0

    async def look_up(self, messages: Sequence[BaseMessage], budget: int) -> None:
        """Let the tokenizer count new `messages`, if their exact number matters for `budget`."""
        # It does not if even the highest estimate is within the budget, or the lowest one beyond it. Messages that the
        # tokenizer can't count keep their approximation.
        if self._tokenizer is None:
            return
        about = sum(map(self._approximation, messages))
        if about * MAX_CORRECTION <= budget or about > budget * MAX_CORRECTION:
            return
        new = [message for message in messages if _is_text(message) and _key(message) not in self._exact]
        counts = await self._tokenizer.count([str(message.text) for message in new]) if new else None
        if counts is not None:
            overhead = self._tokenizer.per_message
            self._exact |= {_key(message): count + overhead for message, count in zip(new, counts, strict=True)}

    def learn(self, messages: Sequence[BaseMessage], counted: int) -> None:
        """Correct the approximation by the `counted` tokens that a provider found in `messages`; 0 means unknown."""
        # Only an approximation that was too low is corrected: one that is too high costs little, one that is too low
        # leads to a refusal.
        exact = sum(self._exact.get(_key(message), 0) for message in messages) if self._exact else 0
        if about := (sum(map(self._one, messages)) - exact) / self._correction:
            self._correction = min(max(self._correction, (counted - exact) / about), MAX_CORRECTION)

    def _one(self, message: BaseMessage) -> float:
        if (exact := self._exact.get(_key(message))) is not None:
            return exact
        return self._approximation(message) * self._correction

    def _approximation(self, message: BaseMessage) -> float:
        key = _key(message)
        if key not in self._approximate:
            self._approximate[key] = count_tokens_approximately([_countable(message)]) * SAFETY_MARGIN
        return self._approximate[key]


def _key(message: BaseMessage) -> _Key:
    """Return a key for `message`: its ID and its length, since a joined message has the ID of its first part."""
    return message.id or str(message.text), len(message.content)  # the system prompt has no ID


def _is_text(message: BaseMessage) -> bool:
    """Return whether nothing but the text of `message` is sent, so that a tokenizer of text can count it."""
    if isinstance(message, ToolMessage) or (isinstance(message, AIMessage) and calls_of(message)):
        return False
    return all(isinstance(block, str) or block.get("type") == "text" for block in message.content)


def _countable(message: BaseMessage) -> BaseMessage:
    """Return `message` with each PDF in it replaced by text of an equivalent size."""
    # langchain's counter would count the base64 data of a file as words.
    if not isinstance(message.content, list):
        return message
    blocks = [
        {"type": "text", "text": " " * (4 * TOKENS_A_PAGE * block.get("extras", {}).get("pages", 1))}
        if isinstance(block, dict) and block["type"] == "file"
        else block
        for block in message.content
    ]
    return message.model_copy(update={"content": blocks})
