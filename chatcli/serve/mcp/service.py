"""The work of the tools of `chat mcp`, without the protocol. Importing this module imports what a conversation needs.

The arguments come from another program, and are no better than its model: they name no file that the user has not
named or indexed, choose no server, allow no tool and delete nothing.
"""

import asyncio
import dataclasses
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from chatcli import events
from chatcli.config.thread_ids import check_thread_id, new_thread_id
from chatcli.conversation.compose import Composition
from chatcli.conversation.conversation import Conversation
from chatcli.conversation.engine import Engine, LazyEngine
from chatcli.documents.find import find_files, resolve_source
from chatcli.documents.index import DocumentIndex
from chatcli.errors import ChatcliError, CostError, InterruptedTurnError, StoreError, UsageError, usage_errors
from chatcli.models.names import GRAPH
from chatcli.rendering.json import answer_fields, message_fields
from chatcli.runtime.program import command
from chatcli.sanitize import sanitize_line
from chatcli.serve.mcp.tools import ASK
from chatcli.sessions.requests import Ask
from chatcli.store.threads import MATCH_END, MATCH_START, Threads, ThreadSummary, find_thread
from chatcli.text import one_line
from chatcli.transfer.export import ExportFormat, thread_lines

_T = TypeVar("_T")

Result = tuple[dict[str, Any], str]
"""What a tool returns: a value by its schema, and a text for a model to read; empty for the value as JSON."""
Report = Callable[[float, str], Awaitable[None]]
"""Reports progress: how much so far, and what is new."""
_MAX_PAYLOAD = 500
"""Characters of what a thread waits for, in a text."""


@dataclass(eq=False)
class AskCall:
    """One call of `ask`, which can be stopped; it then keeps the part of the answer that has arrived."""

    _service: "McpService"
    _arguments: dict[str, Any]
    _report: Report
    _conversation: Conversation | None = None
    _stopped: bool = False

    @property
    def thread_id(self) -> str | None:
        """The thread that it asks on; None before that is known."""
        return self._conversation.thread_id if self._conversation is not None else None

    def interrupt(self) -> None:
        """Stop it, as Ctrl-C does."""
        self._stopped = True
        if self._conversation is not None:
            self._conversation.interrupt()

    async def run(self) -> Result:
        """Ask, and return the answer."""
        question = self._arguments["question"]
        if not question.strip():
            raise UsageError("the question is empty")
        async with self._service.conversation(self._arguments) as conversation:
            self._conversation = conversation
            if self._stopped:
                raise InterruptedTurnError("the turn was stopped before it began")
            approvals: list[events.ApprovalRequested] = []
            notices: list[str] = []
            done = 0
            async with aclosing(conversation.run(Ask(question))) as turn:
                async for event in turn:
                    done = await self._show(event, done)
                    match event:
                        case events.ApprovalRequested():
                            approvals.append(event)
                        case events.Notice(passing=False, text=text):
                            notices.append(text)
                        case events.TurnFinished():
                            return _answer(event, approvals, notices)
                        case events.TurnInterrupted(thread_id=thread_id):
                            raise InterruptedTurnError(
                                "the turn was stopped", remedy=f"What had arrived is kept in the thread {thread_id}."
                            )
                        case events.TurnFailed(error=error, thread_id=thread_id):
                            raise _in_thread(error, thread_id)
            raise AssertionError("a turn has an end")

    async def _show(self, event: events.Event, done: int) -> int:
        """Report what `event` means for one who waits; return how much is done, which grows with each report."""
        # It counts the characters of the answer, and other steps as one.
        match event:
            case events.TextDelta(text=text, draft=False):
                done += len(text)
            case events.ToolCallStarted(name=name):
                done, text = done + 1, f"calls {name}"
            case events.Progress(label=text, finished=False) | events.Notice(text=text):
                done += 1
            case _:
                return done
        await self._report(done, text)
        return done


