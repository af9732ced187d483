"""The .zip in which ChatGPT's and Claude's exports are downloaded. Nothing of it is written to the disk."""

import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from chatcli.transfer.document import refuse

ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_LIST = re.compile(r"conversations([-_]\d+)?\.json", re.IGNORECASE)
_ENCRYPTED = 0x1
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, struct.error, OverflowError)


@dataclass(frozen=True, slots=True)
class Archive:
    """The lists of conversations in an archive, by name, and the names of its other files."""

    lists: Mapping[str, bytes]
    others: Sequence[str]


def read_archive(file: IO[bytes], limit: int) -> Archive:
    """Return what the archive `file` holds; its lists have `limit` bytes at most, all together.

    Raises:
        UsageError: It is damaged, encrypted, too large, or holds no list of conversations.

    """
    try:
        with zipfile.ZipFile(file) as archive:
            found = [info for info in archive.infolist() if not info.is_dir() and "__MACOSX/" not in info.filename]
            wanted = [info for info in found if _LIST.fullmatch(PurePosixPath(info.filename).name)]
            lists: dict[str, bytes] = {}
            for info in sorted(wanted, key=lambda info: info.filename):
                lists[info.filename] = _read(archive, info, limit)
                limit -= len(lists[info.filename])
    except (NotImplementedError, RuntimeError) as error:  # a kind of compression, or of encryption
        raise refuse("the archive", str(error)) from None
    except _DAMAGE as error:
        raise refuse("the archive", f"it is damaged: {error}") from None
    if not lists:
        raise refuse("the archive", "it holds no conversations.json")
    return Archive(lists, [PurePosixPath(info.filename).name for info in found if info.filename not in lists])


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    """Return a file of the archive, never more than it may have: what an archive says of its sizes may be a lie."""
    if info.flag_bits & _ENCRYPTED:
        raise refuse(info.filename, "it is encrypted; unpack it first")
    with archive.open(info) as member:
        data = member.read(limit + 1)
    if len(data) > limit:
        raise refuse(info.filename, "it is too large; unpack it and split it")
    return data
