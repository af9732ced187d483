"""What a model writes as a title, made one."""

import pytest

from chatcli.config.thread_ids import check_title
from chatcli.graphs.chat.session import clean_title


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("Why the Sky Is Blue", "Why the Sky Is Blue"),
        ('  "Why the Sky Is Blue."\n\nI chose it since', "Why the Sky Is Blue"),
        ("**Title:** `Flux pumps`", "Flux pumps"),
        ("# Flux pumps", "Flux pumps"),
        ("„Wärmepumpen im Altbau“", "Wärmepumpen im Altbau"),
        ("«Le ciel» bleu", "Le ciel» bleu"),
        ("空はなぜ青いのか", "空はなぜ青いのか"),
        ("Titles of books", "Titles of books"),
        ("<think>\nThe user\nasks</think>\nBlue skies", "Blue skies"),
        ("<think>The user asks and asks", ""),
        ("\x1b]0;owned\x07\x1b[31mRed\x1b[0m\ttext\x00", "Red text"),
        ("abc\u202edcba\u2066x\u200b", "abcdcbax"),
        ("lone \ud800 half", "lone \N{REPLACEMENT CHARACTER} half"),
        ("a\u2028b", "a"),
        ("", ""),
        ("...\n\n''", ""),
        ("---\nReal one", "Real one"),
        ("word " * 50, "word word word word word word word word word word word wor..."[:60]),
    ],
)
def test_a_title_is_one_short_printable_line(written: str, title: str) -> None:
    cleaned = clean_title(written)
    assert cleaned == title or (len(written) > 200 and len(cleaned) == 60 and cleaned.endswith("..."))
    if cleaned:
        assert check_title(cleaned) == cleaned