class McpService:
    """The work of the tools: one engine for all turns, and the threads of its backend."""

    def __init__(self, composed: Composition) -> None:
        self._composed = composed
        self._backend = composed.backend
        self._engine = LazyEngine(lambda announce: composed.backend.open_engine(composed, announce), _announce)
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Of each thread that is asked; the turns on one come one after the other."""

    def turn(self, arguments: dict[str, Any], report: Report) -> AskCall:
        """Return the turn that the `arguments` of `ask` ask for, to be run."""
        return AskCall(self, arguments, report)

    async def close(self) -> None:
        """Close the store, the models and the tools; no turn may run any more."""
        await self._engine.close()

    @asynccontextmanager
    async def conversation(self, arguments: dict[str, Any]) -> AsyncIterator[Conversation]:
        """Yield a conversation on the thread of the `arguments` of `ask`, alone on it in this process."""
        thread_id = await self._thread(arguments.get("thread_id"))
        documents = await self._allowed(arguments.get("documents"))
        composed = replace(self._composed, thread_id=thread_id)
        if documents is not None:
            named = composed.settings.with_options({"docs": documents})
            composed = replace(composed, settings=named, documents=tuple(documents))
        async with self._asking.setdefault(thread_id, asyncio.Lock()):
            conversation = Conversation(composed, self._borrow)
            if (model := arguments.get("model")) is not None:
                await conversation.use_model(model)
            if documents is not None and not conversation.takes_documents:
                raise UsageError("documents have no effect here: what answers has its own", remedy="Leave them out.")
            try:
                yield conversation
            finally:
                await conversation.close()

    async def _thread(self, thread_id: str | None) -> str:
        if thread_id is None:
            return new_thread_id()
        with usage_errors():
            check_thread_id(thread_id)
        if self._composed.is_plain:
            found = await self._with_threads(lambda threads: threads.find(thread_id))
            provider, _, graph = found.model.partition(":") if found is not None else ("", "", "")
            if provider == GRAPH:  # its code runs where the user names it, not where another program names the thread
                raise UsageError(
                    f"the thread {thread_id} belongs to the graph {graph}",
                    remedy="Only a server that its user starts with that graph (--graph) can go on with it.",
                )
        return thread_id

    async def _borrow(self, announce: Callable[[events.Progress | events.Notice], None]) -> Engine:
        return _Borrowed(await self._engine.get())

    async def _with_threads(self, work: Callable[[Threads], _T]) -> _T:
        """Return the result of `work` on the threads of the backend; it may block."""
        if not self._backend.keeps_threads:
            return work((await self._engine.get()).threads)
        return await asyncio.to_thread(lambda: work(self._backend.threads()))

    async def list_threads(self, arguments: dict[str, Any]) -> Result:
        """Return the newest threads."""
        found = await self.recent(arguments.get("limit", 20))
        return {"threads": [dataclasses.asdict(one) for one in found]}, ""

    async def recent(self, limit: int) -> list[ThreadSummary]:
        """Return the newest threads, `limit` of them at most."""
        return await self._with_threads(lambda threads: threads.recent(limit))

    async def starting_with(self, prefix: str, limit: int) -> list[str]:
        """Return the IDs of threads that begin with `prefix`, `limit` of them at most."""
        found = await self._with_threads(lambda threads: threads.starting_with(prefix, limit))
        return [one.thread_id for one in found]

    async def search_threads(self, arguments: dict[str, Any]) -> Result:
        """Return the messages of the exchanges that match the text best."""
        limit = arguments.get("limit", 20)
        found = await self._with_threads(lambda threads: threads.search(arguments["text"], limit))
        matches = [dataclasses.asdict(match) for match in found]
        for match in matches:
            match["snippet"] = match["snippet"].replace(MATCH_START, "").replace(MATCH_END, "")
        return {"matches": matches}, ""

    async def read_thread(self, arguments: dict[str, Any]) -> Result:
        """Return messages of a thread."""
        summary = await self._with_threads(lambda threads: find_thread(threads, arguments["thread_id"]))
        messages = await self._backend.reader().messages(summary.thread_id)
        end = max(len(messages) - arguments.get("skip", 0), 0)
        shown = list(map(message_fields, messages[max(end - arguments.get("limit", 50), 0) : end]))
        return {**dataclasses.asdict(summary), "messages": shown, "total": len(messages)}, ""

    async def markdown(self, thread_id: str) -> str | None:
        """Return the thread `thread_id` as `chat threads export` writes it; None if it does not exist."""
        summary = await self._with_threads(lambda threads: threads.find(thread_id))
        if summary is None:
            return None
        document, _ = await self._backend.reader().document(summary)
        return await asyncio.to_thread(lambda: "\n".join(thread_lines(document, ExportFormat.MD)))

    async def search_documents(self, arguments: dict[str, Any]) -> Result:
        """Return the passages of documents that match the text best."""
        allowed = await self._allowed(arguments.get("documents"))
        stopped = False

        def search() -> list[dict[str, Any]]:
            with DocumentIndex() as index:
                sources = list(allowed or self._composed.documents or (one.source for one in index.sources()))
                if not sources:
                    raise UsageError(
                        "there are no documents to search",
                        remedy="The user names some: chat mcp --docs PATH, or chat docs index PATH.",
                    )
                index.update(sources, stop=lambda: stopped)
                found = index.search(arguments["text"], sources, limit=arguments.get("limit", 10))
            return [one.as_json() for one in found]

        try:
            return {"passages": await asyncio.to_thread(search)}, ""
        finally:
            stopped = True

    async def _allowed(self, named: Sequence[str] | None) -> list[str] | None:
        """Return the documents `named` by the other program, resolved; None if it names none."""
        return await asyncio.to_thread(self._check_documents, named) if named else None

    def _check_documents(self, named: Sequence[str]) -> list[str]:
        with DocumentIndex() as index:
            sources = list(dict.fromkeys((*self._composed.documents, *(one.source for one in index.sources()))))
        return list(dict.fromkeys(_below(text, sources) for text in named))


def _below(text: str, sources: Sequence[str]) -> str:
    """Return the path `text` if it is one of `sources`, or a file or folder in one of them."""
    # What a source leaves out, such as hidden and ignored files, is not held by it.
    refused = UsageError(
        f"{one_line(sanitize_line(text), 200)} is not among the documents that are open to other programs",
        remedy="The user opens some: chat mcp --docs PATH, or chat docs index PATH.",
    )
    if text in sources:
        return text
    try:
        found = resolve_source(text)
    except UsageError:
        raise refused from None  # whether there is such a file is no business of the other program
    if found in sources:
        return found
    globs = [source for source in sources if not os.path.lexists(source)]  # what else is in their folders is not named
    above, inside = [source for source in sources if Path(found).is_relative_to(source)], f"{found.rstrip('/')}/"
    matched = any(one.path == found for one in find_files(globs))
    if not matched and not any(f"{one.path}/".startswith(inside) for one in find_files(above)):
        raise refused
    return found


class _Borrowed:
    """The engine of all turns, which stays open when a conversation is closed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def close(self) -> None:
        """Do nothing."""


