"""Reading PDF, DOCX, EPUB and what is no text, each within bounds."""

import io
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from docx import Document
from docx.opc.packuri import PackURI
from docx.oxml import parse_xml

from chatcli.documents import extract, read
from chatcli.documents.passage import Passage
from chatcli.documents.read import MEMORY, DocumentReader, UnreadableError, Worker, _exchange
from tests.attachments.samples import pdf
from tests.waiting import WAIT_SECONDS

CONTAINER = '<container xmlns="urn:x"><rootfiles><rootfile full-path="OPS/a.opf"/></rootfiles></container>'
PACKAGE = (
    '<package xmlns="urn:y"><manifest><item id="two" href="b%20c.xhtml" media-type="application/xhtml+xml"/>'
    '<item id="one" href="../one.html" media-type="text/html"/><item id="pic" href="p.png" media-type="image/png"/>'
    '<item id="gone" href="gone.html" media-type="text/html"/></manifest>'
    '<spine><itemref idref="one"/><itemref idref="gone"/><itemref idref="pic"/><itemref idref="two"/></spine></package>'
)


@pytest.fixture(scope="module")
def reader() -> Iterator[DocumentReader]:
    with closing(DocumentReader()) as reader:
        yield reader


@pytest.fixture
def worker() -> Iterator[Worker]:
    with closing(Worker()) as worker:
        yield worker


