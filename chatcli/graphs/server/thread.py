"""A thread that lives on a LangGraph server, which runs its turns and stores them."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import httpx
from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages, messages_from_dict
from langchain_core.runnables import RunnableConfig
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Interrupt, StateSnapshot, StreamMode
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import InternalServerError, NotFoundError

from chatcli.config.settings import ANSWER_SECONDS
from chatcli.errors import ChatcliError, GraphError, MissingFieldError, NetworkError, UsageError
from chatcli.events import ApprovalRequested
from chatcli.graphs.server.client import ServerAddress, StartedRun, noted, server_failures
from chatcli.graphs.server.schemas import TYPES
from chatcli.graphs.server.threads import ASKED, ServerThreads
from chatcli.graphs.shape import GraphShape, new_answers
from chatcli.models.names import ModelName
from chatcli.sessions.history import current_branch, newest_turn, read_turns
from chatcli.sessions.state import MESSAGES, StateKey, plain_state
from chatcli.sessions.stream import ANSWER, INTERRUPT, REJOINED, STREAM_MODES, GraphAnswer, as_requests
from chatcli.sessions.thread import GraphThread, next_nodes

_REFUSALS = ("TypeError", "ValidationError", "KeyError")
"""The exceptions when a field is missing: of a constructor, or where a TypedDict is read."""
JOIN_INTERVAL = 0.5
"""Seconds between two attempts to join a run again."""
STOP_TIMEOUT = 5.0
"""Seconds to wait until a stopped run ends on the server."""


def message_from_json(data: Mapping[str, Any]) -> BaseMessage:
    """Return the message, or piece of one, that `data` holds; raise ValueError without one."""
    if "type" in data:
        (message,) = messages_from_dict([{"type": data["type"], "data": data}])
    else:
        (message,) = convert_to_messages([dict(data)])  # a state without a reducer keeps its input as it is
    return message


def messages_from_json(values: Mapping[str, Any]) -> list[BaseMessage]:
    """Return the messages of the state `values`; anything else in it is left out."""
    messages, found = values.get("messages"), []
    for data in messages if isinstance(messages, list) else ():
        with suppress(ValueError):
            if isinstance(data, Mapping):
                found.append(message_from_json(data))
    return found


class ServerGraph(RemoteGraph):
    """The assistant `assistant_id`, called `name`, on `server`."""

    # Its states hold langchain's messages, a thread without a state has an empty one, and failures are ChatcliErrors.
    def __init__(self, assistant_id: str, server: ServerAddress, client: LangGraphClient, name: str) -> None:
        super().__init__(assistant_id, client=client, name=name)
        self.server = server
        self.api = client

    async def aget_state(self, config: RunnableConfig, **options: Any) -> StateSnapshot:
        """Return the newest state of the thread that `config` names, or that at its checkpoint."""
        with server_failures(self.server):
            try:
                snapshot = await super().aget_state(config, **options)
            except (NotFoundError, TypeError):  # there is no such thread, or it has no run yet
                return StateSnapshot({}, (), config, None, None, None, (), ())
        values = snapshot.values if isinstance(snapshot.values, dict) else {}
        return snapshot._replace(values={**values, "messages": messages_from_json(values)})

    async def aupdate_state(self, *args: Any, **options: Any) -> RunnableConfig:
        with server_failures(self.server):
            return await super().aupdate_state(*args, **options)

    async def failure(self, error: RemoteException) -> ChatcliError:
        """Return the error to show for the app's exception `error`."""
        raised = error.args[0] if error.args else {}
        data = raised if isinstance(raised, dict) else {"message": raised}
        message = self.server.line(f"{data.get('error', 'error')}: {data.get('message', '')}")
        if data.get("error") in _REFUSALS and (missing := await self._missing_fields(message)) is not None:
            return missing
        return GraphError(
            f"the app {self.name} failed on the server: {message}", remedy="See the server's log for the place."
        )

    async def _missing_fields(self, message: str) -> MissingFieldError | None:
        """Return the error for the required fields of the app's context or input that its exception names."""
        key_error = re.fullmatch(r"KeyError: ['\"]+([^'\"]+)['\"]+", message)
        if not key_error and not re.search("missing|required", message):
            return None
        with server_failures(self.server):
            schemas = await self.api.assistants.get_schemas(self.assistant_id)
        for of, schema in (("context", schemas.get("context_schema")), ("input", schemas.get("input_schema"))):
            required = (schema or {}).get("required") or []
            found = [name for name in required if name != "messages" and re.search(rf"\b{re.escape(name)}\b", message)]
            if found:
                return MissingFieldError(found, of=of)
        return None


