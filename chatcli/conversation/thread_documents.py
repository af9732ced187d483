"""Which documents the answers of each thread are grounded on."""

from collections.abc import Callable, Iterable

from chatcli import events
from chatcli.conversation.compose import Composition


class ThreadDocuments:
    """The documents of each thread: those that its grants remember, and those of the settings.

    The documents that an option names are added to those of the first thread; new threads begin with them. What can't
    be stored is held here for the life of the process, and the user gets a notice by `announce`.
    """

    def __init__(self, composed: Composition, announce: Callable[[events.Event], None]) -> None:
        self._backend = composed.backend
        self._given = composed.documents
        self._adds_given = composed.settings.is_option("docs")
        self._announce = announce
        self._unstored: dict[str, tuple[str, ...]] = {}

    def of(self, thread_id: str) -> tuple[str, ...]:
        """Return the absolute paths and globs of the thread's documents."""
        remembered = self._unstored.get(thread_id, self._backend.grants(thread_id).documents)
        if remembered is None:
            return self._given
        return tuple(dict.fromkeys((*remembered, *(self._given if self._adds_given else ()))))

    def use(self, thread_id: str, sources: Iterable[str]) -> None:
        """Let the thread's documents be `sources`, absolute paths and globs, and remember that."""
        self._adds_given = False
        self._unstored.pop(thread_id, None)
        documents = tuple(dict.fromkeys(sources))
        try:
            if not self._backend.keeps_threads:
                self._unstored[thread_id] = documents
            else:
                self._backend.grants(thread_id).name("documents", list(documents))
        except OSError as error:
            self._unstored[thread_id] = documents
            problem = f"the thread's documents can't be remembered: {error.strerror or error}"
            self._announce(events.Notice(problem, "warning"))

    def remember(self, thread_id: str) -> None:
        """Remember the documents of the settings for a thread that a question is asked on."""
        if documents := self.of(thread_id):
            self.use(thread_id, documents)
        self._adds_given = False
