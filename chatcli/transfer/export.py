"""Exports threads as files, in each format; a file is written whole or not at all."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from chatcli.errors import UsageError
from chatcli.runtime.files import replace_privately

if TYPE_CHECKING:
    from chatcli.transfer.document import ThreadDocument


class ExportFormat(StrEnum):
    """A format in which a thread can be exported."""

    MD = "md"
    JSON = "json"
    HTML = "html"
    JSONL = "jsonl"


def format_of(path: Path) -> ExportFormat | None:
    """Return the format for the suffix of `path`, None if it is unknown."""
    return next((chosen for chosen in ExportFormat if path.suffix == f".{chosen}"), None)


def write_file(path: Path, lines: Iterable[str]) -> None:
    """Write `lines` to `path`, readable by the user alone. A file that exists is replaced only if all goes well."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder", remedy="Name a file.")
    try:
        replace_privately(path, (f"{line}\n" for line in lines))
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise UsageError(f"{path} can't be written: {error.strerror}") from None


def thread_lines(document: "ThreadDocument", chosen: ExportFormat) -> Iterator[str]:
    """Yield the lines of `document` in the format `chosen`."""
    # Imported here: they need langchain, pydantic and markdown-it, and `/export` is known before these are.
    from chatcli.transfer import chatcli_json as own
    from chatcli.transfer import page

    lines = {
        ExportFormat.JSON: own.as_json,
        ExportFormat.JSONL: own.as_jsonl,
        ExportFormat.MD: page.markdown_page,
        ExportFormat.HTML: page.html_page,
    }
    return lines[chosen](document)
