"""Reads what can be read of a damaged SQLite store: page by page, without SQLite, which stops at the first bad page."""

# The format is https://sqlite.org/fileformat2.html. Rows are read from every leaf page, even if no tree leads to it,
# and are recognised by the types of their columns. What is read of a thread are the values of its rows.

import json
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from chatcli.events import INTERRUPTED
from chatcli.store.errors import DamagedError
from chatcli.store.serde import CompressedSerializer, check_checkpoint, check_metadata, check_write
from chatcli.store.step_order import is_in_order
from chatcli.store.threads import chain

Value = int | float | str | bytes | None
Row = Sequence[Value]
Key = tuple[str, ...]

_TABLE_LEAF, _INDEX_LEAF = 0x0D, 0x0A
_SIZES = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
_OWN_SIZE, _DEFAULT_SIZE = 8192, 4096
"""The size of pages in a store that chatcli made, and in one that a plain LangGraph checkpointer made."""
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_WAL_HEADER, _FRAME_HEADER = 32, 24


class _BadCellError(Exception):
    """A cell that can't be read."""


@dataclass(slots=True)
class Contents:
    """What a store holds, as far as it can be read."""

    # LangGraph's rows: thread, namespace, ID, parent, type, checkpoint, metadata.
    checkpoints: dict[Key, Row] = field(default_factory=dict)
    # LangGraph's rows: thread, namespace, checkpoint, task, its path, index, channel, type, value.
    writes: dict[Key, Row] = field(default_factory=dict)
    threads: dict[str, Row] = field(default_factory=dict)  # our index: thread, title, model, turns, made at, used at
    # Our index, in order: thread, message, checkpoint, role, text, whether it was interrupted.
    messages: dict[int, Row] = field(default_factory=dict)
    journal: dict[str, Row] = field(default_factory=dict)  # answers on their way: thread, question, text
    # What graphs keep: namespace, key, value, made at, changed at, expires at, minutes.
    items: dict[Key, Row] = field(default_factory=dict)

    def add(self, rowid: int | None, row: list[Value]) -> None:
        """Add a row to the table that it belongs to."""
        kinds = "".join(_KINDS[type(value)] for value in row)
        if rowid is None:
            if kinds == "ttt":
                self.journal[str(row[0])] = row
            elif kinds == "tttitt":
                self.threads[str(row[0])] = row
        elif kinds in _CHECKPOINTS:
            self.checkpoints[str(row[0]), str(row[1]), str(row[2])] = row
        elif kinds in _WRITES:
            where = _WRITES[kinds]
            known = [row[column] if column is not None else "" for column in where]
            self.writes[tuple(map(str, [*known[:4], known[5]]))] = known
        elif kinds == "nttttti":
            self.messages[rowid] = row[1:]
        elif kinds in _ITEMS:
            self.items[str(row[0]), str(row[1])] = row


_KINDS: Mapping[type, str] = {int: "i", float: "f", str: "t", bytes: "b", type(None): "n"}
_CHECKPOINTS = {"ttt" + parent + "tb" + metadata for parent in "tn" for metadata in "btn"}
_ITEMS = {"tt" + value + "tt" + expires for value in "bt" for expires in ("nn", "ti", "tf")}
_NEWER, _OLDER, _OLDEST = (0, 1, 2, 3, 4, 5, 6, 7, 8), (0, 1, 2, 3, 8, 4, 5, 6, 7), (0, 1, 2, 3, None, 4, 5, 6, 7)
_WRITES: Mapping[str, Sequence[int | None]] = {
    "tttttittb": _NEWER,
    "tttttittn": _NEWER,
    "ttttittbt": _OLDER,
    "ttttittnt": _OLDER,
    "ttttittb": _OLDEST,
    "ttttittn": _OLDEST,
}
"""The columns of LangGraph's writes in each order that LangGraph's versions use, as positions of our order."""


