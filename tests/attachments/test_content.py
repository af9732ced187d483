"""What is sent of a file: which one is read how, the blocks of the message, and images that providers would refuse."""

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from chatcli import attachments
from chatcli.attachments import content
from chatcli.attachments.attachment import Attachment, find_resources, identify, read_attachment
from chatcli.attachments.content import describe_attachment, fit_image, message_content, pdf_text, pixels
from chatcli.errors import ContextError, RefusedError, UsageError
from tests.attachments.samples import noise, pdf, picture


def drawn(size: tuple[int, int], kind: str = "PNG", **more: Any) -> bytes:
    data = io.BytesIO()
    Image.new(more.pop("mode", "RGB"), size, more.pop("colour", (200, 30, 60))).save(data, kind, **more)
    return data.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


WEBP = picture("WEBP")


@pytest.mark.parametrize(
    ("data", "kind", "media_type"),
    [
        (picture(), "image", "image/png"),
        (picture("JPEG"), "image", "image/jpeg"),
        (picture("GIF"), "image", "image/gif"),
        (WEBP, "image", "image/webp"),
        (pdf("text"), "pdf", "application/pdf"),
        (b"x" * 1019 + b"%PDF-1.4", "pdf", "application/pdf"),
        (b"x" * 1020 + b"%PDF-1.4", "text", "text/plain"),
        (b"RIFF is a word", "text", "text/plain"),
        ("Grüße".encode("cp1252") + b" und mehr davon", "text", "text/plain"),
    ],
)
def test_a_file_is_known_by_its_content(data: bytes, kind: str, media_type: str) -> None:
    found = identify("name", data)
    assert (found.name, found.kind, found.media_type, found.size) == ("name", kind, media_type, len(data))
    assert found.encoding == ("cp1252" if data.startswith(b"Gr") else "utf-8")
    assert len(repr(found)) < 200, "no content is in a traceback"
    with pytest.raises(RefusedError, match="neither text nor an image nor a PDF"):
        identify("name", bytes(range(256)) * 9)


def test_bytes_that_no_encoding_has_are_replaced() -> None:
    assert identify("a", b"\xef\xbb\xbfone \xff two").text == "one \ufffd two"


def test_a_path_is_read_from_the_home_and_a_folder_is_for_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.html").write_text("<html><p>text</p>")
    assert read_attachment("~/a.html").text == "<html><p>text</p>"  # it may be the topic
    with pytest.raises(UsageError, match="can't be attached: is a directory") as folder:
        read_attachment(str(tmp_path))
    assert folder.value.remedy == f"Answer from a folder's files: --docs {tmp_path}"
    with pytest.raises(UsageError, match="can't be attached: no such file") as missing:
        read_attachment("~/missing")
    assert missing.value.remedy == "Check the path."


def test_no_more_is_read_than_any_model_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachments, "MAX_BYTES", 2**20)
    (tmp_path / "a").write_bytes(b"x" * 2**20)
    assert read_attachment(str(tmp_path / "a")).size == 2**20
    assert read_attachment("-", stdin=io.BytesIO(b"x" * 2**20)).name == "stdin"
    (tmp_path / "a").write_bytes(b"x" * (2**20 + 1))
    with pytest.raises(ContextError, match="is larger than 1 MiB, some 262144 tokens"):
        read_attachment(str(tmp_path / "a"))
    with pytest.raises(ContextError, match="stdin is larger than"):
        read_attachment("-", stdin=io.BytesIO(b"x" * (2**20 + 1)))


def test_a_dash_needs_something_on_standard_input() -> None:
    closed = io.BytesIO()
    closed.close()

    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    for stdin in (None, closed, Terminal(b"typed")):
        with pytest.raises(UsageError, match="needs something on standard input"):
            read_attachment("-", stdin=stdin)


def test_a_resource_is_one_of_a_server_that_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs:file").touch()
    line = '@docs:a://b, @"docs:c d" @docs:a://b @other:x @docs: @docs:file @https:x me@docs:e @http://docs:1/x'
    assert find_resources(line, ["docs", "http", "https"]) == [("docs", "a://b"), ("docs", "c d"), ("https", "x")]
    assert find_resources("see:\n@docs:a\n```\nx @docs:b\n```\nand @docs:c", ["docs"]) == [("docs", "c")]


def blocks(text: str, *files: tuple[str, bytes], takes_pdf: bool = True) -> Any:
    return message_content(text, [identify(*file) for file in files], takes_pdf=takes_pdf)


