"""The real sentence model ranks again what words found."""

from pathlib import Path

import pytest

from chatcli.documents.index import DocumentIndex
from chatcli.ranking import semantic

pytestmark = pytest.mark.skipif(not semantic.is_installed(), reason="the extra semantic is not installed")


def test_meaning_decides_between_passages_with_the_same_words(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.txt").write_text("The bank of the river is flooded in spring, and willows grow there.\n")
    (docs / "b.txt").write_text("The bank lends money to families, and asks for interest each month.\n")
    with DocumentIndex(tmp_path / "index.db") as index:
        index.update([str(docs)])
        for question, name in (("bank loan for a house", "b.txt"), ("bank of a stream with trees", "a.txt")):
            assert index.search(question)[0].path.name == name
