"""`chat docs search` with the extra `semantic`: ranking by meaning, the option, and what is written."""

import json

import pytest

from chatcli.ranking import semantic
from tests.e2e.program import Chat, Home

pytestmark = pytest.mark.skipif(not semantic.is_installed(), reason="the extra semantic is not installed")


def _found(chat: Chat, *options: str) -> list[str]:
    result = chat(*options, "docs", "search", "bank loan for a house", "--docs", ".", "--json")
    return [each["path"] for each in json.loads(result.stdout)]


@pytest.mark.executable
def test_meaning_ranks_unless_the_user_does_not_want_it(chat: Chat, home: Home) -> None:
    (home.work / "a.txt").write_text("The bank of the river is flooded in spring.\n\nThe bank of the river is green.\n")
    (home.work / "b.txt").write_text("The bank lends money to families, and asks for interest each month.\n")
    vectors = home.root / ".cache/chatcli/vectors/vectors.db"
    by_words = _found(chat.forked, "--no-semantic")
    assert by_words == ["a.txt", "b.txt"]
    home.env["CHATCLI_SEMANTIC"] = "0"
    assert _found(chat.forked) == by_words
    assert not vectors.exists()
    assert _found(chat, "--semantic") == ["b.txt", "a.txt"]
    # The runtime keeps an ID of the machine, and what it would send, unless it is told not to.
    assert [path for path in home.files() if ".cache" in path.parts] == [vectors]