def read_contents(path: Path) -> Contents:
    """Return the readable rows of the store at `path`, including its write-ahead log."""
    data = path.read_bytes()
    wal = path.with_name(f"{path.name}-wal")
    log = wal.read_bytes() if wal.exists() else b""
    best = Contents()
    for size in _page_sizes(data, log):
        contents = Contents()
        for rowid, row in _Pages(data, size, log).rows():
            contents.add(rowid, row)
        if len(contents.checkpoints) > len(best.checkpoints) or size == _OWN_SIZE:
            best = max(contents, best, key=lambda found: len(found.checkpoints) + len(found.messages))
        if size == _OWN_SIZE and best.checkpoints:
            break
    return best


def _page_sizes(data: bytes, log: bytes) -> list[int]:
    """Return the sizes that pages may have, the likeliest first; the size in the header may be wrong."""
    (in_header,) = struct.unpack_from(">H", data.ljust(18, b"\0"), 16)
    (logged,) = struct.unpack_from(">I", log.ljust(12, b"\0"), 8)
    named = [65536 if size == 1 else size for size in (in_header, logged)]
    return [size for size in dict.fromkeys((*named, _OWN_SIZE, _DEFAULT_SIZE)) if size in _SIZES]


class _Pages:
    def __init__(self, data: bytes, size: int, log: bytes) -> None:
        self._data, self._size = data, size
        self._newer: dict[int, bytes] = {}
        self._read_log(log)

    def _read_log(self, data: bytes) -> None:
        """Add the pages of all committed transactions of the write-ahead log."""
        frame = _FRAME_HEADER + self._size
        if len(data) < _WAL_HEADER:
            return
        salt = data[16:24]
        pending: dict[int, bytes] = {}
        for start in range(_WAL_HEADER, len(data) - frame + 1, frame):
            number, committed = struct.unpack_from(">II", data, start)
            if data[start + 8 : start + 16] != salt:  # of the log's last round
                return
            pending[number] = data[start + _FRAME_HEADER : start + frame]
            if committed:
                self._newer |= pending
                pending = {}

    def rows(self) -> Iterator[tuple[int | None, list[Value]]]:
        """Yield every row that can be read, with its ID, None in a table without."""
        count = max(len(self._data) // self._size, max(self._newer, default=0))
        for number in range(1, count + 1):
            page = self._page(number)
            start = 100 if number == 1 else 0
            if len(page) < self._size or page[start] not in (_TABLE_LEAF, _INDEX_LEAF):
                continue
            (cells,) = struct.unpack_from(">H", page, start + 3)
            for cell in range(min(cells, self._size // 4)):
                pointer = start + 8 + 2 * cell
                try:
                    (offset,) = struct.unpack_from(">H", page, pointer)
                    yield self._cell(page, offset, with_id=page[start] == _TABLE_LEAF)
                except (_BadCellError, struct.error, IndexError, UnicodeDecodeError, OverflowError):
                    continue

    def _page(self, number: int) -> bytes:
        return self._newer.get(number) or self._data[(number - 1) * self._size : number * self._size]

    def _cell(self, page: bytes, offset: int, *, with_id: bool) -> tuple[int | None, list[Value]]:
        length, offset = _varint(page, offset)
        rowid = None
        if with_id:
            rowid, offset = _varint(page, offset)
        return rowid, _record(self._payload(page, offset, length, with_id=with_id))

    def _payload(self, page: bytes, offset: int, length: int, *, with_id: bool) -> bytes:
        """Return a cell's payload, which continues in a chain of other pages if it is long."""
        usable = self._size  # no byte of a page is reserved
        most = usable - 35 if with_id else (usable - 12) * 64 // 255 - 23
        if length <= most:
            local = length
        else:
            least = (usable - 12) * 32 // 255 - 23
            local = least + (length - least) % (usable - 4)
            local = local if local <= most else least
        if length > len(self._data) + len(self._newer) * self._size:
            raise _BadCellError
        pieces, rest = [page[offset : offset + local]], length - local
        if rest:
            (number,) = struct.unpack_from(">I", page, offset + local)
            while rest > 0:
                overflow = self._page(number)
                if number < 1 or len(overflow) < self._size:
                    raise _BadCellError
                pieces.append(overflow[4 : 4 + rest])
                rest -= len(pieces[-1])
                (number,) = struct.unpack_from(">I", overflow, 0)
        payload = b"".join(pieces)
        if len(payload) != length:
            raise _BadCellError
        return payload


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    value = 0
    for index in range(offset, offset + 8):
        value = value << 7 | data[index] & 0x7F
        if data[index] < 0x80:
            return value, index + 1
    return value << 8 | data[offset + 8], offset + 9


def _record(data: bytes) -> list[Value]:
    header, offset = _varint(data, 0)
    if not 1 <= header <= min(len(data), 200):  # our rows have few columns
        raise _BadCellError
    row: list[Value] = []
    position = header
    while offset < header:
        kind, offset = _varint(data, offset)
        value, width = _value(data, position, kind)
        row.append(value)
        position += width
    if position != len(data):
        raise _BadCellError
    return row


def _value(data: bytes, offset: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, 0
    if kind in _INTEGERS:
        width = _INTEGERS[kind]
        return int.from_bytes(data[offset : offset + width], signed=True), width
    if kind == 7:
        return float(struct.unpack_from(">d", data, offset)[0]), 8
    if kind in (8, 9):
        return kind - 8, 0
    if kind < 12:
        raise _BadCellError
    width = (kind - 12) // 2
    piece = data[offset : offset + width]
    return (piece if kind % 2 == 0 else piece.decode()), width


@dataclass(slots=True)
class ThreadRows:
    """The rows of a thread, as far as they can be read."""

    checkpoints: list[Row] = field(default_factory=list)
    writes: list[Row] = field(default_factory=list)
    messages: list[Row] = field(default_factory=list)
    summary: Row | None = None


@dataclass(frozen=True, slots=True)
class ThreadValues:
    """A thread's values: by checkpoint the state, the metadata, the messages, the parent."""

    states: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Mapping[str, Any]]
    messages: Mapping[str, Sequence[BaseMessage]]
    parents: Mapping[str, str | None]
    unreadable: int  # how many rows can't be read, or have a parent that is missing
    lost: int  # the same number, plus the messages that only the index has
    lost_messages: int  # how many rows with messages can't be read, nor are these in the index


def has_unreadable(path: Path) -> bool:
    """Return whether a row of the store at `path` has a value that can't be read, although SQLite finds no damage."""
    serde = CompressedSerializer()
    return any(read_values(thread, serde).unreadable for thread in rows_by_thread(read_contents(path)).values())


def rows_by_thread(contents: Contents) -> dict[str, ThreadRows]:
    """Return the rows of each thread by its ID."""
    threads: dict[str, ThreadRows] = {}
    for row in sorted(contents.checkpoints.values(), key=lambda row: str(row[2])):
        threads.setdefault(str(row[0]), ThreadRows()).checkpoints.append(row)
    for row in contents.writes.values():
        threads.setdefault(str(row[0]), ThreadRows()).writes.append(row)
    for _, row in sorted(contents.messages.items()):
        threads.setdefault(str(row[0]), ThreadRows()).messages.append(row)
    for thread_id, row in contents.threads.items():
        threads.setdefault(thread_id, ThreadRows()).summary = row
    return threads


def read_values(thread: ThreadRows, serde: CompressedSerializer) -> ThreadValues:
    """Return the values of `thread`; a message that can't be read is taken from the index if it is there."""
    states: dict[str, Mapping[str, Any]] = {}
    facts: dict[str, Mapping[str, Any]] = {}
    parents: dict[str, str | None] = {}
    messages: dict[str, list[BaseMessage]] = {}
    unread = Counter[str]()
    lost = 0
    for row in thread.checkpoints:
        _, namespace, name, parent, kind, value, metadata = row
        state: dict[str, Any] = {"channel_values": {}}
        read: dict[str, Any] = {}
        try:
            found = serde.loads_typed((cast("str", kind), cast("bytes", value)))
            check_checkpoint(found)
            state = found
            labels = json.loads(cast("bytes", metadata or b"{}"))
            check_metadata(labels)
            read = labels
        except (DamagedError, ValueError, TypeError):
            lost += 1
        if namespace == "":
            own = str(state.get("id", name))  # a changed byte in the name of the row is not in the checkpoint, too
            lost += own != name
            parents[own] = None if parent is None else str(parent)
            states[own], facts[own] = state["channel_values"], read
    for row in sorted(thread.writes, key=lambda row: (str(row[2]), str(row[4]), str(row[3]), cast("int", row[5]))):
        _, namespace, name, _, _, _, channel, kind, value = row
        try:
            read = serde.loads_typed((cast("str", kind), cast("bytes", value)))
            check_write(channel, read)
        except DamagedError:
            lost += 1
            unread[str(name)] += namespace == "" and channel == "messages"
            continue
        if namespace == "" and channel == "messages":
            messages.setdefault(str(name), []).extend(messages_in(read))
    missing = sum(parent is not None and parent not in parents for parent in parents.values())
    lost += missing or not is_in_order(sorted(parents.items()))
    unreadable = lost
    known = {message.id for found in messages.values() for message in found}
    known |= {message.id for state in states.values() for message in messages_in(state.get("messages"))}
    for row in thread.messages:  # the index has a copy of the text
        _, message_id, name, role, text, cut = row
        if message_id not in known:
            lost += 1
            unread[str(name)] -= 1
            made_by = HumanMessage if role == "user" else AIMessage
            marks = {"finish_reason": INTERRUPTED} if cut and role != "user" else {}
            messages.setdefault(str(name), []).append(made_by(str(text), id=str(message_id), response_metadata=marks))
    lost += not thread.checkpoints
    return ThreadValues(states, facts, messages, parents, unreadable, lost, (+unread).total())


def messages_in(written: object) -> list[BaseMessage]:
    """Return the messages in the state of a checkpoint, which may be a full copy, or in what was written to it."""
    written = getattr(written, "value", written)
    found = written if isinstance(written, list) else [written]
    return [message for message in found if isinstance(message, BaseMessage) and message.type != "remove"]


def branches(read: ThreadValues) -> list[list[str]]:
    """Return the branches of a damaged thread, each as its checkpoints from the beginning; the best one first."""
    # That is the one with the newest checkpoint if it is whole, else the one with most messages. A checkpoint whose
    # parent can't be known follows the next older one of an earlier step.
    names = sorted({*read.parents, *read.messages})
    parents: dict[str, str | None] = {}
    guessed: set[str] = set()
    for index, name in enumerate(names):
        parents[name] = read.parents.get(name)
        if read.facts.get(name, {}).get("chatcli_turn") == 0:  # the thread was emptied here
            parents[name] = None
        elif not _is_parent(read, name, parents):
            guessed.add(name)
            parents[name] = _guessed_parent(read, names[:index], name)
    ends = sorted(parents.keys() - parents.values(), reverse=True)
    found = [chain(end, parents)[::-1] for end in ends]
    if found and guessed.isdisjoint(found[0]):
        return found
    return sorted(found, key=lambda branch: sum(len(read.messages.get(name, ())) for name in branch), reverse=True)


def _step(read: ThreadValues, name: str) -> int | None:
    """Return how many steps the graph had done at a checkpoint, None if it can't be read."""
    return cast("int | None", read.facts.get(name, {}).get("step"))


def _is_parent(read: ThreadValues, name: str, parents: Mapping[str, str | None]) -> bool:
    """Return whether the parent in `parents` of the checkpoint `name`, or that it has none, can be true."""
    parent = parents[name]
    if parent is None:
        return name in read.parents and (_step(read, name) or 0) <= 0
    return parent in parents and parent < name


def _guessed_parent(read: ThreadValues, older: Sequence[str], name: str) -> str | None:
    step = _step(read, name)
    for candidate in reversed(older):
        earlier = _step(read, candidate)
        if step is None or earlier is None or earlier < step:
            return candidate
    return None
