"""Reads a file of any kind that can be imported; what is wrong with it is found before anything is written."""

import sys
from pathlib import Path

from chatcli.errors import UsageError
from chatcli.nested import read_json
from chatcli.transfer import own
from chatcli.transfer.chatgpt import is_chatgpt, read_chatgpt
from chatcli.transfer.document import ThreadDocument, check_unique, refuse
from chatcli.transfer.llm_log import MAGIC, read_llm_log
from chatcli.transfer.parse import parse_json

MAX_BYTES = 256 * 1024 * 1024
"""The largest JSON file that is read: it is held in memory several times over."""
KINDS = "chatcli's JSON and JSONL, ChatGPT's conversations.json, llm's logs.db"


def read_documents(path: Path) -> list[ThreadDocument]:
    """Return the threads in the file at `path`, "-" for standard input; each ID is there once.

    Raises:
        UsageError: It can't be read, is of no known kind, or something is wrong with it.

    """
    data = _read(path)
    documents = read_llm_log(path) if data.startswith(MAGIC) else _read_text(data)
    known: set[str] = set()
    for document in documents:
        check_unique("thread_id", document.thread_id, known)
    if not documents:
        raise refuse("the file", "it holds no conversation")
    return documents


def _read(path: Path) -> bytes:
    """Return the file, or only its beginning when it is a database."""
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
            if data.startswith(MAGIC):
                raise refuse("standard input", "a database must be a file")
            return _sized(data)
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
            return start if start == MAGIC else _sized(start + file.read(MAX_BYTES + 1))
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None


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
    raise refuse("the file", f"it is none of {KINDS}")


def _is_jsonl(text: str) -> bool:
    first = text.lstrip().partition("\n")[0]
    try:
        return own.is_jsonl_head(read_json(first))
    except ValueError:
        return False
