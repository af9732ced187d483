"""The attachments of a question: `@path` in a line, a path, a URL or standard input, recognised by their content."""

import codecs
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Literal

from chatcli.attachments import STDIN, read_all
from chatcli.errors import RefusedError, UsageError

_MENTION = re.compile(r"""(?:^|(?<=\s))@(?:"([^"\n]+)"|(\S+))""")
_CLOSING = ".,;:!?)]}'\""
_PATH = re.compile(r"(?:~|\.{0,2}/)?[^\s()<>{}\[\]=,;:|*@#$&\"'`\\]*")
"""The characters of a path; other text after an `@`, such as the call of a decorator, has others."""
_ENDING = re.compile(r"\.(?=\w*[a-zA-Z])\w{1,5}$")

_SAMPLE = 64 * 1024
"""Bytes from which an encoding is guessed."""
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: it begins with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDE = ["utf_16_le", "utf_16_be", "utf_32_le", "utf_32_be"]
_WESTERN = "cp1252"

Kind = Literal["text", "image", "pdf", "recalled"]

STDIN_NAME = "stdin"
_URL = ("http://", "https://")
_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_PDF = b"%PDF-"
_PDF_WITHIN = 1024  # bytes: readers accept that many other bytes before the header


def decode(data: bytes) -> tuple[str, str] | None:
    """Return the text of `data` and its encoding, which may be a guess; None if it is not text."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data.decode(encoding, errors="replace"), encoding
    wide = b"\0" in data[:_SAMPLE]
    if not wide:
        try:
            return data.decode("utf-8"), "utf-8"
        except UnicodeDecodeError:
            pass  # another encoding, or not text
    guessed = _guess(data[:_SAMPLE], wide=wide)
    return None if guessed is None else (data.decode(guessed, errors="replace"), guessed)


def _guess(sample: bytes, *, wide: bool) -> str | None:
    from charset_normalizer import from_bytes, is_binary

    if not wide and is_binary(sample):
        return None
    # Only UTF-16 and UTF-32 contain zero bytes, and they do in any language that has spaces.
    matches = from_bytes(sample, cp_isolation=_WIDE) if wide else from_bytes(sample, cp_exclusion=_WIDE)
    best = matches.best()
    if best is None:
        return None
    for match in matches:
        # A short Western text fits several code pages equally well; the most common one is likely.
        if _WESTERN in (match.encoding, *match.could_be_from_charset) and match.chaos <= best.chaos:
            return _WESTERN
    return best.encoding


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file as it was read: a text file has `text`, any other `data`; `name` is the name that the user gave.

    What was `recalled` of past threads has `text` that is labelled already (`store.recall`), and no bytes of a file.
    """

    name: str
    kind: Kind
    media_type: str
    text: str = field(default="", repr=False)
    data: bytes = field(default=b"", repr=False)
    encoding: str = "utf-8"
    size: int = 0
    """Number of bytes that were read."""


def read_attachment(
    source: str, *, stdin: BinaryIO | None = None, allow_private: bool = False, timeout: float | None = None
) -> Attachment:
    """Read `source`: a path, an http or https URL, or "-" for `stdin`.

    `allow_private` lets a URL redirect to a private address, and `timeout` is the seconds that it may take.
    """
    if source == STDIN:
        if stdin is None or stdin.closed or stdin.isatty():
            raise UsageError("-f - needs something on standard input", remedy="Pipe it in.")
        return identify(STDIN_NAME, read_all(STDIN_NAME, stdin))
    if source.startswith(_URL):
        # Imported here: most runs fetch nothing, and the HTTP client is large.
        from chatcli.attachments.html import readable
        from chatcli.attachments.web import fetch

        page = identify(source, fetch(source, allow_private=allow_private, timeout=timeout))
        return replace(page, text=readable(page.text))  # a local HTML file stays as it is: it may be the topic
    path = Path(source).expanduser()
    try:
        with path.open("rb") as file:
            return identify(source, read_all(source, file))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        remedy = f"Answer from a folder's files: --docs {source}" if path.is_dir() else "Check the path."
        raise UsageError(f"{source} can't be attached: {reason}", remedy=remedy) from None


