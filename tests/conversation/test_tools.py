"""What `/tools` says about each tool."""

import pytest

from chatcli.commands.model import DESCRIPTION, _excerpt


@pytest.mark.parametrize(
    ("description", "shown"),
    [
        ("Read a file. The user is asked first.", "Read a file."),
        ("Read a file\n\nArgs: path", "Read a file"),
        ("Read version 1.5 of\n   a file", "Read version 1.5 of a file"),
        ("", ""),
        ("word " * 40, "word " * 18 + "word..."),
        ("x" * 200, "x" * (DESCRIPTION - 3) + "..."),
        ("\u8bfb\u6587\u4ef6\u3002\u5199\u6587\u4ef6", "\u8bfb\u6587\u4ef6\u3002"),
    ],
)
def test_a_description_is_its_first_sentence_cut_between_words(description: str, shown: str) -> None:
    assert _excerpt(description) == shown
    assert len(shown) <= DESCRIPTION
