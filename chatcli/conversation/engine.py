"""The engine behind a conversation: its interface, how it is opened, and what the engines share."""

import asyncio
import logging
import warnings
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from chatcli.attachments.attachment import Attachment
from chatcli.events import Notice, Progress
from chatcli.models.names import ModelName
from chatcli.runtime.deferred_packages import resume_collections
from chatcli.runtime.exits import exits_contained
from chatcli.store.threads import Threads, find_thread

if TYPE_CHECKING:
    from chatcli.models.model import Model
    from chatcli.roles import Setup
    from chatcli.sessions.session import Session
    from chatcli.store.open import Store
    from chatcli.transfer.document import ThreadDocument


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """How a thread is opened: the first one of the program takes the command line's options."""

    is_first_thread: bool
    chosen_model: ModelName | None
    """The model that the user has chosen since the program began."""
    current_model: ModelName
    """The model that answered last."""


class Engine(Protocol):
    """What runs turns: a graph, and the store that its threads are in.

    There is one for the plain chat, one for a user graph and one for a LangGraph server. What can't be used (the store,
    the model, the app) raises a `ChatcliError`.
    """

    @property
    def threads(self) -> Threads:
        """The threads of the store."""

    async def session(self, thread_id: str, request: SessionRequest) -> "Session":
        """Return a hold on the thread `thread_id`, which need not exist."""

    async def model(self, name: ModelName, temperature: float | None = None) -> "Model":
        """Return the model `name`, built once; `temperature` is for where the user chose none."""

    async def setup(self, thread_id: str) -> "Setup | None":
        """Return how the thread `thread_id` is answered, None where nothing is stored of it."""

    async def store_unsent_question(
        self, thread_id: str, request: SessionRequest, text: str, attachments: Sequence[Attachment]
    ) -> None:
        """Store the question `text`, for which no turn was started."""

    async def document(self, thread_id: str) -> "ThreadDocument":
        """Return all that is stored of the thread `thread_id`."""

    async def close(self) -> None:
        """Close the store and what the models hold."""


Announce = Callable[[Progress | Notice], None]
"""Takes progress and notices, from any thread."""
OpenEngine = Callable[[Announce], Awaitable[Engine]]
"""Opens the engine, which reports what happens meanwhile."""


class LazyEngine:
    """An engine that is opened when it is first needed, at most once at a time; after a failure, it is tried again."""

    # What it reports goes to `announce`, in the loop's thread.
    def __init__(self, open_engine: OpenEngine, announce: Announce) -> None:
        self._open_engine = open_engine
        self._announce = announce
        self._opening: asyncio.Task[Engine] | None = None

    @property
    def is_opening(self) -> bool:
        """Whether the engine is being opened just now."""
        return self._opening is not None and not self._opening.done()

    @property
    def is_open(self) -> bool:
        """Whether the engine is open."""
        opened = self._opening
        return opened is not None and opened.done() and not opened.cancelled() and opened.exception() is None

    async def get(self) -> Engine:
        """Return the open engine."""
        if self._opening is None or (self._opening.done() and not self.is_open):
            self._opening = asyncio.create_task(self._open(asyncio.get_running_loop()))
        # Shielded: a turn that is stopped while the engine opens must not stop the opening for the next one.
        return await asyncio.shield(self._opening)

    async def close(self) -> None:
        """Close the engine if it is open, and stop opening it otherwise."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
            if self.is_open:
                await self._opening.result().close()

    async def _open(self, loop: asyncio.AbstractEventLoop) -> Engine:
        def announce_soon(event: Progress | Notice) -> None:
            if not loop.is_closed():  # otherwise the report comes too late, and nobody needs it
                loop.call_soon_threadsafe(self._announce, event)

        with exits_contained():
            engine = await self._open_engine(announce_soon)
        resume_collections()  # by now all that is large is imported
        return engine


@dataclass(eq=False)
class LocalEngine:
    """The base of the engines whose graph runs in this process, on an open store; the resources are closed with it."""

    _store: "Store"
    _resources: AsyncExitStack

    @property
    def threads(self) -> Threads:
        """The threads of the store."""
        return self._store.threads

    async def document(self, thread_id: str) -> "ThreadDocument":
        """Return all that is stored of the thread `thread_id`."""
        from chatcli.transfer.store_documents import read_document

        summary = await asyncio.to_thread(find_thread, self.threads, thread_id)
        return await read_document(self._store, summary)

    async def close(self) -> None:
        """Close the store and what the graph holds."""
        with exits_contained():
            await self._resources.aclose()


async def import_engine(module: str, *, quiet: bool) -> None:
    """Import the engine in `module`, off the loop's thread so that typing goes on; `quiet` silences library logs."""
    if quiet:  # chatcli reports the errors behind the libraries' own warnings itself
        logging.getLogger().addHandler(logging.NullHandler())  # without a handler, logging writes to stderr
        # A server's chunk has fields of other types than OpenAI's; this does no harm.
        warnings.filterwarnings("ignore", "Pydantic serializer warnings", UserWarning)
        # A provider's client has a flaw that the user can't mend: Gemini's never awaits a coroutine after a 5xx.
        warnings.filterwarnings("ignore", category=RuntimeWarning)
    await asyncio.to_thread(import_module, f"{__package__}.{module}")
