"""The threads of a LangGraph server, through its API.

The server identifies a thread by a UUID. Another name becomes one (`uuid5` in NAMESPACE, so that every machine finds
the same thread), and is kept in the thread's metadata, by which a fork is found, whose UUID the server chooses.

The questions and answers of an app without messages are kept in the server's store, one item a turn in a namespace of
the thread: the app's state has no place for them, and the server copies a thread's metadata into every checkpoint.
"""

import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid5

from langgraph_sdk.client import SyncLangGraphClient
from langgraph_sdk.errors import NotFoundError

from chatcli.errors import UsageError
from chatcli.events import INTERRUPTED
from chatcli.graphs.server.client import SERVER, ServerAddress, build_sync_client, check_server, server_failures
from chatcli.message import MessageShown, human_role
from chatcli.sessions.thread import TITLE_LENGTH
from chatcli.store import threads as common
from chatcli.text import one_line

NAMESPACE = UUID("6f1d2c1e-5d0c-5f0e-9a53-0c4b8b1a7c11")
"""The namespace of the UUIDs of names. It must never change, or threads would be lost."""
PAGE = 100
"""Threads or states in one request; the server's default is ten."""
NAME, TITLE = "chatcli_thread", "chatcli_title"
"""Keys in the metadata of threads; in that of a checkpoint, the second one is the title of its turn."""
TALK = "chatcli_talk"
"""In the metadata of a thread whose turns are in the store: the ID of the newest question, the number of turns on its
branch, the title, and the checkpoints at which the thread was emptied."""
ASKED = "chatcli_asked"
"""In the metadata of a checkpoint: the ID of the question of its run."""
_SPEAKERS = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}
Row = Mapping[str, Any]
"""A thread, a state or a message."""


