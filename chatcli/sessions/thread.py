"""One thread in its graph: how it is read and written, its writer's lock, and the question that is stored first."""

import asyncio
import copy
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import BaseMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    empty_checkpoint,
)
from langgraph.errors import InvalidUpdateError
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.pregel import Pregel
from langgraph.pregel.protocol import PregelProtocol
from langgraph.types import Overwrite, StateSnapshot

from chatcli.errors import UsageError
from chatcli.events import ApprovalRequested
from chatcli.fences import question_alone
from chatcli.models.names import GRAPH, ModelName
from chatcli.sessions.history import current_branch, merged, read_turns, whole_history
from chatcli.sessions.state import StateKey, plain_state, state_keys
from chatcli.sessions.stream import INTERRUPT, STREAM_MODES, as_requests
from chatcli.store.recall import without_recalled
from chatcli.store.savers import OwnSaver
from chatcli.store.step_order import MENDED, lost_since
from chatcli.store.threads import Step, Threads
from chatcli.text import one_line

AnyGraph = PregelProtocol[Any, Any, Any, Any]
"""A compiled graph of any state, here or on a server."""

TITLE_LENGTH = 60
"""Characters of the first question that title a thread."""
TITLE_SOURCE = 1000
"""Characters that they are taken from: a question may be a whole file."""
BREAKPOINT = "chatcli_breakpoint"
"""Among the writes of a checkpoint: its graph stopped there at a breakpoint. LangGraph keeps no note of that, and a
turn that was cut short may leave the same state. No channel has this name, so LangGraph ignores the write."""
_MARKER = "00000000-0000-0000-0000-63686174636c"
"""The task of that write, in the form of LangGraph's own IDs."""
QUESTION_NODE = "chatcli_question"
"""The step that stores the question in a graph whose own state has no messages."""
LOCK_INTERVAL = 0.05
"""Seconds between two tries for a thread that another process has."""


class WaitForFirstCheckpoint(AsyncCallbackHandler):
    """A callback of one run that begins with an input; the run's checkpointer is what `watch` returns."""

    run_inline = True
    raise_error = True

    def __init__(self) -> None:
        self._stored: int | None = None
        self._failure: Exception | None = None
        self._changed = asyncio.Event()
        self._passed = False

    @property
    def ignore_chain(self) -> bool:
        """Whether the nodes may run; what they call need not be looked at."""
        return self._passed

    @property
    def ignore_llm(self) -> bool:
        """Return True: no token passes here."""
        return True

    def watch(self, saver: BaseCheckpointSaver[str]) -> BaseCheckpointSaver[str]:
        """Return `saver` as a copy that reports to this callback what it has stored."""

        async def aput(
            config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata, new_versions: ChannelVersions
        ) -> RunnableConfig:
            try:
                stored = await saver.aput(config, checkpoint, metadata, new_versions)
            except Exception as error:
                self._failure = error
                self._changed.set()
                raise
            if not config["configurable"].get("checkpoint_ns"):  # of the graph itself, not of a subgraph
                self._stored = metadata.get("step")
                self._changed.set()
            return stored

        watched = copy.copy(saver)  # as LangGraph itself makes a saver for one run
        watched.aput = aput  # type: ignore[method-assign]
        return watched

    async def on_chain_start(
        self, serialized: Any, inputs: Any, *, metadata: Mapping[str, Any] | None = None, **_: Any
    ) -> None:
        """Wait until the state that a node begins on is stored; raise what kept it from being stored."""
        node, step = (metadata or {}).get("langgraph_node", START), (metadata or {}).get("langgraph_step", 0)
        if node in (START, QUESTION_NODE):
            return
        while not self._passed and (self._stored is None or self._stored < step - 1):
            if self._failure is not None:
                raise self._failure
            self._changed.clear()
            await self._changed.wait()
        self._passed = True