def archive(**files: str | bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as zipped:
        for name, content in files.items():
            zipped.writestr(name.replace("__", "/"), content)
    return out.getvalue()


def book(one: str, two: str, container: str = CONTAINER) -> bytes:
    files = {"META-INF/container.xml": container, "OPS/a.opf": PACKAGE, "one.html": one, "OPS/b c.xhtml": two}
    files["OPS/p.png"] = "no chapter"
    return archive(**files)


def word(*paragraphs: tuple[str, int], rows: tuple[tuple[str, str], ...] = ()) -> bytes:
    document, out = Document(), io.BytesIO()
    for text, level in paragraphs:
        if level:
            document.add_heading(text, level)
        else:
            document.add_paragraph(text)
    if rows:
        table = document.add_table(len(rows), 2)
        for row, texts in zip(table.rows, rows, strict=True):
            row.cells[0].text, row.cells[1].text = texts
    document.save(out)
    return out.getvalue()


def problem(reader: DocumentReader, name: str, data: bytes) -> str:
    with pytest.raises(UnreadableError) as error:
        reader.read_passages(Path("/documents", name), data)
    return str(error.value)


def passages(reader: DocumentReader, name: str, data: bytes) -> list[Passage]:
    return reader.read_passages(Path("/documents", name), data)


def slow_pdf() -> bytes:
    """Return a PDF that takes minutes to read: a page of a million operators, many times."""
    return pdf(*["a) Tj (" * 400_000] * 8)


def test_a_pdf_has_passages_by_page(reader: DocumentReader) -> None:
    found = passages(reader, "a.pdf", pdf("First page.", "", "Third page."))
    assert [(passage.text, passage.page) for passage in found] == [("First page.", 1), ("Third page.", 3)]
    assert {(passage.start_line, passage.end_line, passage.headings) for passage in found} == {(None, None, ())}


def test_a_text_that_mentions_a_pdf_is_text(reader: DocumentReader) -> None:
    assert passages(reader, "a.md", b"A PDF begins with %PDF-1.4 or so.")[0].start_line == 1


def test_a_docx_has_the_lines_of_its_text_and_its_headings(reader: DocumentReader) -> None:
    data = word(("Guide", 1), ("Intro. " * 80, 0), ("Install", 2), ("Run\nit.", 0), rows=(("a", "b"), ("c", "d")))
    found = passages(reader, "a.docx", data)
    assert [(passage.start_line, passage.headings) for passage in found] == [(1, ("Guide",)), (5, ("Guide", "Install"))]
    assert found[1].text == "Install\n\nRun\nit.\n\na | b\nc | d"
    assert found[1].end_line == 11


def test_a_docx_has_what_word_shows_of_its_paragraphs_and_merged_cells(reader: DocumentReader) -> None:
    document, out = Document(), io.BytesIO()
    first = document.add_paragraph("one\ttwo ", style="Heading 2")
    first.add_run("three").font.bold = True
    w = f'xmlns:w="{first._p.nsmap["w"]}"'
    for part in (
        f"<w:del {w}><w:r><w:delText>gone</w:delText></w:r></w:del>",
        f"<w:ins {w}><w:r><w:t> four</w:t></w:r></w:ins>",
        f"<w:moveFrom {w}><w:r><w:t>elsewhere</w:t></w:r></w:moveFrom>",
        f"<w:r {w}><w:noBreakHyphen/><w:t>five</w:t><w:instrText>PAGE</w:instrText></w:r>",
        f"<w:r {w}><w:pict><w:p><w:r><w:t>box</w:t></w:r></w:p></w:pict></w:r>",
    ):
        first._p.append(parse_xml(part))
    first.paragraph_format.tab_stops.add_tab_stop(914400)
    table = document.add_table(3, 3)
    table.cell(0, 0).merge(table.cell(1, 0)).text = "left\nside"
    table.cell(0, 1).merge(table.cell(0, 2)).text = "wide"
    table.cell(1, 2).text = "b"
    table.cell(2, 0).text = "c"
    table = document.add_table(2, 3)
    table.cell(0, 0).merge(table.cell(0, 1)).text = "wide"
    table.cell(0, 2).merge(table.cell(1, 2)).text = "tall"
    document.save(out)
    (found,) = passages(reader, "a.docx", out.getvalue())
    assert found.headings == ("one\ttwo three four-five",)
    assert found.text.splitlines()[2:] == [
        *("left side | wide", "left side |  | b", "c |  | "),
        *("", "wide | tall", " |  | tall"),
    ]


def test_a_docx_may_keep_its_parts_elsewhere(reader: DocumentReader) -> None:
    document, out = Document(), io.BytesIO()
    document.add_heading("Guide", 3)
    document.part.partname = PackURI("/other/document2.xml")
    document.part._styles_part.partname = PackURI("/styles.xml")
    document.save(out)
    assert passages(reader, "a.docx", out.getvalue())[0].headings == ("Guide",)
    assert problem(reader, "a.docx", archive(**{"_rels__.rels": "<Relationships/>"})).startswith("it is damaged")


def test_an_epub_has_the_chapters_of_its_spine_in_order(reader: DocumentReader) -> None:
    one = f"<html><h1>One</h1><p>{'First &amp; foremost. ' * 40}</p></html>"
    found = passages(reader, "a.epub", book(one, "<html><h1>Two</h1><p>Second<br/>part.</p></html>"))
    assert [(passage.start_line, passage.end_line, passage.headings) for passage in found] == [
        (1, 3, ("One",)),
        (5, 9, ("Two",)),
    ]
    assert "First & foremost." in found[0].text


@pytest.mark.parametrize("name", ["a.pdf", "a.docx", "a.epub"])
def test_a_damaged_file_has_its_reason_and_the_next_one_is_read(reader: DocumentReader, name: str) -> None:
    whole = {"a.pdf": pdf("Hello."), "a.docx": word(("Hello.", 0)), "a.epub": book("<p>Hello.", "")}[name]
    assert problem(reader, name, whole[: len(whole) // 2].ljust(40)).startswith("it is damaged")
    assert passages(reader, name, whole)[0].text == "Hello."


def test_an_archive_that_grows_too_large_is_refused_before_it_is_unpacked(reader: DocumentReader) -> None:
    bomb = archive(word__document=b"0" * (257 * 2**20))
    assert problem(reader, "a.docx", bomb) == "it is larger than 256 MiB when it is unpacked"
    many = archive(**{f"f{number}": "" for number in range(20_001)})
    assert problem(reader, "a.epub", many) == "it is larger than 256 MiB when it is unpacked"


def test_a_file_that_lies_about_its_size_is_refused(reader: DocumentReader) -> None:
    data = book("0" * 1_000_000, "")
    lying = data.replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lying != data
    assert problem(reader, "a.epub", lying).startswith("it is damaged")


def test_xml_entities_are_not_expanded(reader: DocumentReader) -> None:
    entities = '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    assert problem(reader, "a.epub", book("", "", entities + CONTAINER)) == "it has XML entities"
    with zipfile.ZipFile(io.BytesIO(word(("Hello.", 0)))) as zipped:
        files = {name: zipped.read(name) for name in zipped.namelist()}
    body = files["word/document.xml"].split(b"?>", 1)[1].replace(b"Hello.", b"Hello &a;.")
    files["word/document.xml"] = entities.encode() + body
    try:
        text = "".join(passage.text for passage in passages(reader, "a.docx", archive(**files)))
    except UnreadableError:
        text = ""
    assert "root:" not in text


def test_deep_nesting_is_no_crash(reader: DocumentReader) -> None:
    deep = "<a>" * 200_000
    assert problem(reader, "a.epub", book("", "", deep)).startswith("it ")
    assert passages(reader, "a.epub", book("<div>" * 200_000 + "deep", ""))[0].text == "deep"


def test_an_encrypted_pdf_is_refused(reader: DocumentReader) -> None:
    from pypdf import PdfReader, PdfWriter

    out = io.BytesIO()
    writer = PdfWriter(PdfReader(io.BytesIO(pdf("Secret."))))
    writer.encrypt("word", algorithm="RC4-128")
    writer.write(out)
    assert problem(reader, "a.pdf", out.getvalue()) == "it is encrypted"
    out, writer = io.BytesIO(), PdfWriter(PdfReader(io.BytesIO(pdf("To be read, not to be printed."))))
    writer.encrypt("", "owner", algorithm="RC4-128")
    writer.write(out)
    assert passages(reader, "a.pdf", out.getvalue())[0].text == "To be read, not to be printed."


@pytest.mark.parametrize(
    ("bound", "value", "told"),
    [("_MAX_PAGES", 2, "it has more than 2 pages"), ("MAX_UNPACKED", 11, "it has too much text")],
)
def test_a_pdf_beyond_a_bound_is_refused(monkeypatch: pytest.MonkeyPatch, bound: str, value: int, told: str) -> None:
    assert extract._answer("pdf", pdf("four", "four", "four")) == {"parts": ["four"] * 3}
    monkeypatch.setattr(extract, bound, value)
    assert extract._answer("pdf", pdf("four", "four")) == {"parts": ["four"] * 2}
    assert extract._answer("pdf", pdf("four", "four", "four")) == {"problem": told}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "it needs too much memory"),
        (RecursionError(), "it needs too much memory"),
        (KeyError("x"), "it is damaged (KeyError)"),
    ],
)
def test_whatever_a_library_raises_is_a_reason(monkeypatch: pytest.MonkeyPatch, error: Exception, told: str) -> None:
    def fail(data: bytes) -> Iterator[object]:
        raise error

    monkeypatch.setitem(extract._READERS, "pdf", fail)
    assert extract._answer("pdf", b"") == {"problem": told}


