"""What the user granted a thread."""

from pathlib import Path

import pytest

from chatcli.config.grants import Grants


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_documents_are_of_one_thread_of_one_store() -> None:
    grants = Grants("store", "a")
    assert grants.documents is None
    grants.name("documents", ["/docs", "/notes/*.md"])
    assert Grants("store", "a").documents == ["/docs", "/notes/*.md"]
    assert Grants("store", "b").documents is None
    assert Grants("other", "a").documents is None


def test_a_thread_whose_documents_were_removed_has_none_rather_than_the_default() -> None:
    Grants("store", "a").name("documents", ["/docs"])
    Grants("store", "a").name("documents", [])
    assert Grants("store", "a").documents == []


@pytest.mark.parametrize("documents", [None, [], ["/docs"]])
def test_a_copy_has_exactly_the_documents_of_its_origin(documents: list[str] | None) -> None:
    origin, copy = Grants("store", "a"), Grants("store", "b")
    copy.name("documents", ["/of an earlier thread"])
    if documents is not None:
        origin.name("documents", documents)
    origin.copy_to("b")
    assert Grants("store", "b").documents == documents
    origin.forget()
    assert origin.documents is None