@dataclass(frozen=True, slots=True)
class GraphThread:
    """A thread, which need not exist yet, of a graph that runs in this process."""

    # All that sessions and turns do to a thread goes through these methods, so that a thread which lives elsewhere is a
    # subclass: it overrides `stream`, `_newest`, `empty` and `go_to`, which are the only ones that need more of the
    # graph than reading and updating its state. The checkpointer of `graph` holds the thread. `node` is the one that
    # answers, None for a graph whose nodes are its own affair. `configurable` is what the user gives each run in its
    # config. The text of `answer_nodes` is the answer; without them, what the graph adds to its state.
    graph: AnyGraph
    threads: Threads
    id: str
    node: str | None = None
    configurable: Mapping[str, Any] = field(default_factory=dict)
    answer_nodes: Collection[str] = field(default=(), kw_only=True)

    def config(self, model: ModelName | str = "", *, title: str = "", turn: int | None = None) -> RunnableConfig:
        """Return a run's config; the store's index and a thread's tree are made from its metadata."""
        metadata: dict[str, str | int] = {"chatcli_model": str(model)} if model else {}
        if title:
            metadata["chatcli_title"] = one_line(without_recalled(question_alone(title[:TITLE_SOURCE])), TITLE_LENGTH)
        if turn is not None:
            metadata["chatcli_turn"] = turn
        return {"configurable": {**self.configurable, "thread_id": self.id}, "metadata": metadata}

    def stream(self, graph_input: Any, config: RunnableConfig, context: Any = None) -> AsyncIterator[Mapping[str, Any]]:
        """Run the graph on `graph_input`, None to go on where it stands; yield the parts of `STREAM_MODES`."""
        # A new question is on disk before any node runs.
        graph = cast("Pregel[Any, Any, Any, Any]", self.graph)
        if self.node is None and isinstance(graph_input, Mapping):
            first = WaitForFirstCheckpoint()
            graph = graph.copy(update={"checkpointer": first.watch(self._checkpointer)})
            config = {**config, "callbacks": [first]}
        parts = graph.astream(
            graph_input,
            config,
            context=context,
            stream_mode=list(STREAM_MODES),
            subgraphs=True,
            version="v2",
            durability="sync" if self.node is not None else "async",
        )
        return cast("AsyncIterator[Mapping[str, Any]]", parts)

    async def snapshot(self, *, subgraphs: bool = False) -> StateSnapshot:
        """Return the newest state, empty without a thread; with `subgraphs`, pending tasks have those of theirs."""
        return await self.graph.aget_state(self.config(), subgraphs=subgraphs)

    async def messages(self, checkpoint_id: str = "") -> list[BaseMessage]:
        """Return the thread's messages, now or at a checkpoint, oldest first; none when it does not exist."""
        if not checkpoint_id:
            return messages_of(await self.snapshot())
        config = self.config()
        config["configurable"] |= {"checkpoint_ns": "", "checkpoint_id": checkpoint_id}
        return messages_of(await self.graph.aget_state(config))

    async def history(self) -> list[BaseMessage]:
        """Return the thread's messages, and those that its graph has removed from the state on this branch."""
        steps = await asyncio.to_thread(self.threads.steps, self.id)
        return await whole_history(await self._messages_with_lost(steps), steps, self.messages)

    async def _messages_with_lost(self, steps: Sequence[Step]) -> list[BaseMessage]:
        """Return the messages of the newest of `steps`, with those that its state lacks (`lost_since`)."""
        lost = lost_since(steps)
        if not lost:
            return await self.messages()
        found: list[BaseMessage] = []
        for checkpoint_id in [*(step.parent_id for step in lost), steps[-1].checkpoint_id]:
            found = merged(found, await self.messages(checkpoint_id or ""))
        return found

    async def mend(self) -> None:
        """Write what the state lacks, if an older version lost turns because the clock had stepped back."""
        # The caller holds the thread's lock. Nothing changes while the thread waits for an answer of the user's.
        saver = getattr(self.graph, "checkpointer", None)
        if not isinstance(saver, OwnSaver) or await saver.is_in_order(self.id):
            return
        steps = await asyncio.to_thread(self.threads.steps, self.id)
        newest = await self._newest()
        if newest is None or not lost_since(steps) or await self.pending() or await self.stopped_before():
            return
        messages = await self._messages_with_lost(steps)
        labels = {name: value for name, value in (newest.metadata or {}).items() if name.startswith("chatcli_")}
        config = self.config(title=MENDED, turn=len(current_branch(read_turns(steps))))
        config["metadata"] = {**labels, **config["metadata"]}
        await self.go_to(config, steps[-1].checkpoint_id)
        if self.node is not None:
            await self.graph.aupdate_state(config, {"messages": Overwrite(messages)}, as_node=self.node)
        elif messages:
            await self.append(config, [RemoveMessage(id=REMOVE_ALL_MESSAGES), *messages])

    async def pending(self) -> tuple[ApprovalRequested, ...]:
        """Return the interrupts whose answers the graph waits for."""
        newest = await self._newest()
        # Without reading the state, which a long thread takes a while to make: hardly ever is something pending.
        if isinstance(newest, CheckpointTuple) and not any(
            write[1] == INTERRUPT for write in newest.pending_writes or ()
        ):
            return ()
        return as_requests((await self.snapshot()).interrupts)

    async def mark_stopped(self) -> tuple[str, ...]:
        """Note that the graph stopped at a breakpoint; return the nodes that come next, none if it is at its end."""
        snapshot = await self.snapshot(subgraphs=True)
        newest = await self._newest()
        if not snapshot.next or snapshot.interrupts or newest is None:
            return ()
        await self._checkpointer.aput_writes(newest.config, [(BREAKPOINT, True)], _MARKER)
        return next_nodes(snapshot)

    async def stopped_before(self) -> tuple[str, ...]:
        """Return the nodes that come next where the graph stopped at a breakpoint; none if it did not."""
        # Another program leaves no mark. Then it is seen from where the graph was compiled to stop.
        newest = await self._newest()
        if not isinstance(newest, CheckpointTuple):
            return ()
        marked = any(write[1] == BREAKPOINT for write in newest.pending_writes or ())
        if not marked and (self.node is not None or newest.metadata.get("source") != "loop" or not _stops(self.graph)):
            return ()
        snapshot = await self.snapshot(subgraphs=True)
        return next_nodes(snapshot) if marked or await self._is_breakpoint(self.graph, snapshot) else ()

    async def _is_breakpoint(self, graph: AnyGraph, snapshot: StateSnapshot) -> bool:
        """Return whether `graph`, or a subgraph that is pending, was compiled to stop at `snapshot`, its state."""
        if not snapshot.next or snapshot.interrupts or not isinstance(graph, Pregel):
            return False
        if (snapshot.metadata or {}).get("source") == "loop":
            if graph.interrupt_before_nodes == "*" or not {*snapshot.next}.isdisjoint(graph.interrupt_before_nodes):
                return True
            if graph.interrupt_after_nodes and snapshot.parent_config is not None:
                ran = (await self.graph.aget_state(snapshot.parent_config)).next
                if graph.interrupt_after_nodes == "*" or not {*ran}.isdisjoint(graph.interrupt_after_nodes):
                    return True
        inner = dict(graph.get_subgraphs())
        for task in snapshot.tasks:
            below = inner.get(task.name)
            if below and isinstance(task.state, StateSnapshot) and await self._is_breakpoint(below, task.state):
                return True
        return False

    def may_answer(self, path: Sequence[str]) -> bool:
        """Return whether the node `path`, the last of these names after those around it, may be the graph's last one.

        That is True where the graph does not say.
        """
        graph: Any = self.graph
        for name in path:
            builder = getattr(graph, "builder", None)
            if not isinstance(builder, StateGraph) or name not in builder.nodes:
                return True
            if not _may_end(builder, name):
                return False
            graph = builder.nodes[name].runnable
        return True

    @property
    def runs_here(self) -> bool:
        """Whether this process runs the turns, and can write a question that was not asked."""
        return True

    async def keep_question(self, config: RunnableConfig, question: HumanMessage, rest: Mapping[str, Any]) -> None:
        """Write `question` and the `rest` of the input as if the graph had been asked: the answer is pending then."""
        await self.graph.aupdate_state(config, {**rest, "messages": [question]}, as_node=START)

    async def append(self, config: RunnableConfig, messages: list[BaseMessage]) -> None:
        """Write `messages` as if the graph had, and leave nothing pending."""
        if self.node is not None:
            await self.graph.aupdate_state(config, {"messages": messages}, as_node=self.node)
            return
        # Not as a node of the graph's: its conditional edges are the user's code, and would go on from there. What
        # follows START becomes pending instead, and is cleared, as what was pending before is.
        await self.graph.aupdate_state(config, None, as_node=END)
        await self.graph.aupdate_state(config, {"messages": messages}, as_node=START)
        await self.graph.aupdate_state(config, None, as_node=END)

    async def complete(self, config: RunnableConfig) -> None:
        """Write what a killed run left unwritten: nothing for a graph itself. The caller holds the thread's lock."""

    async def edit(self, config: RunnableConfig, values: Mapping[str, Any]) -> None:
        """Write `values` as LangGraph's `update_state` does; what is pending stays so. `config` labels the start."""
        snapshot = await self.snapshot()
        if snapshot.next:
            stopped = await self.stopped_before()
            await self._edit_pending(config, values, snapshot)
            if stopped:
                await self.mark_stopped()
            return
        labels = {name: value for name, value in config.get("metadata", {}).items() if name != "chatcli_title"}
        await self.graph.aupdate_state(config, None, as_node=END)
        config = {**config, "metadata": labels}
        await self.graph.aupdate_state(config, values, as_node=START)
        # The graph's input drops keys that are none of its own; a node does not.
        is_dropped = plain_state((await self.snapshot()).values) == plain_state(snapshot.values)
        if is_dropped:
            drawn = await self.graph.aget_graph()
            branching = {edge.source for edge in drawn.edges if edge.conditional}  # these would run
            nodes = [name for name in drawn.nodes if not name.startswith("__")]
            if nodes:
                await self.graph.aupdate_state(config, values, as_node=min(nodes, key=branching.__contains__))
        await self.graph.aupdate_state(config, None, as_node=END)

    async def _edit_pending(self, config: RunnableConfig, values: Mapping[str, Any], snapshot: StateSnapshot) -> None:
        with suppress(InvalidUpdateError):  # several nodes ran at the same time
            await self.graph.aupdate_state(config, dict(values))
            return
        ran = (await self.graph.aget_state(snapshot.parent_config)).next if snapshot.parent_config else ()
        for node in ran:  # one whose edges leave the same nodes pending
            await self.graph.aupdate_state(config, dict(values), as_node=node)
            if set((await self.snapshot()).next) == set(snapshot.next):
                return
            await self.go_to(self.config(), str(snapshot.config["configurable"]["checkpoint_id"]), pending=True)
        raise UsageError("the state can't be edited here: several nodes have run at the same time")

    def declared_keys(self) -> dict[str, StateKey]:
        """Return the keys that the graph's schemas declare beside the messages; the state may have others."""
        return state_keys(self.graph)

    async def state_keys(self) -> dict[str, StateKey]:
        """Return the keys of the state beside the messages."""
        found = plain_state((await self.snapshot()).values)
        return {**{name: StateKey(name) for name in found}, **self.declared_keys()}

    async def go_to(self, config: RunnableConfig, checkpoint_id: str, *, pending: bool = False) -> None:
        """Make the state at `checkpoint_id` the newest one; what was pending there need not be, unless `pending`."""
        config = {**config, "configurable": {**config["configurable"], "checkpoint_ns": ""}}
        config["configurable"]["checkpoint_id"] = checkpoint_id
        await self._newest()  # what is written now must sort after it (store/savers.py)
        await self.graph.aupdate_state(config, None, as_node=None if self.node is not None or pending else END)

    async def empty(self, config: RunnableConfig) -> None:
        """Make a state without messages the newest one."""
        if self.node is not None:  # the setup stays
            await self.graph.aupdate_state(config, {"messages": Overwrite([])}, as_node=self.node)
            return
        config = {**config, "configurable": {**config["configurable"], "checkpoint_ns": ""}}
        await self._newest()  # as in `go_to`
        await self._checkpointer.aput(config, empty_checkpoint(), {"source": "update", "step": -2, "parents": {}}, {})

    async def turn_number(self, *, new: bool) -> int:
        """Return the running turn's number on its branch, from 1; the index of threads counts turns by it."""
        return int((await self._newest_metadata()).get("chatcli_turn", 0)) + new

    async def is_foreign(self) -> bool:
        """Return whether a user graph ran the thread last."""
        return str((await self._newest_metadata()).get("chatcli_model", "")).startswith(f"{GRAPH}:")

    async def _newest_metadata(self) -> Mapping[str, Any]:
        newest = await self._newest()
        return cast("Mapping[str, Any]", (newest.metadata or {}) if newest is not None else {})

    async def checkpoint_id(self) -> str:
        """Return the newest checkpoint's ID, empty for a thread that does not exist."""
        newest = await self._newest()
        return "" if newest is None else str(newest.config["configurable"]["checkpoint_id"])

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Have the thread to oneself."""
        while not self.threads.locks.try_lock(self.id):  # noqa: ASYNC110 - another process sets no event here
            await asyncio.sleep(LOCK_INTERVAL)
        try:
            await self.mend()
            yield
        finally:
            self.threads.locks.unlock(self.id)

    @property
    def _checkpointer(self) -> BaseCheckpointSaver[str]:
        checkpointer = getattr(self.graph, "checkpointer", None)
        assert isinstance(checkpointer, BaseCheckpointSaver)
        return checkpointer

    async def _newest(self) -> "CheckpointTuple | StateSnapshot | None":
        """Return the newest checkpoint: of either kind, its `config` and `metadata` are what is asked for."""
        return await self._checkpointer.aget_tuple(self.config())


def messages_of(snapshot: StateSnapshot) -> list[BaseMessage]:
    """Return the messages of `snapshot`; its state may be an object instead of a mapping."""
    values = snapshot.values
    found = values.get("messages") if isinstance(values, Mapping) else getattr(values, "messages", None)
    return list(found or [])


def _stops(graph: AnyGraph) -> bool:
    """Return whether `graph`, or one of its subgraphs, was compiled with breakpoints."""
    graphs = [graph, *(inner for _, inner in graph.get_subgraphs(recurse=True))] if isinstance(graph, Pregel) else []
    return any(isinstance(one, Pregel) and (one.interrupt_before_nodes or one.interrupt_after_nodes) for one in graphs)


def next_nodes(snapshot: StateSnapshot) -> tuple[str, ...]:
    """Return the nodes that come next in `snapshot`, each after the nodes whose subgraphs it is in."""
    names = []
    for task in snapshot.tasks:
        inner = next_nodes(task.state) if isinstance(task.state, StateSnapshot) else ()
        names += [f"{task.name}/{name}" for name in inner] or [task.name]
    return tuple(dict.fromkeys(names or snapshot.next))


def _may_end(builder: StateGraph[Any, Any, Any, Any], name: str) -> bool:
    """Return whether nothing but hooks of langchain's middleware need to follow the node `name` of a graph."""
    node = builder.nodes[name]
    following = [end for start, end in builder.edges if start == name]
    if not isinstance(node.runnable, Pregel):  # a graph names where its own nodes may lead, and may end all the same
        following += node.ends or ()
    for branch in builder.branches.get(name, {}).values():
        following += [END] if branch.ends is None else branch.ends.values()
    following += [end for starts, end in builder.waiting_edges if name in starts]
    return not following or any(
        end == END or (".after_" in end and end in builder.nodes and _may_end(builder, end)) for end in following
    )