def test_each_file_follows_its_label() -> None:
    png, paper = picture(), pdf("one", "two")
    found = blocks("Look.", ('a"b.png', png), ("c.txt", b"text\n"), ("d.pdf", paper), ("e.txt", b"end"))
    first, image, second, file, last = found
    assert first == {"type": "text", "text": 'Look.\n\n<file name=\'a"b.png\' type="image/png"/>'}
    assert image == {"type": "image", "base64": base64.b64encode(png).decode(), "mime_type": "image/png"}
    inside, _, _, label = second["text"].splitlines()[3:]
    assert (inside, label) == ("text", '<file name="d.pdf" type="application/pdf"/>')
    assert (file["type"], file["filename"], file["mime_type"], file["extras"]) == (
        *("file", "d.pdf", "application/pdf"),
        {"pages": 2},
    )
    assert base64.b64decode(file["base64"]) == paper
    assert last["text"].splitlines()[3] == "end"
    assert blocks("Look.", ("a.png", png))[-1] == image, "and no empty text behind it"


def test_the_text_of_a_pdf_is_sent_to_a_model_that_takes_none() -> None:
    text = blocks("Look.", ("d.pdf", pdf("one", "", "two")), takes_pdf=False)
    assert text.splitlines()[3:6] == ["one", "", "two"]
    with pytest.raises(RefusedError, match="has no text, and the model does not take PDF files"):
        pdf_text("d.pdf", pdf("", ""))
    with pytest.raises(UsageError, match=r"d\.pdf can't be read as a PDF"):
        pdf_text("d.pdf", b"%PDF-1.4\nnothing more")


def test_what_is_recalled_is_labelled_already() -> None:
    assert message_content("Look.", [Attachment("x", "recalled", "", text="as it is")], takes_pdf=False) == (
        "Look.\n\nas it is"
    )


@pytest.mark.parametrize("size", [(8001, 2), (2, 8001)])
def test_an_image_with_a_side_that_no_provider_takes_is_reduced(size: tuple[int, int]) -> None:
    data, media_type = fit_image("a", drawn(size), "image/png")
    assert (media_type, max(opened(data).size), opened(data).format) == ("image/jpeg", 2048, "JPEG")
    largest = drawn((8000, 2))
    assert fit_image("a", largest, "image/png") == (largest, "image/png")


def test_a_reduced_image_stays_upright_and_transparent(monkeypatch: pytest.MonkeyPatch) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # to be rotated by 90 degrees
    data, _ = fit_image("a", drawn((8001, 20), "JPEG", exif=turned), "image/jpeg")
    assert opened(data).size[1] == 2048
    clear = drawn((8001, 20), mode="RGBA", colour=(0, 0, 0, 0))
    data, media_type = fit_image("a", clear, "image/png")
    assert (media_type, opened(data).format, opened(data).convert("RGBA").getpixel((0, 0))) == (
        *("image/png", "PNG"),
        (0, 0, 0, 0),
    )
    monkeypatch.setattr(content, "MAX_IMAGE_BYTES", 20)  # where even that is too large
    data, media_type = fit_image("a", clear, "image/png")
    assert (media_type, opened(data).format) == ("image/jpeg", "JPEG")


def test_an_image_of_too_many_bytes_is_reduced() -> None:
    large = noise(1200)
    data, media_type = fit_image("a", large, "image/png")
    assert (len(large) > content.MAX_IMAGE_BYTES > len(data), media_type) == (True, "image/jpeg")
    assert opened(data).size == (1200, 1200)
    [_, block] = blocks("Look.", ("a.png", large))
    assert (base64.b64decode(block["base64"]), block["mime_type"]) == (data, "image/jpeg")
    [text, _] = blocks("Look.", ("a.png", large))
    assert text["text"].endswith('type="image/jpeg"/>')


def test_an_image_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UsageError, match="a has too many pixels"):
        pixels("a", drawn((11, 11)))
    assert pixels("a", drawn((10, 10))) == (10, 10)


@pytest.mark.parametrize(
    ("attachment", "line"),
    [
        (identify("a.png", picture()), "attached a.png: {} B, 32 x 16 pixels"),
        (identify("a.pdf", pdf("one")), "attached a.pdf: {} B, 1 page"),
        (identify("a.pdf", pdf("one", "two")), "attached a.pdf: {} B, 2 pages"),
        (identify("a.txt", b"four"), "attached a.txt: {} B, about 1 token"),
        (identify("a.txt", b"four" * 200), "attached a.txt: {} B, about 200 tokens"),
        (identify("a.txt", b""), "attached a.txt: {} B, about 1 token"),
    ],
)
def test_an_attachment_is_described(attachment: Attachment, line: str) -> None:
    assert describe_attachment(attachment) == line.format(attachment.size)


def test_what_was_recalled_is_described_by_the_words_that_found_it() -> None:
    recalled = Attachment("word\n" * 100, "recalled", "", text="four" * 3)
    assert describe_attachment(recalled) == (
        f"sent with what past threads say about {'word ' * 11}wo...: about 3 tokens"
    )
