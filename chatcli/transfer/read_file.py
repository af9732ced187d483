"""Reads a file of any kind that can be imported, and checks all of it before anything is written."""

import io
import lzma
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO

from chatcli.errors import UsageError
from chatcli.runtime.parse import read_json
from chatcli.transfer import chatcli_json as own
from chatcli.transfer.chatgpt import read_chatgpt
from chatcli.transfer.claude import read_claude
from chatcli.transfer.document import NOTHING, ThreadDocument, check_unique, refuse
from chatcli.transfer.foreign import is_list_with, parse_json
from chatcli.transfer.llm_log import MAGIC, read_llm_log

MAX_BYTES = 256 * 1024 * 1024
"""The most bytes of JSON that are read from a file or an archive, since memory holds several copies."""
KINDS = "chatcli's JSON and JSONL, ChatGPT's and Claude's exports (.zip or conversations.json), llm's logs.db"

_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_LIST = re.compile(r"conversations([-_]\d+)?\.json", re.IGNORECASE)
_ENCRYPTED = 0x1
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, struct.error, OverflowError)


def read_documents(path: Path) -> list[ThreadDocument]:
    """Return the threads in the file at `path`, or on standard input if it is "-"; no two have the same ID."""
    documents = _read(path)
    known: set[str] = set()
    for document in documents:
        check_unique("thread_id", document.thread_id, known)
    if not documents:
        raise refuse("the file", "it has no conversations")
    return documents


def _read(path: Path) -> list[ThreadDocument]:
    try:
        if str(path) == "-":
            data = _sized(sys.stdin.buffer.read(MAX_BYTES + 1))
            if data.startswith(MAGIC):
                raise refuse("standard input", "a database must be a file")
            return _read_lists(io.BytesIO(data)) if data.startswith(_ZIP_MAGICS) else _read_text(data)
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
            if start.startswith(MAGIC):
                return read_llm_log(path)
            if start.startswith(_ZIP_MAGICS):
                return _read_lists(file)
            return _read_text(_sized(start + file.read(MAX_BYTES + 1)))
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror or error}") from None


def _read_lists(file: IO[bytes]) -> list[ThreadDocument]:
    """Return the threads of all lists of conversations in an archive; its other files are left out."""
    lists, others = _read_archive(file, MAX_BYTES)
    documents: list[ThreadDocument] = []
    for name, data in lists.items():
        try:
            documents += _read_text(data)
        except UsageError as error:
            raise refuse(name, error.message.removeprefix(f"{NOTHING}: ")) from None
    if documents:
        documents[0] = replace(documents[0], left_out=(*documents[0].left_out, *others))
    return documents


def _sized(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise refuse("the file", f"it is larger than {MAX_BYTES // 1024**2} MiB; split it")
    return data


def _read_text(data: bytes) -> list[ThreadDocument]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise refuse(f"line {line}", f"not UTF-8 at byte {error.start}") from None
    if _is_jsonl(text):
        # Not str.splitlines: it also splits at characters that JSON strings may contain.
        return own.read_jsonl(text.split("\n"))
    whole = parse_json(text)
    if own.is_json(whole):
        return [own.read_json(whole)]
    if isinstance(whole, list) and whole and all(map(own.is_json, whole)):
        return [own.read_json(item, f"[{number}].") for number, item in enumerate(whole)]
    if is_list_with(whole, "mapping"):
        return read_chatgpt(whole)
    if is_list_with(whole, "chat_messages"):
        return read_claude(whole)
    raise refuse("the file", f"its format is unknown; these can be imported: {KINDS}")


def _is_jsonl(text: str) -> bool:
    try:
        return own.is_jsonl_head(read_json(text.lstrip().partition("\n")[0]))
    except ValueError:
        return False


def _read_archive(file: IO[bytes], limit: int) -> tuple[Mapping[str, bytes], Sequence[str]]:
    """Return an archive's lists of conversations by name, at most `limit` bytes, and the names of its other files."""
    try:
        with zipfile.ZipFile(file) as archive:
            found = [info for info in archive.infolist() if not info.is_dir() and "__MACOSX/" not in info.filename]
            wanted = [info for info in found if _LIST.fullmatch(PurePosixPath(info.filename).name)]
            lists: dict[str, bytes] = {}
            for info in sorted(wanted, key=lambda info: info.filename):
                if info.flag_bits & _ENCRYPTED:
                    raise refuse(info.filename, "it is encrypted; unpack it first")
                with archive.open(info) as member:  # the size that the archive gives may be wrong
                    data = member.read(limit + 1)
                limit -= len(data)
                if limit < 0:
                    raise refuse(info.filename, "it is too large; unpack it and split it")
                lists[info.filename] = data
    except (NotImplementedError, RuntimeError) as error:  # an unsupported compression or encryption
        raise refuse("the archive", str(error)) from None
    except _DAMAGE as error:
        raise refuse("the archive", f"it is damaged: {error}") from None
    if not lists:
        raise refuse("the archive", "it has no conversations.json")
    return lists, [PurePosixPath(info.filename).name for info in found if info.filename not in lists]
