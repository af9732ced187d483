"""Reads a file of any kind that can be imported; what is wrong with it is found before anything is written."""

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import IO

from chatcli.errors import UsageError
from chatcli.runtime.parse import read_json
from chatcli.transfer import chatcli_json as own
from chatcli.transfer.archive import ZIP_MAGICS, read_archive
from chatcli.transfer.chatgpt import is_chatgpt, read_chatgpt
from chatcli.transfer.claude import is_claude, read_claude
from chatcli.transfer.document import NOTHING, ThreadDocument, check_unique, refuse
from chatcli.transfer.llm_log import MAGIC, read_llm_log
from chatcli.transfer.strict_json import parse_json

MAX_BYTES = 256 * 1024 * 1024
"""The largest JSON that is read, of a file or of all those in an archive: it is held in memory several times over."""
KINDS = "chatcli's JSON and JSONL, ChatGPT's and Claude's exports (.zip or conversations.json), llm's logs.db"
_START = 16


def read_documents(path: Path) -> list[ThreadDocument]:
    """Return the threads in the file at `path`, "-" for standard input; each ID is there once.

    Raises:
        UsageError: It can't be read, is of no known kind, or something is wrong with it.

    """
    documents = _read(path)
    known: set[str] = set()
    for document in documents:
        check_unique("thread_id", document.thread_id, known)
    if not documents:
        raise refuse("the file", "it holds no conversation")
    return documents


def _read(path: Path) -> list[ThreadDocument]:
    try:
        if str(path) == "-":
            data = _sized(sys.stdin.buffer.read(MAX_BYTES + 1))
            if data.startswith(MAGIC):
                raise refuse("standard input", "a database must be a file")
            return _read_archive(io.BytesIO(data)) if data.startswith(ZIP_MAGICS) else _read_text(data)
        with path.open("rb") as file:
            start = file.read(_START)
            if start.startswith(MAGIC):
                return read_llm_log(path)
            if start.startswith(ZIP_MAGICS):
                return _read_archive(file)
            return _read_text(_sized(start + file.read(MAX_BYTES + 1)))
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror or error}") from None


def _read_archive(file: IO[bytes]) -> list[ThreadDocument]:
    """Return the threads of all lists of conversations in an archive; what else it holds is left out."""
    archive = read_archive(file, MAX_BYTES)
    documents: list[ThreadDocument] = []
    for name, data in archive.lists.items():
        try:
            documents += _read_text(data)
        except UsageError as error:
            problem = error.message.removeprefix(f"{NOTHING}: ")
            raise refuse(name, problem) from None
    if documents:
        documents[0] = replace(documents[0], left_out=(*documents[0].left_out, *archive.others))
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
        # By newlines alone: str.splitlines also splits at characters that JSON may hold as they are.
        return own.read_jsonl(text.split("\n"))
    whole = parse_json(text)
    if own.is_json(whole):
        return [own.read_json(whole)]
    if isinstance(whole, list) and whole and all(map(own.is_json, whole)):
        return [own.read_json(item, f"[{number}].") for number, item in enumerate(whole)]
    if is_chatgpt(whole):
        return read_chatgpt(whole)
    if is_claude(whole):
        return read_claude(whole)
    raise refuse("the file", f"it is none of {KINDS}")


def _is_jsonl(text: str) -> bool:
    first = text.lstrip().partition("\n")[0]
    try:
        return own.is_jsonl_head(read_json(first))
    except ValueError:
        return False
