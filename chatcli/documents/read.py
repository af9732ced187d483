"""Reading a document: its passages, by the kind of file that it is.

A process of its own reads PDF, DOCX and EPUB files, whose readers may need any time and memory on a hostile file.
"""

import codecs
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import Any

from chatcli.attachments.attachment import decode, image_type, is_pdf
from chatcli.attachments.html import html_pieces, is_html, join_pieces
from chatcli.documents.passage import Passage
from chatcli.documents.split import MAX_LINE, MAX_PASSAGE, Cut, Outline, passages, prose_outline, text_lines
from chatcli.documents.structure import OUTLINES, Trail, notebook_passages, table_header, table_outline

MAX_BYTES = 64 * 1024 * 1024
"""The largest file that is read, in bytes."""
MAX_TEXT = 16 * 1024 * 1024
"""The largest text file that is read, in bytes; a larger one is data, such as a log."""
SPLITTER = 1
"""The version of how documents are read and split; passages of another version are read again."""
_ARCHIVES = {".docx": "docx", ".docm": "docx", ".epub": "epub"}
_PDF = b"%PDF-"
_PAGES = (".html", ".htm", ".xhtml")
_MAGICS = (
    *(b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"7z\xbc\xaf\x27\x1c", b"Rar!"),
    *(b"\x28\xb5\x2f\xfd", b"\x7fELF", b"MZ", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"\0asm", b"!<arch>\n"),
    *(b"OggS", b"fLaC", b"ID3", b"RIFF", b"II*\0", b"MM\0*", b"wOFF", b"wOF2", b"OTTO", b"\xd0\xcf\x11\xe0"),
    *(b"SQLite format 3\0", b"GGUF", b"\x89HDF", b"\x93NUMPY", b"\x80\x04", b"\x80\x05"),
)
"""How files begin that are no text."""
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_SAMPLE = 64 * 1024
_HEADING = re.compile(r"(/?)h([1-6])")
_TAG = re.compile(r"(?=<(?:p|div|li|h[1-6]|tr|section|article|dt|dd|br|pre|table|ul|ol)\b)", re.IGNORECASE)
CPU_SECONDS = 30.0
"""How long one file may be read."""
MEMORY = 1536 * 1024 * 1024
"""The most memory of the process, in bytes: the kernel bounds its address space, or it watches itself."""
_WAIT = 4
"""How many times its CPU seconds a file may take on a busy machine."""
_CHUNK = 1024 * 1024
_OUT_OF_MEMORY = 3
"""The exit code of a process that has taken more memory than it may, where it watches itself."""
_PROGRAM = """
import json, resource, sys
memory, exit_code, folders = json.loads(sys.argv[1])
if exit_code is None:
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (memory if hard < 0 else min(memory, hard), hard))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
sys.path += [folder for folder in folders if folder not in sys.path]
from chatcli.documents.extract import main
main(memory, exit_code)
"""


class UnreadableError(Exception):
    """A document can't be read, for a reason that is part of a sentence: "it is binary"."""


class Worker:
    """Runs `extract.py` for many files; it is ended, and started again for the next file, if one takes too much.

    The kernel bounds its memory, or not (`by_kernel`): macOS does not, and refuses a limit that is below the address
    space that every process has there.
    """

    def __init__(self, *, by_kernel: bool = sys.platform == "linux") -> None:
        self._by_kernel = by_kernel
        self._process: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            with process:  # closes its streams, and waits
                process.kill()

    def extract(self, kind: str, data: bytes, seconds: float = CPU_SECONDS) -> list[Any]:
        """Return the pages of a "pdf" file, or the lines of a "docx" or "epub" file with the levels of headings.

        `kind` says what `data` is, the content of the file; it may take `seconds` of CPU time. Raises `UnreadableError`
        if the file is damaged, or takes too much time or memory.
        """
        process = self._process = self._process or _start(by_kernel=self._by_kernel)
        header = json.dumps({"kind": kind, "seconds": seconds, "size": len(data)}).encode()
        request = len(header).to_bytes(4, "big") + header + data
        try:
            answer = json.loads(_exchange(process, request, time.monotonic() + _WAIT * seconds))
        except (OSError, ValueError, EOFError, TimeoutError) as error:
            self.close()
            if process.returncode == _OUT_OF_MEMORY:
                raise UnreadableError("it needs too much memory") from None
            slow = isinstance(error, TimeoutError) or process.returncode == -signal.SIGXCPU
            raise UnreadableError("it takes too long to read" if slow else "its reader crashed") from None
        except BaseException:
            self.close()  # the process is in the middle of an answer
            raise
        if "problem" in answer:
            raise UnreadableError(str(answer["problem"]))
        return list(answer["parts"])


def _start(*, by_kernel: bool) -> subprocess.Popen[bytes]:
    found = (find_spec(package) for package in ("chatcli", "pypdf"))
    folders = [str(Path(spec.origin).parents[1]) for spec in found if spec is not None and spec.origin]
    bounds = [MEMORY, None if by_kernel else _OUT_OF_MEMORY, folders]
    # Isolated, so that nothing is imported from the current folder; in its own session, so that Ctrl+C at the terminal
    # reaches this process alone; without the keys that the environment may hold.
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-W", "ignore", "-c", _PROGRAM, json.dumps(bounds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
        start_new_session=True,
        bufsize=0,
    )


def _exchange(process: subprocess.Popen[bytes], request: bytes, deadline: float) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    answer, waiting, size = bytearray(), memoryview(request), None
    with selectors.DefaultSelector() as selector:
        os.set_blocking(process.stdin.fileno(), False)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        selector.register(process.stdout, selectors.EVENT_READ)
        while size is None or len(answer) < 4 + size:
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                if key.fileobj is process.stdin:
                    waiting = waiting[os.write(key.fd, waiting[:_CHUNK]) :]
                    if not waiting:
                        selector.unregister(process.stdin)
                else:
                    data = os.read(key.fd, _CHUNK)
                    if not data:
                        raise EOFError
                    answer += data
            if size is None and len(answer) >= 4:
                size = int.from_bytes(answer[:4], "big")
    return bytes(answer[4:])


