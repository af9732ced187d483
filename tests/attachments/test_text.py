import os

import pytest

from chatcli.attachments.attachment import decode

GERMAN = "Grüße aus München, schöne Straße"
JAPANESE = "これは日本語のテキストです。長い文章を書きます。"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "utf-8"),
        (GERMAN, "utf-8-sig"),
        (GERMAN, "utf-16"),
        (GERMAN, "utf-32"),
        (GERMAN, "utf-16-le"),
        (GERMAN, "utf-16-be"),
        (GERMAN, "cp1252"),
        ("caf\xe9", "latin-1"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
        ("你好,世界。这是一个中文文本文件", "gb18030"),
        ("", "utf-8"),
    ],
)
def test_text_is_read_in_its_encoding(text: str, encoding: str) -> None:
    decoded = decode(text.encode(encoding))
    assert decoded is not None
    assert decoded[0] == text


@pytest.mark.parametrize(
    "data",
    [
        b"\x7fELF\x02\x01\x01\0\0\0" + bytes(range(256)),
        b"PK\x03\x04\x14\0\0\0\x08\0" + os.urandom(300),
        os.urandom(5000),
    ],
    ids=["program", "archive", "noise"],
)
def test_a_file_that_is_no_text_is_reported(data: bytes) -> None:
    assert decode(data) is None
