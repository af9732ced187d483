"""A model's own tokenizer, where it is at hand."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """Counts texts as the model will, in a few milliseconds and without asking a provider.

    `count` returns the tokens of each text, or None when the tokenizer can't be asked now. `per_message` and
    `per_request` are what the model's prompt format adds to each message and to the whole, in tokens.
    """

    count: Callable[[Sequence[str]], Awaitable[list[int] | None]]
    per_message: int
    per_request: int