def identify(name: str, data: bytes) -> Attachment:
    """Return `data` as the attachment `name`, recognised by its content."""
    if media_type := image_type(data):
        return Attachment(name, "image", media_type, data=data, size=len(data))
    if is_pdf(data):
        return Attachment(name, "pdf", "application/pdf", data=data, size=len(data))
    decoded = decode(data)
    if decoded is None:
        remedy = "Models take text, PNG, JPEG, WebP and GIF images, and PDF."
        raise RefusedError(f"{name} is neither text nor an image nor a PDF: no model takes it", remedy=remedy)
    text, encoding = decoded
    return Attachment(name, "text", "text/plain", text=text, encoding=encoding, size=len(data))


def image_type(data: bytes) -> str | None:
    """Return the media type of a PNG, JPEG, GIF or WebP image, None for anything else."""
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return next((media_type for magic, media_type in _IMAGES if data.startswith(magic)), None)


def is_pdf(data: bytes) -> bool:
    """Return whether `data` is a PDF."""
    return _PDF in data[:_PDF_WITHIN]


def find_mentions(line: str) -> list[str]:
    """Return the files and URLs that `line` mentions as `@path` or `@"a path"`, each once.

    Only files that exist count: `@someone` stays text. Punctuation after a path is not part of it.
    """
    mentioned = (quoted or _existing(bare) for quoted, bare in _MENTION.findall(line))
    return list(dict.fromkeys(source for source in mentioned if source.startswith(_URL) or _is_file(source)))


def find_resources(line: str, servers: Collection[str]) -> list[tuple[str, str]]:
    """Return the resources that `line` mentions as `@SERVER:URI`, each once: the server, one of `servers`, and the URI.

    See `missing_mentions` for what is code. A file of that name comes first.
    """
    found: dict[tuple[str, str], None] = {}
    for quoted, bare in _typed_mentions(line):
        mention = quoted or bare.rstrip(_CLOSING)
        server, _, uri = mention.partition(":")
        if server in servers and uri and not mention.startswith(_URL) and not _is_file(mention):
            found[server, uri] = None
    return list(found)


def missing_mentions(line: str) -> list[str]:
    """Return the mentions in `line` of files that do not exist, each once: those that look like a path or are quoted.

    `@someone` is a name. In a text of several lines, a mention at the beginning of a line is a decorator, and one in
    a code block is code; neither counts.
    """
    found: dict[str, None] = {}
    for quoted, bare in _typed_mentions(line):
        source = quoted or (_existing(bare) if bare not in found else bare)
        if source in found or not (quoted or _looks_like_path(source)):
            continue
        if not source.startswith(_URL) and not _is_file(source) and not _names_folder(source):
            found[source] = None
    return list(found)


def find_folders(line: str) -> list[str]:
    """Return the existing folders that `line` mentions as `@DIR/` or `@"a DIR/"`, each once.

    `@/` is the beginning of a path in many languages, not the whole disk.
    """
    mentioned = (quoted or bare.rstrip(_CLOSING) for quoted, bare in _MENTION.findall(line))
    return list(dict.fromkeys(source for source in mentioned if source.strip("/") and _names_folder(source)))


def _typed_mentions(line: str) -> Iterator[tuple[str, str]]:
    """Yield each mention in `line` that is no code: what stands in quotes, or else the bare word."""
    lines, fenced = line.strip().split("\n"), False
    for text in map(str.strip, lines):
        fenced ^= text.startswith("```")
        for mention in () if fenced else _MENTION.finditer(text):
            if len(lines) == 1 or mention.start() > 0:  # no decorator
                yield mention[1] or "", mention[2] or ""


def _looks_like_path(word: str) -> bool:
    return _PATH.fullmatch(word) is not None and bool(word.strip("./~")) and ("/" in word or bool(_ENDING.search(word)))


def _existing(word: str) -> str:
    return word if _is_file(word) else word.rstrip(_CLOSING)


def _names_folder(source: str) -> bool:
    return source.endswith("/") and os.path.isdir(os.path.expanduser(source))  # noqa: PTH111, PTH112 - as in `_is_file`


def _is_file(source: str) -> bool:
    # Not by Path, which raises errors for a name that is too long, ~ of an unknown user, or a zero byte.
    return os.path.isfile(Path(os.path.expanduser(source)))  # noqa: PTH111, PTH113