class ServerThreads(common.Threads):
    """The threads of `server`, which locks and stores its running turns itself: our locks and journal do nothing.

    Every method raises the errors of `check_server` and `server_failures` instead of StoreError.
    """

    def __init__(self, server: ServerAddress) -> None:
        self.journal, self.locks = common.Journal(), common.TurnLocks()
        self._server = server
        self._opened: SyncLangGraphClient | None = None

    def recent(self, limit: int | None = None) -> list[common.ThreadSummary]:
        with self._client() as client:
            return [_summary_of(row) for row in _rows(client, limit)]

    def find(self, thread_id: str) -> common.ThreadSummary | None:
        with self._thread(thread_id) as (client, row):
            return None if row is None else _summary_of(_with_values(client, row))

    def search(self, text: str, limit: int = 50) -> list[common.Match]:
        """See `Threads.search`. A server can't search messages, so this downloads every thread."""
        from chatcli.store.exchange_search import Candidate, as_matches, exchanges_of, rank_exchanges  # as in a store

        found: list[Candidate] = []
        with self._client() as client:
            for row in _rows(client) if common.words_in(text) else ():
                summary = _summary_of(row)
                said = ((shown.role, shown.text) for shown in shown_in({**_values_of(row), **_talk(client, row)}))
                found += exchanges_of(summary, said)
        return as_matches(rank_exchanges(found, text, limit), text, limit)

    def rename(self, thread_id: str, title: str, old: str | None = None) -> None:
        with self._thread(thread_id) as (client, row):
            if row is not None and old in (None, _summary_of(row).title):
                client.threads.update(row["thread_id"], metadata={TITLE: title})

    def delete(self, thread_ids: Sequence[str]) -> None:
        with self._client() as client:
            for thread_id in thread_ids:
                if (row := _find(client, thread_id)) is not None:
                    for key in _kept(client, row):
                        client.store.delete_item(_namespace(row["thread_id"]), key=key)
                    client.threads.delete(row["thread_id"])

    def fork(self, thread_id: str, new_id: str, checkpoint_id: str | None = None) -> None:
        """See `Threads.fork`; the copy has the thread's other branches too."""
        with self._client() as client:
            common.refuse_taken(new_id, taken=_find(client, new_id) is not None)
            origin = _find(client, thread_id)
            states = [] if origin is None or checkpoint_id is None else _history(client, origin["thread_id"])
            if origin is None or (checkpoint_id is not None and checkpoint_id not in map(_checkpoint_of, states)):
                end = checkpoint_id or ""
                raise UsageError(f"thread {thread_id!r} has no checkpoint {end!r}", remedy="See `/history`.")
            # It returns the new thread, although its type is None.
            copy = str(_as_row(client.threads.copy(origin["thread_id"]))["thread_id"])  # type: ignore[func-returns-value]
            kept = _kept(client, origin)
            for key, turn in kept.items():
                client.store.put_item(_namespace(copy), key=key, value=turn, index=False)
            talk = _talk_of(origin)
            if talk and checkpoint_id is not None:
                talk = _moved(talk, kept, _asked_at(states, checkpoint_id))
            client.threads.update(copy, metadata={NAME: new_id, **({TALK: talk} if talk else {})})
            if checkpoint_id is not None:
                client.threads.update_state(copy, None, checkpoint_id=checkpoint_id)

    def newest_messages(self, thread_id: str, limit: int) -> list[MessageShown]:
        return shown_in(self.values(thread_id))[-limit:]

    def steps(self, thread_id: str) -> list[common.Step]:
        with self._thread(thread_id) as (client, row):
            states = [] if row is None else _history(client, row["thread_id"])
            emptied = _talk_of(row).get("emptied", []) if row is not None and _talk_of(row) else None
            return [_step(client, state, states, emptied) for state in states]

    def values(self, thread_id: str) -> Row:
        """Return the newest state of the thread; empty if there is no such thread, or it has no run yet."""
        with self._thread(thread_id) as (client, row):
            if row is None:
                return {}
            return {**_values_of(_as_row(client.threads.get_state(row["thread_id"]))), **_talk(client, row)}

    def identify(self, thread_id: str) -> tuple[str, Row]:
        """Return the UUID by which the server knows the thread, and its metadata; empty when there is none yet."""
        with self._thread(thread_id) as (_, row):
            return (_as_uuid(thread_id), {}) if row is None else (str(row["thread_id"]), _metadata_of(row))

    def prepare(self, thread_id: str, graph_id: str, question: Row | None = None) -> bool:
        """Create the thread for the graph `graph_id` unless it exists; return whether it has a run now.

        A `question`, a message as JSON, is kept in the store as the thread's newest turn.
        """
        with self._thread(thread_id) as (client, row):
            uuid = _as_uuid(thread_id) if row is None else str(row["thread_id"])
            named = {NAME: thread_id} if uuid != thread_id else {}
            made = client.threads.create(thread_id=uuid, metadata=named, graph_id=graph_id, if_exists="do_nothing")
            if question is not None:
                talk = _talk_of(_as_row(made))
                turn = {"parent": talk.get("newest"), "messages": [question]}
                client.store.put_item(_namespace(uuid), key=question["id"], value=turn, index=False)
                title = talk.get("title") or _as_title(_text(question.get("content")))
                newest = {"newest": question["id"], "turns": talk.get("turns", 0) + 1, "title": title}
                client.threads.update(uuid, metadata={TALK: {**talk, **newest}})
            return made["status"] == "busy"

    def messages(self, thread_id: str) -> list[Row]:
        """Return the questions and answers that the store has of the thread's current branch."""
        with self._thread(thread_id) as (client, row):
            return [] if row is None else messages_in(_talk(client, row))

    def keep_answers(self, thread_id: str, messages: Sequence[Row], question_id: str | None = None) -> None:
        """Keep `messages` as the answers of the turn of `question_id`, the newest without one."""
        with self._thread(thread_id) as (client, row):
            key = question_id or (_talk_of(row).get("newest") if row is not None else None)
            if row is not None and key:
                namespace = _namespace(row["thread_id"])
                turn = client.store.get_item(namespace, key)["value"]
                value = {**turn, "messages": [*turn["messages"][:1], *messages]}
                client.store.put_item(namespace, key=key, value=value, index=False)

    def forget_question(self, thread_id: str, question_id: str) -> None:
        """Take the thread's newest question back, if it is `question_id`, unless a run has begun on it."""
        with self._thread(thread_id) as (client, row):
            if row is None or (talk := _talk_of(row)).get("newest") != question_id:
                return
            states = _history(client, row["thread_id"])
            if not any(_metadata_of(state).get(ASKED) == question_id for state in states):
                kept = _kept(client, row)
                talk = _moved(talk, kept, kept[question_id]["parent"])
                client.threads.update(row["thread_id"], metadata={TALK: talk})
                client.store.delete_item(_namespace(row["thread_id"]), key=question_id)

    def move(self, thread_id: str, checkpoint_id: str) -> None:
        """Make the question whose run wrote `checkpoint_id` the newest one."""
        with self._thread(thread_id) as (client, row):
            if row is not None:
                asked = _asked_at(_history(client, row["thread_id"]), checkpoint_id)
                talk = _moved(_talk_of(row), _kept(client, row), asked)
                client.threads.update(row["thread_id"], metadata={TALK: talk})

    def note_empty(self, thread_id: str) -> None:
        """Note that the thread's newest checkpoint is its empty beginning."""
        with self._thread(thread_id) as (client, row):
            if row is not None:
                here = _checkpoint_of(_as_row(client.threads.get_state(row["thread_id"])))
                talk = _talk_of(row)
                emptied = [*talk.get("emptied", []), here]
                talk = {**_moved(talk, {}, None), "emptied": emptied}
                client.threads.update(row["thread_id"], metadata={TALK: talk})

    @contextmanager
    def _thread(self, thread_id: str) -> Iterator[tuple[SyncLangGraphClient, Row | None]]:
        with self._client() as client:
            yield client, _find(client, thread_id)

    @contextmanager
    def _client(self) -> Iterator[SyncLangGraphClient]:
        """Yield the client, whose connection is kept open and closed when this object is collected."""
        if self._opened is None:
            check_server(self._server)
            self._opened = build_sync_client(self._server)
            weakref.finalize(self, self._opened.close)
        with server_failures(self._server):
            yield self._opened


