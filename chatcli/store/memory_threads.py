"""The threads of a store in memory: gone with the process."""

import copy
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver

from chatcli.errors import UsageError
from chatcli.message import MessageShown, human_role
from chatcli.store.threads import MATCH_END, MATCH_START, Match, Partial, Step, ThreadSummary


class MemoryThreads:
    """The threads of `saver`."""

    def __init__(self, saver: InMemorySaver) -> None:
        self._saver = saver
        self._titles: dict[str, str] = {}

    def recent(self, limit: int | None = None) -> list[ThreadSummary]:
        """See `Threads.recent`."""
        summaries = [self._summary(thread_id) for thread_id in self._saver.storage]
        return sorted(summaries, key=lambda thread: thread.updated_at, reverse=True)[:limit]

    def find(self, thread_id: str) -> ThreadSummary | None:
        """See `Threads.find`."""
        return self._summary(thread_id) if thread_id in self._saver.storage else None

    def starting_with(self, prefix: str, limit: int) -> list[ThreadSummary]:
        """See `Threads.starting_with`."""
        return [thread for thread in self.recent() if thread.thread_id.startswith(prefix)][:limit]

    def search(self, text: str, limit: int = 50) -> list[Match]:
        """See `Threads.search`."""
        words = text.casefold().split()
        found = []
        for summary in self.recent():
            for message in self._said(summary.thread_id):
                if words and all(word in message.text.casefold() for word in words):
                    role = _role(message)
                    found.append(Match(summary.thread_id, summary.title, role, _marked(message.text, words)))
        return found[:limit]

    def rename(self, thread_id: str, title: str) -> None:
        """See `Threads.rename`."""
        self._titles[thread_id] = title

    def delete(self, thread_ids: Sequence[str]) -> None:
        """See `Threads.delete`."""
        for thread_id in thread_ids:
            self._saver.delete_thread(thread_id)

    def fork(self, thread_id: str, new_id: str, checkpoint_id: str | None = None) -> None:
        """See `Threads.fork`."""
        if new_id in self._saver.storage:
            raise UsageError(f"there is a thread {new_id!r} already", remedy="Choose another name.")
        parents = {step.checkpoint_id: step.parent_id for step in self.steps(thread_id)}
        end: str | None = checkpoint_id or next(reversed(parents), "")
        if end not in parents:
            raise UsageError(f"thread {thread_id!r} has no checkpoint {end!r}", remedy="See `/history`.")
        branch = set()
        while end is not None:
            branch.add(end)
            end = parents[end]
        for namespace, checkpoints in self._saver.storage[thread_id].items():
            kept = {key: copy.copy(value) for key, value in checkpoints.items() if key in branch}
            self._saver.storage[new_id][namespace] = kept
        for (thread, namespace, key), writes in list(self._saver.writes.items()):
            if thread == thread_id and key in branch:
                self._saver.writes[new_id, namespace, key] = dict(writes)
        for (thread, namespace, channel, version), blob in list(self._saver.blobs.items()):
            if thread == thread_id:
                self._saver.blobs[new_id, namespace, channel, version] = blob

    def adopt(self, staged: "MemoryThreads") -> None:
        """Move all threads of `staged` here."""
        self._saver.storage.update(staged._saver.storage)
        self._saver.writes.update(staged._saver.writes)
        self._saver.blobs.update(staged._saver.blobs)
        self._titles.update(staged._titles)

    def newest_messages(self, thread_id: str, limit: int) -> list[MessageShown]:
        """See `Threads.newest_messages`."""
        shown = [MessageShown(_role(message), message.text) for message in self._said(thread_id)]
        return shown[-limit:]

    def steps(self, thread_id: str) -> list[Step]:
        """See `Threads.steps`."""
        return [_step(checkpoint) for checkpoint in self._checkpoints(thread_id)]

    def save_partial(self, thread_id: str, partial: Partial) -> None:
        """Do nothing: what is kept in memory would die with the process too."""

    def partial(self, thread_id: str) -> Partial | None:
        """Return None: see `save_partial`."""
        return None

    def clear_partial(self, thread_id: str) -> None:
        """Do nothing: see `save_partial`."""

    def try_lock(self, thread_id: str) -> bool:
        """Return True: no other process sees this store."""
        return True

    def unlock(self, thread_id: str) -> None:
        """Do nothing: see `try_lock`."""

    def _checkpoints(self, thread_id: str) -> list[CheckpointTuple]:
        if thread_id not in self._saver.storage:
            return []  # to ask the saver would make it one of its threads
        found = self._saver.list({"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}})
        return sorted(found, key=lambda checkpoint: checkpoint.checkpoint["id"])

    def _said(self, thread_id: str) -> list[HumanMessage | AIMessage]:
        said: dict[str | None, HumanMessage | AIMessage] = {}
        for checkpoint in self._checkpoints(thread_id):
            for _task, channel, value in checkpoint.pending_writes or ():
                for message in value if channel == "messages" and isinstance(value, list) else ():
                    if isinstance(message, HumanMessage | AIMessage):
                        said[message.id] = message
        return list(said.values())

    def _summary(self, thread_id: str) -> ThreadSummary:
        checkpoints = self._checkpoints(thread_id)
        facts: dict[str, Any] = {}
        for checkpoint in checkpoints:
            facts = {**checkpoint.metadata, **{key: facts[key] for key in ("chatcli_title",) if key in facts}}
        return ThreadSummary(
            thread_id,
            self._titles.get(thread_id, facts.get("chatcli_title", "")),
            facts.get("chatcli_model", ""),
            facts.get("chatcli_turn", 0),
            checkpoints[0].checkpoint["ts"],
            checkpoints[-1].checkpoint["ts"],
        )


def _marked(text: str, words: Sequence[str]) -> str:
    return " ".join(
        f"{MATCH_START}{word}{MATCH_END}" if any(wanted in word.casefold() for wanted in words) else word
        for word in text.split()
    )


def _step(checkpoint: CheckpointTuple) -> Step:
    facts: dict[str, Any] = dict(checkpoint.metadata)
    parent = checkpoint.parent_config["configurable"]["checkpoint_id"] if checkpoint.parent_config else None
    return Step(
        checkpoint.checkpoint["id"],
        parent,
        facts.get("chatcli_turn", 0),
        facts.get("chatcli_title", ""),
        facts.get("source", ""),
    )


def _role(message: HumanMessage | AIMessage) -> str:
    return human_role(message.additional_kwargs) if isinstance(message, HumanMessage) else "assistant"
