"""A model that can be asked: its limits, its tokenizer, and the kinds of files that it takes."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, NamedTuple, Self

from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import agenerate_from_stream
from langchain_core.outputs import ChatResult

from chatcli.config.providers import LMSTUDIO, LOCAL, OPENAI, PROVIDERS
from chatcli.config.secrets import Secret, redact, secrets_of
from chatcli.config.settings import KEPT_ALIVE_SECONDS
from chatcli.errors import RefusedError
from chatcli.models.names import ModelName

ANSWER_ROOM = 16_000
"""Tokens kept for the answer if the user sets no --max-tokens."""

FileKind = Literal["image", "pdf"]

_TAKING_FILES = ("openai:gpt-5-mini", "openai:gpt-5", "openai:gpt-4.1-mini", "openai:gpt-4o")
"""Examples to name in a refusal; a test looks them up in langchain's table."""


class StreamedModel(BaseChatModel):
    """A chat model that answers by `_astream` alone, which a subclass has."""

    @property
    def _llm_type(self) -> str:
        return "streamed"

    # None of these takes a run manager: langchain itself reports each chunk of a stream to who listens.
    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return asyncio.run(self._agenerate(*args, **kwargs))

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return await agenerate_from_stream(self._astream(*args, **kwargs))


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a model takes, in tokens; None if it is not known."""

    # `window` holds the request and the answer together, `answer` is the room kept for the answer, and `history` is how
    # much of a long thread is worth sending although more would fit.
    window: int | None = None
    answer: int = 0
    history: int | None = None

    @classmethod
    def of_window(cls, window: int | None, max_tokens: int | None, most: int = ANSWER_ROOM) -> Self:
        """Return the limits of a `window`, with room for `max_tokens`, or else for a quarter of it, at `most`."""
        return cls() if window is None else cls(window, max_tokens or min(most, window // 4))

    @property
    def request(self) -> int | None:
        """The largest request that leaves room for the answer."""
        return None if self.window is None else max(self.window - self.answer, 1)


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """Counts texts as the model does, in a few milliseconds and without a request to a provider."""

    # `count` returns the tokens of each text, or None if the tokenizer can't be used now. `per_message` and
    # `per_request` are the tokens that the model's prompt format adds to each message and to the whole request.
    count: Callable[[Sequence[str]], Awaitable[list[int] | None]]
    per_message: int
    per_request: int


_CHARACTERS_A_TOKEN = 3.6
"""Of ASCII: cautious for English."""


async def _count_cautiously(texts: Sequence[str]) -> list[int]:
    foreign = [sum(not character.isascii() for character in text) for text in texts]
    return [many + round((len(text) - many) / _CHARACTERS_A_TOKEN) for many, text in zip(foreign, texts, strict=True)]


CAUTIOUS_TOKENIZER = Tokenizer(_count_cautiously, per_message=6, per_request=0)
"""For a server that cuts silently and does not count. Outside ASCII, a character counts as a token."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go: a model's name, its server's address, and the key that is sent, if any."""

    name: ModelName
    _: KW_ONLY
    address: str = ""
    """The server's address, for error messages."""
    key: Secret | None = None
    """The key that is sent, to be removed from what servers answer."""
    base_url: str = ""
    """The server that the user named, as a thread remembers it: without a password; empty for the provider's own."""

    def redact(self, text: str) -> str:
        """Return `text` without the key and the secrets of the environment: some servers repeat them."""
        return redact(text, [*([self.key] if self.key else []), *secrets_of(os.environ)])


class About(NamedTuple):
    """A model's name, and who made it if that is known."""

    title: str
    maker: str


@dataclass(frozen=True, slots=True)
class Model(Endpoint):
    """A chat model and its facts."""

    client: BaseChatModel
    limits: Limits
    default_system: str = ""
    """Sent if the thread has no system prompt."""
    about: About | None = None
    """What it says that it is, if it runs on this machine."""
    custom_server: bool = False
    """Whether the user named the server: list prices don't apply there."""
    tokenizer: Tokenizer | None = None
    """The model's tokenizer, if it can be used without a download."""
    silence: float = KEPT_ALIVE_SECONDS
    """Seconds within which its server must bring something new, however it keeps the connection alive."""
    max_tokens: int | None = None
    """The limit of the answer that the user set."""
    keeps_conversation: bool = False
    """Whether its server keeps the conversation, so that only the newest question is sent."""
    close: Callable[[], Awaitable[None]] | None = None
    """Closes the connections of its client, if they are ours: langchain's clients share theirs, or hide them."""

    @property
    def maker(self) -> str:
        """What langchain writes into the metadata of this model's answers as `model_provider`."""
        of_openai = self.name.provider in (LMSTUDIO, LOCAL) or PROVIDERS[self.name.provider].takes_openai
        return OPENAI if of_openai else self.name.provider


def takes(model: Model, kind: FileKind) -> bool | None:
    """Return whether `model` takes files of `kind`, by langchain's table of models; None if it is not known."""
    if model.name.provider == LOCAL:
        return False
    known = (model.client.profile or {}).get("image_inputs" if kind == "image" else "pdf_inputs")
    return None if known is None else bool(known)


def refuse_file(model: Model, name: str, kind: FileKind) -> RefusedError:
    """Return the refusal of the file `name`; its remedy names models that take it."""
    kinds = "images" if kind == "image" else "PDF files"
    return RefusedError(
        f"{model.name} takes no {kinds}, so {name} can't be sent",
        remedy=f"Choose a model that does with -m: {', '.join(_TAKING_FILES)}.",
    )