def _find(client: SyncLangGraphClient, thread_id: str) -> Row | None:
    try:
        return _as_row(client.threads.get(_as_uuid(thread_id)))
    except NotFoundError:
        named = client.threads.search(metadata={NAME: thread_id}, limit=1)
        return _as_row(named[0]) if named else None


def _namespace(uuid: str) -> list[str]:
    """Return where the store keeps the turns of the thread `uuid`."""
    return ["chatcli", "turns", uuid]


def _talk_of(row: Row) -> Row:
    """Return the turns that the metadata of the thread `row` lists; empty if there are none."""
    return _metadata_of(row).get(TALK) or {}


def _kept(client: SyncLangGraphClient, row: Row) -> dict[str, Row]:
    """Return the turns of the thread `row` that are in the store, on all branches, by the IDs of their questions."""
    found: dict[str, Row] = {}
    while _talk_of(row):
        page = client.store.search_items(_namespace(row["thread_id"]), limit=PAGE, offset=len(found))["items"]
        found |= {item["key"]: item["value"] for item in page}
        if len(page) < PAGE:
            break
    return found


def _talk(client: SyncLangGraphClient, row: Row) -> Row:
    """Return the messages of the thread `row` that are in the store, as a state has them; empty if there are none."""
    if not (talk := _talk_of(row)):
        return {}
    branch = _branch(_kept(client, row), talk.get("newest"))
    return {"messages": [message for turn in branch for message in turn["messages"]]}


def _branch(kept: Mapping[str, Row], newest: str | None) -> list[Row]:
    """Return the turns from the first one to that of the question `newest`."""
    turns: list[Row] = []
    while newest is not None and newest in kept:
        turns.append(kept[newest])
        newest = turns[-1]["parent"]
    return turns[::-1]


def _moved(talk: Row, kept: Mapping[str, Row], newest: str | None) -> Row:
    """Return `talk` with the question `newest` as the newest one; None for the beginning."""
    branch = _branch(kept, newest)
    title = _as_title(_text(branch[0]["messages"][0].get("content"))) if branch else ""
    return {**talk, "newest": newest, "turns": len(branch), "title": title}


def _asked_at(states: Sequence[Row], checkpoint: str) -> str | None:
    """Return the ID of the question whose run wrote `checkpoint`, or the one that it goes back to."""
    known = {_checkpoint_of(state): state for state in states}
    state = known.get(checkpoint)
    while state is not None and ASKED not in _metadata_of(state):  # an update has no labels
        state = known.get(_parent_of(state) or "")
    return None if state is None else str(_metadata_of(state)[ASKED])


def _rows(client: SyncLangGraphClient, limit: int | None = None) -> Iterator[Row]:
    """Yield the threads with their states, the newest first, `limit` of them at most."""
    offset = 0
    while limit is None or offset < limit:
        size = PAGE if limit is None else min(PAGE, limit - offset)
        page = client.threads.search(limit=size, offset=offset, sort_by="updated_at", sort_order="desc")
        for row in page:
            yield _with_values(client, _as_row(row))
        offset += len(page)
        if len(page) < size:
            return


def _history(client: SyncLangGraphClient, uuid: str) -> list[Row]:
    """Return the thread's states, the oldest first; without their values where the server can leave those out."""
    states: list[Row] = []
    while True:
        # In both forms that servers take: `langgraph dev` takes LangGraph's own.
        oldest = states[-1]["checkpoint"] if states else None
        before: Any = {**oldest, "configurable": dict(oldest)} if oldest else None
        select = ["metadata", "checkpoint", "parent_checkpoint"]
        page = client.threads.get_history(uuid, limit=PAGE, before=before, select=select)
        states += [_as_row(state) for state in page]
        if len(page) < PAGE:
            return states[::-1]


