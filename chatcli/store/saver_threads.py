"""The threads of a checkpointer that has no index: a graph's own, or a store in memory."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from chatcli.message import MessageShown
from chatcli.store import threads as common
from chatcli.store.message_index import role_of, usage_row
from chatcli.store.recall import without_recalled
from chatcli.store.step_order import in_order
from chatcli.store.usage import AnswerUsage, answers_of


class ForeignThreads(common.Threads):
    """The threads of any checkpointer: each can be looked up, but a checkpointer has no list of them."""

    def __init__(self, saver: BaseCheckpointSaver[str]) -> None:
        self.journal, self.locks = common.Journal(), common.TurnLocks()
        self._saver = saver
        self._titles: dict[str, str] = {}

    def recent(self, limit: int | None = None) -> list[common.ThreadSummary]:
        """Return none: see above."""
        return []

    def find(self, thread_id: str) -> common.ThreadSummary | None:
        """Return the thread `thread_id`, None if it does not exist."""
        checkpoints = self._checkpoints(thread_id)
        return self._summary(thread_id, checkpoints) if checkpoints else None

    def exchanges(self, text: str, limit: int, without: str) -> list[common.FoundExchange]:
        """See `Threads.exchanges`."""
        from chatcli.store.exchange_search import Candidate, exchanges_of, rank_exchanges

        found: list[Candidate] = []
        for one in self.recent() if common.words_in(text) else ():
            if one.thread_id != without:
                said = [(role_of(each), without_recalled(each.text)) for each in self._said(one.thread_id)]
                found += exchanges_of(one, said)
        return rank_exchanges(found, text, limit, cached=False)

    def rename(self, thread_id: str, title: str, old: str | None = None) -> None:
        """Give the thread the title `title`; with `old`, only if that is its title now."""
        summary = None if old is None else self.find(thread_id)
        if summary is None or summary.title == old:
            self._titles[thread_id] = title

    def delete(self, thread_ids: Sequence[str]) -> None:
        """Delete the threads."""
        for thread_id in thread_ids:
            self._saver.delete_thread(thread_id)
            self._titles.pop(thread_id, None)

    def fork(self, thread_id: str, new_id: str, checkpoint_id: str | None = None) -> None:
        """Make `new_id` of the branch that ends at `checkpoint_id`, or of the current; no subgraph's memory."""
        common.refuse_taken(new_id, taken=bool(self._checkpoints(new_id)))
        known = {checkpoint.checkpoint["id"]: checkpoint for checkpoint in self._checkpoints(thread_id)}
        branch = common.branch_to(thread_id, self.steps(thread_id), checkpoint_id)
        self._copy([known[name] for name in branch], new_id)

    def usage(self, thread_id: str | None = None) -> list[AnswerUsage]:
        """Return the usage of the stored answers of one thread, or of all that `recent` returns."""
        kept = []
        for owner in [thread.thread_id for thread in self.recent()] if thread_id is None else [thread_id]:
            for found in self._checkpoints(owner):
                own_server = bool(found.checkpoint["channel_values"].get("base_url"))
                for index, (task_id, channel, value) in enumerate(found.pending_writes or ()):
                    if channel == "messages":
                        write = (owner, found.checkpoint["id"], task_id, index)
                        kept.append(usage_row(write, value, dict(found.metadata), own_server=own_server))
        return answers_of(kept)

    def newest_messages(self, thread_id: str, limit: int) -> list[MessageShown]:
        """Return the last `limit` questions and answers of the current branch, the oldest first."""
        return [MessageShown(role_of(message), message.text) for message in self._said(thread_id)[-limit:]]

    def steps(self, thread_id: str) -> list[common.Step]:
        """Return the thread's checkpoints, the oldest first."""
        return in_order(thread_id, [_step(checkpoint) for checkpoint in self._checkpoints(thread_id)])

    def _copy(self, checkpoints: Sequence[CheckpointTuple], thread_id: str) -> None:
        """Store `checkpoints`, of which the oldest comes first, as the thread `thread_id`."""
        for checkpoint in checkpoints:
            where = {"thread_id": thread_id, "checkpoint_ns": ""}
            if (parent := _step(checkpoint).parent_id) is not None:
                where["checkpoint_id"] = parent
            versions = checkpoint.checkpoint["channel_versions"]
            stored = self._saver.put({"configurable": where}, checkpoint.checkpoint, checkpoint.metadata, versions)
            writes: dict[str, list[tuple[str, Any]]] = {}
            for task, channel, value in checkpoint.pending_writes or ():
                writes.setdefault(task, []).append((channel, value))
            for task, written in writes.items():
                self._saver.put_writes(stored, written, task)

    def _checkpoints(self, thread_id: str) -> list[CheckpointTuple]:
        """Return the thread's checkpoints, the oldest first."""
        found = self._saver.list({"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}})
        return sorted(found, key=lambda each: each.checkpoint["id"])

    def _said(self, thread_id: str) -> list[HumanMessage | AIMessage]:
        shown: dict[str | None, HumanMessage | AIMessage] = {}
        for checkpoint in self._checkpoints(thread_id):
            for _task, channel, value in checkpoint.pending_writes or ():
                for message in value if channel == "messages" and isinstance(value, list) else ():
                    if isinstance(message, HumanMessage | AIMessage):
                        shown[message.id] = message
        return list(shown.values())

    def _summary(self, thread_id: str, checkpoints: Sequence[CheckpointTuple]) -> common.ThreadSummary:
        steps = [_step(checkpoint) for checkpoint in checkpoints]
        title = self._titles.get(thread_id) or next((step.title for step in steps if step.title), "")
        facts: dict[str, Any] = dict(checkpoints[-1].metadata)
        made, used = checkpoints[0].checkpoint["ts"], checkpoints[-1].checkpoint["ts"]
        return common.ThreadSummary(thread_id, title, facts.get("chatcli_model", ""), steps[-1].turn, made, used)


class MemoryThreads(ForeignThreads):
    """The threads of a store in memory, which no other program has: all that its checkpointer holds."""

    end_with_process = True

    def recent(self, limit: int | None = None) -> list[common.ThreadSummary]:
        """Return the threads, the newest first, `limit` of them at most."""
        summaries = [self._summary(thread_id, found) for thread_id, found in self._by_thread().items()]
        return sorted(summaries, key=lambda thread: thread.updated_at, reverse=True)[:limit]

    def adopt(self, staged: "MemoryThreads") -> None:
        """Copy all threads of `staged` here."""
        for thread_id, checkpoints in staged._by_thread().items():
            self._copy(checkpoints, thread_id)

    def _by_thread(self) -> dict[str, list[CheckpointTuple]]:
        threads: dict[str, list[CheckpointTuple]] = {}
        for checkpoint in sorted(self._saver.list(None), key=lambda each: each.checkpoint["id"]):
            where = checkpoint.config["configurable"]
            if not where["checkpoint_ns"]:
                threads.setdefault(where["thread_id"], []).append(checkpoint)
        return threads


def _step(checkpoint: CheckpointTuple) -> common.Step:
    facts: dict[str, Any] = dict(checkpoint.metadata)
    parent = checkpoint.parent_config["configurable"]["checkpoint_id"] if checkpoint.parent_config else None
    return common.Step(
        checkpoint.checkpoint["id"],
        parent,
        facts.get("chatcli_turn", 0),
        facts.get("chatcli_title", ""),
        facts.get("source", ""),
    )
