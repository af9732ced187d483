"""Reading a document: its passages, by the kind of file that it is."""

from pathlib import Path
from types import TracebackType
from typing import Self

from chatcli.attachments.attachment import decode
from chatcli.documents.passage import Passage
from chatcli.documents.split import passages, prose_outline, text_lines
from chatcli.documents.structure import KIND_BY_ENDING, OUTLINES

MAX_BYTES = 64 * 1024 * 1024
"""The largest file that is read, in bytes."""
SPLITTER = 1
"""The version of how documents are read and split; passages of another version are read again."""


class UnreadableError(Exception):
    """A document can't be read, for a `reason` that is part of a sentence: "it is binary"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DocumentReader:
    """Reads documents; PDF, DOCX and EPUB in a process of its own, which one reader uses for many files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""

    def read_passages(self, path: Path, data: bytes) -> list[Passage]:
        """Return the passages of the document `path`, in order, whose content is `data`.

        Raises:
            UnreadableError: It can't be read.

        """
        if len(data) > MAX_BYTES:
            raise UnreadableError(f"it is larger than {MAX_BYTES // 2**20} MiB")
        decoded = decode(data)
        if decoded is None:
            raise UnreadableError("it is binary")
        lines = text_lines(decoded[0])
        outline = OUTLINES.get(KIND_BY_ENDING.get(path.suffix.lower(), ""), prose_outline)
        return passages(path, lines, outline(lines))


def read_passages(path: Path, data: bytes) -> list[Passage]:
    """Return the passages of one document, as `DocumentReader.read_passages` does."""
    with DocumentReader() as reader:
        return reader.read_passages(path, data)