class DocumentReader(Worker):
    """Reads documents; PDF, DOCX and EPUB in a process of its own, which one reader uses for many files."""

    def read_passages(self, path: Path, data: bytes) -> list[Passage]:
        """Return the passages of `path`, whose content is `data`; raise UnreadableError if it can't be read."""
        if len(data) > MAX_BYTES:
            raise UnreadableError(f"it is larger than {MAX_BYTES // 2**20} MiB")
        ending = path.suffix.lower()
        if data.startswith(_PDF) or (ending == ".pdf" and is_pdf(data)):
            return _page_passages(path, self.extract("pdf", data))
        if ending in _ARCHIVES and data.startswith(b"PK"):
            return _line_passages(path, self.extract(_ARCHIVES[ending], data))
        decoded = None if _is_binary(data) else decode(data)
        if decoded is None:
            raise UnreadableError("it is binary")
        if len(data) > MAX_TEXT:
            raise UnreadableError(f"it is a text of more than {MAX_TEXT // 2**20} MiB")
        return _text_passages(path, ending, decoded[0])


def _is_binary(data: bytes) -> bool:
    """Return whether `data` is surely no text; to guess an encoding takes long for what has none."""
    if data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
        return False
    sample = data[:_SAMPLE]
    wide = b"\0" in sample
    if data.startswith(_MAGICS) or image_type(data):
        return wide or not _decodes(sample, "utf-8")
    return wide and not any(_decodes(sample, encoding) for encoding in _WIDE)


def _decodes(sample: bytes, encoding: str) -> bool:
    """Return whether `sample` is text in `encoding`, which has zero bytes."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return False
    return not any(letter < "\t" or letter == "\x7f" for letter in text)


def _text_passages(path: Path, ending: str, text: str) -> list[Passage]:
    lines = text_lines(text)
    if ending in _PAGES or (not ending and is_html(text)):
        return _web_page_passages(path, lines)
    if ending == ".ipynb" and (found := notebook_passages(path, lines)) is not None:
        return found
    outline = OUTLINES.get(ending, prose_outline)
    found = passages(path, lines, outline(lines))
    header = table_header(lines) if outline is table_outline else ""
    if not header:
        return found
    # The readable text of each passage has the names of the columns.
    return [found[0], *(replace(passage, plain=f"{header}\n{passage.text}") for passage in found[1:])]


def _web_page_passages(path: Path, lines: Sequence[str]) -> list[Passage]:
    """Return the passages of a web page: the `lines` of its source as they are, and the text that is seen of them."""
    page = "\n".join(lines)
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    pieces = list(html_pieces(page))
    ends = [end for _, end, _ in pieces]

    def plain(start: int, end: int) -> str:
        first, texts = bisect_right(ends, start), list[str | None]()
        for place in range(first, len(pieces)):
            begin, stop, tag = pieces[place]
            if begin >= end:
                break
            texts.append(None if tag else page[max(begin, start) : min(stop, end)])
        return join_pieces(texts)

    # What is seen counts; but the markup around it must stay small enough to be looked at.
    weights = [len(line) * MAX_PASSAGE // MAX_LINE for line in lines]
    for begin, stop, tag in pieces:
        if not tag:
            line = bisect_right(starts, begin) - 1
            while begin < stop:
                end = min(stop, starts[line + 1])
                weights[line] += end - begin
                begin, line = end, line + 1
    outline = _web_page_outline(page, lines, starts, pieces)
    return passages(path, lines, outline, plain=plain, weights=weights, breaks=_TAG)


def _web_page_outline(
    page: str, lines: Sequence[str], starts: Sequence[int], pieces: Sequence[tuple[int, int, str]]
) -> Outline:
    outline = prose_outline(lines)
    trail, heading, texts = Trail(), (0, 0), list[str]()
    indents = [start + len(line) - len(line.lstrip()) for start, line in zip(starts, lines, strict=False)]
    for begin, stop, tag in pieces:
        line = bisect_right(starts, begin) - 1
        if not tag:
            if heading[1]:
                texts.append(page[begin:stop])
            continue
        found = _HEADING.fullmatch(tag)
        first = begin == indents[line]
        if found and found[1] and heading[1]:
            outline.sections.append((heading[0], trail.add(heading[1], join_pieces(texts).replace("\n", " "))))
            heading = (0, 0)
        elif found and not found[1]:
            heading, texts = (line, int(found[2])), []
            outline.cuts[line] = Cut.SECTION if first else outline.cuts[line]
        elif first:
            outline.cuts[line] = max(outline.cuts[line], Cut.LINE if tag.startswith("/") else Cut.BLOCK)
    return outline


def _page_passages(path: Path, pages: Sequence[str]) -> list[Passage]:
    found: list[Passage] = []
    for number, text in enumerate(pages, 1):
        lines = text_lines(text)
        parts = passages(path, lines, prose_outline(lines))
        found += [replace(part, start_line=None, end_line=None, page=number) for part in parts]
    return found


def _line_passages(path: Path, found: Sequence[Sequence[Any]]) -> list[Passage]:
    """Return the passages of a document from its lines and the levels of those that are headings."""
    lines = [line for line, _ in found]
    outline, trail = prose_outline(lines), Trail()
    for place, (line, level) in enumerate(found):
        if level:
            outline.cuts[place] = Cut.SECTION
            outline.sections.append((place, trail.add(level, line)))
    return passages(path, lines, outline)
