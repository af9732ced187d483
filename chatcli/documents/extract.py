"""A program of its own that gets the text out of PDF, DOCX and EPUB files: `read.py` runs and bounds it.

What it reads from standard input and writes to standard output are records: four bytes with the length of a JSON text,
that text, and, in a request, the content of the file.
"""

import io
import json
import logging
import os
import posixpath
import queue
import re
import resource
import sys
import threading
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import BinaryIO
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import psutil

from chatcli.attachments.html import html_pieces, join_pieces

MAX_UNPACKED = 256 * 1024 * 1024
"""The most bytes of the files in an archive, and of the text of a document."""
_WATCH_SECONDS = 0.02
_MAX_MEMBERS = 20_000
_MAX_PAGES = 10_000
_HEADING = re.compile(r"(/?)h([1-6])")
_STYLE = re.compile(r"(?:heading|titre|überschrift|encabezado) ?([1-6])", re.IGNORECASE)
_CHARACTERS = {"br": "\n", "cr": "\n", "tab": "\t", "noBreakHyphen": "-"}
_APART = frozenset(("AlternateContent", "del", "drawing", "moveFrom", "object", "pict", "pPr", "rPr"))
"""What of a paragraph in a DOCX file is no text of it."""

Line = tuple[str, int]
"""A line and, if it is a heading, its level from 1; else 0."""


class _ExtractError(Exception):
    """The file can't be read, for a reason that is part of a sentence."""


def main(memory: int, exit_code: int | None) -> None:
    """Answer requests until standard input ends.

    The process may take `memory` bytes. One that has taken more ends with `exit_code`; None if the kernel sees to that.
    """
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    requests: queue.SimpleQueue[tuple[str, float, bytes]] = queue.SimpleQueue()
    source, target = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # a library that prints must not disturb the records
    threading.Thread(target=_receive, args=(source, requests), daemon=True).start()
    if exit_code is not None:
        threading.Thread(target=_watch_memory, args=(memory, exit_code), daemon=True).start()
    while True:
        kind, seconds, data = requests.get()
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime + seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        answer = json.dumps(_answer(kind, data)).encode()
        target.write(len(answer).to_bytes(4, "big") + answer)
        target.flush()


def _receive(source: BinaryIO, requests: "queue.SimpleQueue[tuple[str, float, bytes]]") -> None:
    """Hand on the requests; end the process as soon as the parent is gone, whatever is being read then."""
    while header := source.read(4):
        request = json.loads(source.read(int.from_bytes(header, "big")))
        requests.put((request["kind"], request["seconds"], source.read(request["size"])))
    os._exit(0)


def _watch_memory(limit: int, exit_code: int) -> None:
    this = psutil.Process()
    while this.memory_info().rss <= limit:
        time.sleep(_WATCH_SECONDS)
    os._exit(exit_code)


def _answer(kind: str, data: bytes) -> dict[str, object]:
    try:
        return {"parts": list(_READERS[kind](data))}
    except _ExtractError as error:
        return {"problem": str(error)}
    except (MemoryError, RecursionError):
        return {"problem": "it needs too much memory"}
    except Exception as error:  # noqa: BLE001  # the libraries raise anything on a damaged file
        return {"problem": f"it is damaged ({type(error).__name__})"}


def pdf_pages(data: bytes) -> Iterator[str]:
    """Yield the text of each page of a PDF."""
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise _ExtractError("it is encrypted")
    if len(reader.pages) > _MAX_PAGES:
        raise _ExtractError(f"it has more than {_MAX_PAGES} pages")
    size = 0
    for page in reader.pages:
        text = page.extract_text()
        size += len(text)
        if size > MAX_UNPACKED:
            raise _ExtractError("it has too much text")
        yield text.encode("utf-8", "replace").decode()


def docx_lines(data: bytes) -> Iterator[Line]:
    """Yield the lines of a DOCX file: its paragraphs, and the rows of its tables."""
    with _bounded(data) as file:
        name = _related(file, "", "officeDocument")
        document, styles = _xml(file.read(name)), _related(file, name, "styles")
        listed = _xml(file.read(styles)).findall("{*}style") if styles else ()
    names = {_attribute(style, "styleId"): _attribute(style.find("{*}name"), "val") for style in listed}
    for item in document.iterfind("{*}body/*"):
        if item.tag.endswith("}tbl"):
            yield from ((row, 0) for row in _rows(item))
            yield "", 0
        elif item.tag.endswith("}p"):
            style = _STYLE.match(names.get(_attribute(item.find("{*}pPr/{*}pStyle"), "val"), ""))
            for line in "".join(_texts(item)).splitlines() or [""]:
                yield line, int(style[1]) if style and line.strip() else 0
            yield "", 0