def _step(client: SyncLangGraphClient, state: Row, states: Sequence[Row], emptied: Sequence[str] | None) -> common.Step:
    """Return `state`, one of the thread's `states`, as a step; at those that are `emptied`, it has no messages."""
    here, parent = _checkpoint_of(state), _parent_of(state)
    source, title, turn = _metadata_of(state).get("source", ""), _metadata_of(state).get(TITLE, ""), 1
    if source == "input" and not title:  # a turn of another program: its question is in the next state
        following = next((other for other in states if _parent_of(other) == here), None)
        asked = [] if following is None else shown_in(_values(client, following))
        title = _as_title(next((message.text for message in reversed(asked) if message.role == "user"), ""))
    if source == "update" and emptied is not None:
        turn = 0 if here in emptied else 1
    elif source == "update":
        behind = next((other for other in states if _checkpoint_of(other) == parent), None)
        begins = behind is not None and _metadata_of(behind).get("source") == "input"
        turn = 0 if begins and not messages_in(_values(client, state)) else 1  # 0: rewound to the empty beginning
    return common.Step(here, parent, turn, title, source)


def _values(client: SyncLangGraphClient, state: Row) -> Row:
    if "values" not in state:
        state = _as_row(client.threads.get_state(state["checkpoint"]["thread_id"], checkpoint=state["checkpoint"]))
    return _values_of(state)


def _with_values(client: SyncLangGraphClient, row: Row) -> Row:
    """Return `row` with its state: the server lists none for a copy or an import without a run."""
    if row.get("values") is None and "graph_id" in _metadata_of(row):
        return {**row, "values": _values_of(_as_row(client.threads.get_state(row["thread_id"])))}
    return row


def _as_uuid(thread_id: str) -> str:
    try:
        return str(UUID(thread_id))
    except ValueError:
        return str(uuid5(NAMESPACE, thread_id))


def _as_row(value: Any) -> Row:
    """Return `value`, for which LangGraph's client has many types, as the JSON object that it is."""
    assert isinstance(value, Mapping)
    return value


def _summary_of(row: Row) -> common.ThreadSummary:
    """Return the summary of the thread `row`, which holds its state in `values`."""
    metadata = _metadata_of(row)
    questions = [message.text for message in shown_in(_values_of(row)) if message.role == "user"]
    talk = _talk_of(row)
    return common.ThreadSummary(
        thread_id=metadata.get(NAME) or row["thread_id"],
        title=metadata.get(TITLE) or talk.get("title") or _as_title(questions[0] if questions else ""),
        model=f"{SERVER}:{metadata['graph_id']}" if "graph_id" in metadata else "",
        turns=talk.get("turns", len(questions)),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _as_title(text: str) -> str:
    return one_line(text, TITLE_LENGTH)


def _metadata_of(row: Row) -> Row:
    return row.get("metadata") or {}


def _values_of(row: Row) -> Row:
    """Return the state that `row` holds; empty for a graph whose state is not a mapping."""
    values = row.get("values")
    return values if isinstance(values, Mapping) else {}


def messages_in(values: Row) -> list[Row]:
    """Return the messages of a state."""
    messages = values.get("messages")
    return [message for message in messages if isinstance(message, Mapping)] if isinstance(messages, list) else []


def shown_in(values: Row) -> list[MessageShown]:
    """Return the questions and answers of a state for display."""
    return [
        MessageShown(_role(message), text, (message.get("response_metadata") or {}).get("finish_reason") == INTERRUPTED)
        for message in messages_in(values)
        if message.get("type") in _SPEAKERS and (text := _text(message.get("content")))
    ]


def _role(message: Row) -> str:
    role = _SPEAKERS[message["type"]]
    return human_role(message.get("additional_kwargs") or {}) if role == "user" else role


def _checkpoint_of(state: Row) -> str:
    return str(_as_row(state["checkpoint"])["checkpoint_id"])


def _parent_of(state: Row) -> str | None:
    """Return the ID of the checkpoint before, None for a thread's first."""
    parent = state.get("parent_checkpoint")
    return str(parent["checkpoint_id"]) if parent else None


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "".join(
        block if isinstance(block, str) else block.get("text", "")
        for block in blocks
        if isinstance(block, str) or block.get("type") == "text"
    )