def _announce(event: events.Progress | events.Notice) -> None:
    """Show on stderr what is reported outside of a turn."""
    if isinstance(event, events.Notice) and not event.passing:
        print(f"note: {sanitize_line(event.text)}", file=sys.stderr)  # noqa: T201 - stdout is the protocol's


def _in_thread(error: ChatcliError, thread_id: str) -> ChatcliError:
    """Return `error` with the thread that has the question, so that it can be asked again there."""
    if not isinstance(error, UsageError | StoreError | CostError):
        error.remedy = f"{error.remedy} The question is kept in the thread {thread_id}.".lstrip()
    return error


def _answer(event: events.TurnFinished, approvals: Sequence[events.ApprovalRequested], notices: list[str]) -> Result:
    value = {key: part for key, part in answer_fields(event).items() if key in ASK.result["properties"]}
    value |= {"approvals": [one.payload for one in approvals], "notices": notices}
    parts = [event.content] if event.content else []
    if event.cited is not None and (sources := [line for line, _ in event.cited.lines()]):
        parts.append("\n".join(sources))
    if event.finish_reason == events.WAITING:
        waits = "; ".join(one_line(str(one.payload), _MAX_PAYLOAD) for one in approvals)
        parts.append(
            f"The thread {event.thread_id} waits for its user: {waits}. Only the user can answer, in a terminal:"
            f" {command(f'-t {event.thread_id}')}"
        )
    return value, "\n\n".join(parts)