def _related(file: zipfile.ZipFile, part: str, kind: str) -> str:
    """Return the name of the part of `file` that `part` names as its `kind`; empty if there is none."""
    folder, name = posixpath.split(part)
    for one in _xml(file.read(posixpath.join(folder, "_rels", f"{name}.rels"))):
        if one.get("Type", "").endswith(f"/{kind}"):
            return posixpath.normpath(posixpath.join("/", folder, one.get("Target", ""))).strip("/")
    return ""


def _attribute(element: ET.Element | None, name: str) -> str:
    found = () if element is None else element.items()
    return next((value for key, value in found if key.endswith(f"}}{name}")), "")


def _texts(element: ET.Element) -> Iterator[str]:
    """Yield the texts of a paragraph, or a part of it, without what is deleted or stands in a box."""
    for child in element:
        kind = child.tag.rpartition("}")[2]
        if kind == "t":
            yield child.text or ""
        elif kind in _CHARACTERS:
            yield _CHARACTERS[kind]
        elif kind not in _APART:
            yield from _texts(child)


def _rows(table: ET.Element) -> Iterator[str]:
    """Yield the rows of a table as lines; a cell that goes on below is repeated there."""
    above: dict[int, str] = {}
    for row in table.iterfind("{*}tr"):
        column, texts = 0, []
        for cell in row.iterfind("{*}tc"):
            merged = cell.find("{*}tcPr/{*}vMerge")
            if merged is None or _attribute(merged, "val") == "restart":
                paragraphs = ("".join(_texts(paragraph)) for paragraph in cell.iterfind("{*}p"))
                above[column] = " ".join(" ".join(paragraphs).split())
            texts.append(above.get(column, ""))
            column += int(_attribute(cell.find("{*}tcPr/{*}gridSpan"), "val") or 1)
        yield " | ".join(texts)


def epub_lines(data: bytes) -> Iterator[Line]:
    """Yield the lines of the chapters of an EPUB file, in order."""
    with _bounded(data) as book:
        container = _xml(book.read("META-INF/container.xml"))
        root = next((file.get("full-path") for file in container.iter() if file.tag.endswith("}rootfile")), None)
        if root is None:
            raise _ExtractError("it names no content")
        package = _xml(book.read(root))
        items: dict[str | None, ET.Element] = {
            item.get("id"): item for item in package.iter() if item.tag.endswith("}item")
        }
        for place in package.iter():
            item = items.get(place.get("idref")) if place.tag.endswith("}itemref") else None
            if item is None or "html" not in (item.get("media-type") or ""):
                continue
            name = posixpath.normpath(posixpath.join(posixpath.dirname(root), unquote(item.get("href") or "")))
            try:
                page = book.read(name).decode("utf-8", "replace")
            except KeyError:
                continue  # a chapter that is missing
            yield from html_lines(page)


def html_lines(page: str) -> Iterator[Line]:
    """Yield the lines that are seen of a web page, with a blank one between blocks."""
    level, texts = 0, list[str]()
    for start, end, tag in html_pieces(page):
        if not tag:
            texts.append(page[start:end])
            continue
        if line := join_pieces(texts):
            yield line, level
            yield "", 0
        texts = []
        heading = _HEADING.fullmatch(tag)
        level = int(heading[2]) if heading and not heading[1] else 0
    if line := join_pieces(texts):
        yield line, 0


def _xml(data: bytes) -> ET.Element:
    if b"<!ENTITY" in data:  # no book needs any, and they can grow without end
        raise _ExtractError("it has XML entities")
    return ET.fromstring(data)  # noqa: S314  # without entities it takes linear time


def _bounded(data: bytes) -> zipfile.ZipFile:
    """Return the archive `data`, which does not grow beyond the limit when it is read: no more than it declares."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    members = archive.infolist()
    if len(members) > _MAX_MEMBERS or sum(member.file_size for member in members) > MAX_UNPACKED:
        archive.close()
        raise _ExtractError(f"it is larger than {MAX_UNPACKED // 2**20} MiB when it is unpacked")
    return archive


_READERS: dict[str, Callable[[bytes], Iterator[object]]] = {"pdf": pdf_pages, "docx": docx_lines, "epub": epub_lines}