def test_a_file_that_takes_too_long_is_given_up_and_the_next_one_is_read(worker: Worker) -> None:
    with pytest.raises(UnreadableError, match="it takes too long to read"):
        worker.extract("pdf", slow_pdf(), seconds=1)
    assert worker.extract("pdf", pdf("Hello.")) == ["Hello."]


@pytest.mark.linux  # which shows a process to others
def test_its_process_is_confined_and_ends_with_the_worker() -> None:
    with closing(Worker()) as worker:
        worker.extract("pdf", pdf("Hello."))
        assert worker._process is not None
        linux: Any = psutil  # whose types have no limits where macOS is checked
        process = linux.Process(worker._process.pid)
        assert process.cwd() == "/"
        assert os.getsid(process.pid) == process.pid  # Ctrl-C at the terminal does not reach it
        assert process.rlimit(linux.RLIMIT_CORE) == (0, 0)  # it holds a document
        assert process.rlimit(linux.RLIMIT_AS)[0] == MEMORY
    assert not process.is_running()


def test_an_interrupt_ends_the_process_which_is_in_the_middle_of_a_file(worker: Worker) -> None:
    worker.extract("pdf", pdf("Hello."))  # from now on, its process takes time for a file only
    assert worker._process is not None
    process, caller = psutil.Process(worker._process.pid), threading.get_ident()
    middle = process.cpu_times().user + 0.2

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    def interrupt_in_the_middle() -> None:
        while process.cpu_times().user < middle:
            time.sleep(0.01)
        signal.pthread_kill(caller, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    watching = threading.Thread(target=interrupt_in_the_middle)
    watching.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            worker.extract("pdf", slow_pdf())
    finally:
        watching.join()
        signal.signal(signal.SIGUSR1, before)
    assert worker.extract("pdf", pdf("Hello."), seconds=9) == ["Hello."]


def test_a_reader_that_waits_is_given_up(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatcli.documents.read._WAIT", 0)
    with pytest.raises(UnreadableError, match="it takes too long to read"):
        worker.extract("pdf", pdf("Hello."))
    monkeypatch.undo()
    assert worker.extract("pdf", pdf("Hello.")) == ["Hello."]


@pytest.mark.e2e
@pytest.mark.parametrize("by_kernel", [True, False], ids=["kernel", "watching"])
def test_a_file_that_takes_too_much_memory_is_given_up_and_the_next_one_is_read(
    monkeypatch: pytest.MonkeyPatch, by_kernel: bool
) -> None:
    if by_kernel and sys.platform != "linux":
        pytest.skip("only Linux bounds the address space")
    monkeypatch.setattr("chatcli.documents.read.MEMORY", 384 * 2**20)
    with zipfile.ZipFile(io.BytesIO(word(("Hello.", 0)))) as zipped:
        files = {name: zipped.read(name) for name in zipped.namelist()}
    files["word/document.xml"] = files["word/document.xml"].replace(b"<w:p>", b"<w:p/>" * 8_000_000 + b"<w:p>", 1)
    reasons = r"it needs too much memory|its reader crashed|it is damaged" if by_kernel else "it needs too much memory"
    with closing(Worker(by_kernel=by_kernel)) as worker:
        with pytest.raises(UnreadableError, match=reasons):
            worker.extract("docx", archive(**files))
        assert worker.extract("pdf", pdf("Hello.")) == ["Hello."]


def test_nothing_is_imported_from_the_current_folder_and_no_key_is_passed_on(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pypdf", "json", "resource", "chatcli", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nenv > "{tmp_path}/environment"\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    assert worker.extract("pdf", pdf("Hello.")) == ["Hello."]
    assert not (tmp_path / "imported").exists()
    assert "PWD" in (tmp_path / "environment").read_text()
    assert "sk-secret" not in (tmp_path / "environment").read_text()


@pytest.mark.e2e
@pytest.mark.parametrize("busy", [False, True])
def test_the_process_ends_with_its_parent(busy: bool) -> None:
    read_end, write_end = os.pipe()  # its end is seen when the last process that has it is gone
    program = f"""
import os, sys
from chatcli.documents import read
start = read.subprocess.Popen
read.subprocess.Popen = lambda *words, **options: start(*words, **options, pass_fds=[{write_end}])
one = read.Worker()
one.extract("pdf", {pdf("Hello.")!r})
os.close({write_end})
print("ready", flush=True)
if {busy}:
    from tests.documents.test_read import slow_pdf
    one.extract("pdf", slow_pdf())
sys.stdin.read()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[write_end]
    )
    os.close(write_end)
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        assert select.select([read_end], [], [], 0)[0] == []
        parent.send_signal(signal.SIGKILL)
    assert select.select([read_end], [], [], 60)[0] == [read_end]
    assert os.read(read_end, 1) == b""
    os.close(read_end)


def test_what_a_library_prints_is_not_on_the_screen(reader: DocumentReader, capfd: pytest.CaptureFixture[str]) -> None:
    assert passages(reader, "a.pdf", b"junk\n" + pdf("Hello."))[0].text == "Hello."  # the library warns of it
    assert capfd.readouterr() == ("", "")


def test_what_a_library_prints_is_no_part_of_an_answer_and_the_process_ends_with_its_input() -> None:
    program = """
import time
from chatcli.documents import extract
def read(data):
    print("noise", flush=True)
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    yield data.decode()
extract._READERS["pdf"] = read
extract.main(0, None)
"""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0
    ) as process:
        assert process.stdin is not None
        header = json.dumps({"kind": "pdf", "seconds": 0.9, "size": 4}).encode()
        request = len(header).to_bytes(4, "big") + header + b"text"
        for _ in range(4):  # each file has its seconds, whatever the process took before
            answer = _exchange(process, request, time.monotonic() + WAIT_SECONDS)
            assert json.loads(answer) == {"parts": ["text"]}
        process.stdin.close()
        assert process.wait(WAIT_SECONDS) == 0


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(50),
        b"PK\x03\x04" + bytes(range(256)),
        b"\x7fELF" + bytes(200),
        bytes(range(256)) * 10,
        b"\0" * 100,
        b"text\0text",
        bytes((number * 7919) % 251 for number in range(5000)),
    ],
)
def test_what_is_no_text_is_binary(reader: DocumentReader, data: bytes) -> None:
    assert problem(reader, "a.txt", data) == "it is binary"


def test_no_encoding_is_guessed_for_what_is_surely_binary(
    reader: DocumentReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "decode", None)
    assert problem(reader, "a.bin", b"\x7fELF" + bytes(200)) == "it is binary"
    assert problem(reader, "a.bin", bytes(range(1, 256)) + bytes(range(256)) * 300) == "it is binary"


@pytest.mark.parametrize("text", ["MZ is a prefix.", "ID3 tags", "GGUF files", "RIFF"])
def test_a_text_that_begins_like_a_binary_is_text(reader: DocumentReader, text: str) -> None:
    assert passages(reader, "a.txt", text.encode())[0].text == text


@pytest.mark.parametrize("text", ["中文文本。\n第二行。\n" * 20, "Plain text.\nMore of it.\n" * 20])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32-be"])
def test_wide_encodings_are_text(reader: DocumentReader, text: str, encoding: str) -> None:
    assert passages(reader, "a.txt", text.encode(encoding))[0].text.startswith(text.partition("\n")[0])


def test_a_file_that_is_too_large_is_refused(reader: DocumentReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "MAX_BYTES", 4 * 2**20)
    monkeypatch.setattr(read, "MAX_TEXT", 2**20)
    assert problem(reader, "a.pdf", bytes(4 * 2**20 + 1)) == "it is larger than 4 MiB"
    assert problem(reader, "a.log", b"x" * (2**20 + 1)) == "it is a text of more than 1 MiB"


def test_one_document_is_read_by_a_reader_of_its_own() -> None:
    with closing(DocumentReader()) as reader:
        assert reader.read_passages(Path("/documents/a.pdf"), pdf("Hello."))[0].page == 1
