"""What a conversation asks of the engine behind it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from chatcli.attachments.attachment import Attachment
from chatcli.events import Notice, Progress
from chatcli.models.names import ModelName

if TYPE_CHECKING:
    from chatcli.models.model import Model
    from chatcli.roles.setup import Setup
    from chatcli.sessions.session import Session
    from chatcli.store.threads import Threads
    from chatcli.transfer.document import ThreadDocument


@dataclass(frozen=True, slots=True)
class Opening:
    """How a thread is opened: `first` for the one that the program begins on, which takes the command line's options.

    `chosen` is the model that the user has chosen since, and `current` the one that answered last.
    """

    first: bool
    chosen: ModelName | None
    current: ModelName


class Engine(Protocol):
    """What runs turns: a graph, and the store that its threads are in.

    The plain chat, a graph of the user's and a server each have one (`chatcli.engines`).
    """

    @property
    def threads(self) -> "Threads":
        """The threads of the store."""

    async def session(self, thread_id: str, opening: Opening) -> "Session":
        """Return a hold on the thread `thread_id`, which need not exist.

        Raises:
            ChatcliError: The store can't be read, or who is to answer can't be asked.

        """

    async def model(self, name: ModelName, temperature: float | None = None) -> "Model":
        """Return the model `name`, built once; `temperature` is for where the user chose none.

        Raises:
            ChatcliError: It has no key, is not installed, or this engine's models are not the user's to choose.

        """

    async def setup(self, thread_id: str) -> "Setup | None":
        """Return how the thread `thread_id` is answered, None where nothing is stored of it.

        Raises:
            StoreError: The store can't be read.

        """

    async def keep_unasked(
        self, thread_id: str, opening: Opening, text: str, attachments: Sequence[Attachment]
    ) -> None:
        """Store the question `text`, which no turn was begun with; see `graph.unasked`.

        Raises:
            ChatcliError: The store can't be used.

        """

    async def document(self, thread_id: str) -> "ThreadDocument":
        """Return all that is stored of the thread `thread_id`.

        Raises:
            UsageError: Nothing is stored of it.
            StoreError: The store can't be read.

        """

    async def close(self) -> None:
        """Close the store and what the models hold."""


OpenEngine = Callable[[Callable[[Progress | Notice], None]], Awaitable[Engine]]
"""Opens the engine; what takes a while, or is to be told, is reported through the callback, from any thread."""
