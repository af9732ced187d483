"""How many tokens a message takes: an approximation, corrected by what the provider says that it counted.

The exact counters cost too much for every turn: OpenAI's fetches its tables from the network, Anthropic's is a request
of its own.
"""

from collections.abc import Sequence

from langchain_core.messages import BaseMessage
from langchain_core.messages.utils import count_tokens_approximately

from chatcli.graph.question import countable

SAFETY_MARGIN = 1.1
"""The approximation is 4 characters a token; code and CJK take more tokens than it says."""
MAX_CORRECTION = 4.0
"""CJK text takes about a token a character."""
_PER_MESSAGE = 5
"""What the approximation adds to a text for its message and its role, in tokens; joining messages takes it away."""


class TokenCounter:
    """Counts each message once."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], int] = {}
        self._correction = 1.0

    def count(self, messages: Sequence[BaseMessage]) -> int:
        """Return about how many tokens `messages` take, rather too many than too few."""
        return int(sum(map(self._one, messages)) * SAFETY_MARGIN * self._correction)

    def reach(self, messages: Sequence[BaseMessage], tokens: int) -> int:
        """Return the index of the newest message from which on the texts take more than `tokens`; 0 for none."""
        room = tokens / (SAFETY_MARGIN * self._correction)
        for index in range(len(messages) - 1, -1, -1):
            room -= max(self._one(messages[index]) - _PER_MESSAGE, 0)
            if room < 0:
                return index
        return 0

    def learn(self, messages: Sequence[BaseMessage], counted: int) -> None:
        """Take from a provider that it counted `counted` tokens in `messages`; 0 says nothing.

        Only an approximation that was too low is corrected: too low a budget costs little, too high a refusal.
        """
        approximate = self.count(messages) / self._correction
        if approximate:
            self._correction = min(max(self._correction, counted / approximate), MAX_CORRECTION)

    def _one(self, message: BaseMessage) -> int:
        if message.id is None:  # the system prompt
            return count_tokens_approximately(countable([message]))
        # The length, since a message that joins two has the ID of the first.
        key = message.id, len(message.content)
        if key not in self._counts:
            self._counts[key] = count_tokens_approximately(countable([message]))
        return self._counts[key]
