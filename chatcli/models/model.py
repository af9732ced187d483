"""A model that can be asked, with what a turn must know of it."""

import os
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel

from chatcli.config.secrets import Secret, redact, secrets_of
from chatcli.models.names import ModelName
from chatcli.models.tokenizer import Tokenizer
from chatcli.providers import LOCAL, OPENAI


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a model takes, in tokens; None where it is not known.

    `window` holds the request and the answer together, `answer` is the room kept for the answer, and `history` is
    what is worth sending of a long thread although more would fit.
    """

    window: int | None = None
    answer: int = 0
    history: int | None = None

    @property
    def request(self) -> int | None:
        """The largest request that leaves room for the answer."""
        return None if self.window is None else max(self.window - self.answer, 1)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who is asked: a model's name, its server's address, and the key that is sent, if any."""

    name: ModelName
    address: str = ""
    key: Secret | None = None
    base_url: str = ""
    """The address, where the user named it."""

    def redact(self, text: str) -> str:
        """Return `text` without the key, or what else the environment holds of that kind: some servers repeat it."""
        return redact(text, [*([self.key] if self.key else []), *secrets_of(os.environ)])


@dataclass(frozen=True, slots=True)
class Model:
    """A chat model and its facts."""

    name: ModelName
    client: BaseChatModel
    limits: Limits
    default_system: str = ""
    """Sent where the thread has no system prompt of its own."""
    address: str = ""
    """The server's address, for error messages."""
    key: Secret | None = None
    """The key that is sent, to be struck out of what servers say."""
    custom_server: bool = False
    """Whether the user named the server: list prices don't hold there."""
    base_url: str = ""
    """The server that the user named, as a thread remembers it: without a password; empty for the provider's own."""
    tokenizer: Tokenizer | None = None
    """Its own, if that is at hand."""
    keeps_conversation: bool = False
    """Whether its server keeps the conversation itself, so that only the newest question is sent."""

    @property
    def maker(self) -> str:
        """What langchain writes into the metadata of this model's answers as `model_provider`."""
        return OPENAI if self.name.provider == LOCAL else self.name.provider

    @property
    def endpoint(self) -> Endpoint:
        """Who is asked, for error messages."""
        return Endpoint(self.name, self.address, self.key, self.base_url)