@dataclass(frozen=True, slots=True)
class ServerThread(GraphThread):
    """A thread of `graph` on a server, which may not exist yet."""

    # There, `uuid` and `graph_id` identify the two. A run is stopped after `timeout` seconds of silence, None for no
    # limit. `state_schema` is the JSON Schema of each key of the app's state, as far as the server has it. `shape` says
    # how the app is asked, and answers; None for messages alone.
    graph: ServerGraph
    threads: ServerThreads
    uuid: str = ""
    graph_id: str = ""
    timeout: float | None = None
    state_schema: Mapping[str, Any] = field(default_factory=dict)
    shape: GraphShape | None = None

    @property
    def _is_kept_in_store(self) -> bool:
        """Whether the server's store keeps the questions and answers, since the app's state has no messages."""
        return self.shape is not None and not self.shape.is_chat

    def config(self, model: ModelName | str = "", *, title: str = "", turn: int | None = None) -> RunnableConfig:
        config = GraphThread.config(self, model, title=title, turn=turn)
        config["configurable"]["thread_id"] = self.uuid
        return config

    def stream(self, graph_input: Any, config: RunnableConfig, context: Any = None) -> AsyncIterator[Mapping[str, Any]]:
        """See `GraphThread.stream`; the run waits for others on the thread; to close the stream cancels it."""
        if self.shape is None:
            return self._stream(graph_input, config, context)
        return self._stream_with_answer(self.shape, graph_input, config, context)

    async def _stream_with_answer(
        self, shape: GraphShape, graph_input: Any, config: RunnableConfig, context: Any
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the parts of `stream`; the last one is the answer, which is kept by then."""
        question: HumanMessage | None = None
        if isinstance(graph_input, Mapping):
            other_input = {key: value for key, value in graph_input.items() if key != MESSAGES}
            [question] = graph_input[MESSAGES]
            graph_input = shape.build([question], other_input)
        kept = None
        if question is not None and self._is_kept_in_store:
            config = {**config, "metadata": {**config["metadata"], ASKED: question.id}}
            kept = _as_json(question)
        output = _Output(shape, resumed=question is None)
        try:
            async with aclosing(self._stream(graph_input, config, context, "values", question=kept)) as parts:
                async for part in parts:
                    output.read(part)
                    if part["type"] != "values":
                        yield part
        except BaseException:
            if kept is not None:
                with suppress(ChatcliError):
                    await asyncio.to_thread(self.threads.forget_question, self.id, kept["id"])
            raise
        if output.is_whole:
            answer = output.answer()
            await self._keep(config, answer, question)
            yield {"type": ANSWER, "ns": (), "data": answer}

    async def _stream(
        self,
        graph_input: Any,
        config: RunnableConfig,
        context: Any,
        *more: Literal["values"],
        question: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """Yield the parts of `stream`, and those of the modes `more`; keep `question` in the server's store."""
        run = StartedRun()
        modes: list[StreamMode] = [*STREAM_MODES, *more]
        if await self._prepare(question):
            notice = "another client's run is on this thread; waiting for it"
            yield {"type": "custom", "ns": (), "data": {"notice": notice}}
        stream = self.graph.astream(
            graph_input,
            config,
            context=context,
            stream_mode=modes,
            subgraphs=True,
            version="v2",
            on_disconnect="continue",  # else it could not be joined again
            stream_resumable=True,
            multitask_strategy="enqueue",
            durability="async",  # "sync" fails on apps with a subgraph that has no checkpointer
            on_run_created=run,
        )
        with server_failures(self.graph.server):
            try:
                async with aclosing(self._parts(stream, run, modes)) as parts:
                    async for part in parts:
                        yield _part_from_json(part)
            except RemoteException as error:
                raise await self.graph.failure(error) from error
            except (asyncio.CancelledError, GeneratorExit, NetworkError, httpx.TransportError):
                if run.id:  # a closed connection does not cancel it
                    with suppress(httpx.HTTPError, TimeoutError):  # it has ended, or the server is gone
                        async with asyncio.timeout(STOP_TIMEOUT):
                            await self.graph.api.runs.cancel(self.uuid, run.id, wait=True)
                raise

    async def _parts(
        self, parts: AsyncIterator[Mapping[str, Any]], run: StartedRun, modes: Sequence[str]
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """Yield `parts` of the `run`; where the connection breaks, join it again for as long as the user waits."""
        broken_since: float | None = None
        while True:
            try:
                async with aclosing(cast("AsyncGenerator[Mapping[str, Any], None]", parts)) as arriving:
                    while (part := await self._next(arriving)) is not None:
                        yield part
                if not await self._goes_on(run):
                    return
                raise httpx.RemoteProtocolError("the stream ended before the run")
            except NotFoundError:
                if broken_since is None:
                    raise
                lost = f"the LangGraph server {self.graph.server.shown} no longer knows the run"
                raise NetworkError(lost, remedy="Ask again: /retry.") from None
            except (httpx.TransportError, InternalServerError) as error:
                if not run.id or (isinstance(error, InternalServerError) and broken_since is None):
                    raise
                if broken_since is None:
                    yield {"type": REJOINED, "ns": (), "data": None}
                broken_since = broken_since or time.monotonic()
                if time.monotonic() - broken_since > (self.timeout or ANSWER_SECONDS):
                    raise
            await asyncio.sleep(JOIN_INTERVAL)
            parts = self._join(run, modes)

    async def _join(self, run: StartedRun, modes: Sequence[str]) -> AsyncGenerator[Mapping[str, Any], None]:
        """Yield the events of `run` that have not arrived."""
        # Without modes, which would leave out the messages of those that were streamed before.
        stream = self.graph.api.runs.join_stream(self.uuid, run.id, last_event_id=run.join_after)
        async for part in noted(stream, run):
            mode, *namespace = part.event.split("|")
            if mode == "error":
                await self.graph.api.runs.get(self.uuid, run.id)  # newer servers report a run that they lost so
                raise RemoteException(part.data)
            if mode in modes:
                yield {"type": mode, "ns": tuple(namespace), "data": part.data}

    async def _goes_on(self, run: StartedRun) -> bool:
        """Return whether the server is not done with `run`, though its stream has ended."""
        # Raises `NetworkError` if the run is not complete: one that another client stops ends without an error.
        status = (await self.graph.api.runs.get(self.uuid, run.id))["status"] if run.id else "success"
        if status not in ("success", "pending", "running"):
            raise NetworkError(f"the run was stopped on the server (status {status})", remedy="Ask again: /retry.")
        return status != "success"

    async def snapshot(self, *, subgraphs: bool = False) -> StateSnapshot:
        """See `GraphThread.snapshot`; where the store keeps the messages, they come from there."""
        if not self._is_kept_in_store:
            return await GraphThread.snapshot(self, subgraphs=subgraphs)
        snapshot, messages = await asyncio.gather(
            GraphThread.snapshot(self, subgraphs=subgraphs), asyncio.to_thread(self.threads.messages, self.id)
        )
        snapshot = snapshot._replace(values={**snapshot.values, MESSAGES: [*map(message_from_json, messages)]})
        return cast("StateSnapshot", snapshot)

    async def history(self) -> list[BaseMessage]:
        return await (self.messages() if self._is_kept_in_store else GraphThread.history(self))

    async def pending(self) -> tuple[ApprovalRequested, ...]:
        return as_requests((await self.snapshot()).interrupts)

    async def mark_stopped(self) -> tuple[str, ...]:
        """See `GraphThread.mark_stopped`; the server itself keeps a note of it."""
        snapshot = await self.snapshot(subgraphs=True)
        return () if snapshot.interrupts or not snapshot.next else next_nodes(snapshot)

    async def stopped_before(self) -> tuple[str, ...]:
        """See `GraphThread.stopped_before`; a run that was cancelled leaves the same state, but another status."""
        snapshot = await self.snapshot()
        if not snapshot.next or snapshot.interrupts or (snapshot.metadata or {}).get("source") != "loop":
            return ()
        with server_failures(self.graph.server):
            runs = await self.graph.api.runs.list(self.uuid, limit=1)
        return await self.mark_stopped() if runs and runs[0]["status"] == "success" else ()

    def declared_keys(self) -> dict[str, StateKey]:
        """See `GraphThread.declared_keys`; the server can't describe every state."""
        types = {name: TYPES.get(one.get("type"), Any) for name, one in self.state_schema.items()}
        return {name: StateKey(name, types[name]) for name in plain_state(types)}

    @property
    def runs_here(self) -> bool:
        """See `GraphThread.runs_here`: False, since the server runs the turns."""
        return False

    async def keep_question(self, config: RunnableConfig, question: HumanMessage, rest: Mapping[str, Any]) -> None:
        """See `GraphThread.keep_question`; a server refuses it during another run, or if it lost the thread."""
        if not self._is_kept_in_store:  # the store gets a question only with its run
            with suppress(NetworkError, UsageError):
                await GraphThread.keep_question(self, config, question, rest)

    async def append(self, config: RunnableConfig, messages: list[BaseMessage]) -> None:
        """See `GraphThread.append`; where the store keeps the messages, /retry still goes on with what is pending."""
        if self._is_kept_in_store:
            await asyncio.to_thread(self.threads.keep_answers, self.id, [*map(_as_json, messages)])
        else:
            await GraphThread.append(self, config, messages)

    async def go_to(self, config: RunnableConfig, checkpoint_id: str, *, pending: bool = False) -> None:
        await GraphThread.go_to(self, config, checkpoint_id, pending=pending)
        if self._is_kept_in_store:
            await asyncio.to_thread(self.threads.move, self.id, checkpoint_id)

    async def empty(self, config: RunnableConfig) -> None:
        """See `GraphThread.empty`: the state before the first question becomes the newest one."""
        steps = await asyncio.to_thread(self.threads.steps, self.id)
        branch = current_branch(read_turns(steps))
        begun = steps[0].checkpoint_id if steps and steps[0].source == "input" else branch[0].before if branch else None
        if begun is not None:
            configurable = {**config["configurable"], "checkpoint_ns": "", "checkpoint_id": begun}
            await self.graph.aupdate_state({**config, "configurable": configurable}, None)
        if self._is_kept_in_store:
            await asyncio.to_thread(self.threads.note_empty, self.id)

    async def turn_number(self, *, new: bool) -> int:
        """Return 1: turns are counted when they are listed, since the server keeps no label of an update."""
        return 1

    async def _newest(self) -> StateSnapshot | None:
        snapshot = await self.snapshot()
        return snapshot if "checkpoint_id" in snapshot.config["configurable"] else None

    async def _keep(self, config: RunnableConfig, answer: GraphAnswer, question: HumanMessage | None) -> None:
        if self._is_kept_in_store:
            asked = None if question is None else question.id
            kept = [_as_json(message) for message in new_answers(answer, [], [])]
            await asyncio.to_thread(self.threads.keep_answers, self.id, kept, asked)
            return
        messages = await self.messages()
        if new := new_answers(answer, messages, messages[newest_turn(messages) :]):
            await GraphThread.append(self, config, new)

    async def _prepare(self, question: Mapping[str, Any] | None) -> bool:
        """Create the thread on the server; an interrupt waits for it: the kept question needs the thread."""
        preparing = asyncio.create_task(asyncio.to_thread(self.threads.prepare, self.id, self.graph_id, question))
        try:
            return await asyncio.shield(preparing)
        except asyncio.CancelledError:
            await asyncio.wait([preparing])
            raise

    async def _next(self, parts: AsyncIterator[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """Return the next of `parts`, None at the end; raise NetworkError if it does not arrive in time."""
        try:
            async with asyncio.timeout(self.timeout):
                return await anext(parts, None)
        except TimeoutError:
            problem = f"the app {self.graph.name} said nothing for {self.timeout:g} s"
            raise NetworkError(problem, remedy="Try again, or allow more with --timeout.") from None


def _part_from_json(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the stream part `part` with langchain's messages and LangGraph's interrupts in place of their JSON."""
    data = part["data"]
    if part["type"] == "messages":
        message, metadata = data
        return {**part, "data": (message_from_json(message), metadata)}
    if part["type"] == "updates" and isinstance(data, Mapping):
        return {**part, "data": {node: _update_from_json(node, update) for node, update in data.items()}}
    return part


def _update_from_json(node: str, update: Any) -> Any:
    if node == INTERRUPT:
        return [Interrupt(one["value"], id=one["id"], response_schema=one.get("response_schema")) for one in update]
    if isinstance(update, list):
        return [_update_from_json(node, each) for each in update]
    if isinstance(update, Mapping) and "messages" in update:
        return {**update, "messages": messages_from_json(update)}
    return update


class _Output:
    """What the parts of a run say of the app's output; a run that is `resumed` may have written it before."""

    def __init__(self, shape: GraphShape, *, resumed: bool) -> None:
        self._shape = shape
        self._is_new = resumed
        self._value: Any = None
        self.is_whole = True
        """Whether the run has come to its end: it waits for no answer, and stopped at no breakpoint."""

    def read(self, part: Mapping[str, Any]) -> None:
        """Read a part of the stream."""
        data, name = part["data"], self._shape.answer
        if part["ns"]:
            return
        if part["type"] == "values":
            self._value = data
        elif part["type"] == "updates" and isinstance(data, Mapping):
            self.is_whole = self.is_whole and INTERRUPT not in data
            for update in data.values():
                for each in update if isinstance(update, list) else [update]:
                    # What is no mapping is returned by an entrypoint.
                    writes_answer = name is None or not isinstance(each, Mapping) or name in each
                    self._is_new = self._is_new or (each is not None and writes_answer)

    def answer(self) -> GraphAnswer:
        """Return the answer in the app's output."""
        value, since = self._value, []
        if isinstance(value, Mapping):
            messages = messages_from_json(value)
            since = messages[newest_turn(messages) :]
            value = {name: _revived(one) for name, one in value.items()}
        return self._shape.read_turn(_revived(value), since, is_new=self._is_new)


def _as_json(message: BaseMessage) -> Mapping[str, Any]:
    return message.model_dump(mode="json")


def _revived(value: Any) -> Any:
    """Return `value` with langchain's messages in place of their JSON."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_revived(one) for one in value]
    if isinstance(value, Mapping) and {"type", "content", "additional_kwargs"} <= value.keys():
        with suppress(ValueError):
            return message_from_json(value)
    return value
