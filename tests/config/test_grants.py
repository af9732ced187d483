"""What the user granted a thread."""

import json
from pathlib import Path

import pytest

from chatcli.config.grants import (
    KEYS_A_SERVER,
    Grants,
    check_named,
    endpoints_file,
    note_endpoint,
    public_url,
    was_sent,
)
from chatcli.config.secrets import Secret
from chatcli.errors import UsageError

URL, OTHER = "https://a.example/v1", "https://b.example/v1"


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


@pytest.mark.parametrize("store", ["store", ""])
def test_a_deleted_thread_leaves_no_grants_to_a_later_one(store: str) -> None:
    grants = Grants(store, "a")
    grants.allow("run_shell:ls *")
    assert grants.rules == ["run_shell:ls *"]
    grants.forget()
    assert grants.rules == []


def test_a_copy_has_the_rules_the_graph_and_the_values_in_files_of_this_user_alone(tmp_path: Path) -> None:
    origin, copy = Grants("store", "a"), Grants("store", "b")
    origin.allow("fetch_url")
    origin.name("graph", "./agent.py:graph")
    origin.name("values", {"user": "me"})
    origin.copy_to("b")
    assert (copy.rules, copy.graph, copy.values) == (["fetch_url"], "./agent.py:graph", {"user": "me"})
    assert not [each for each in (tmp_path / "chatcli").rglob("*") if each.stat().st_mode & 0o077]


@pytest.mark.parametrize("content", ["{", "[]", '{"rules": "run_shell", "values": [1], "documents": "/"}'])
def test_damaged_grants_grant_nothing(tmp_path: Path, content: str) -> None:
    grants = Grants("store", "a")
    grants.allow("run_shell")
    [file] = tmp_path.rglob("*.json")
    file.write_text(content)
    assert (grants.rules, grants.values, grants.documents) == ([], {}, None)


def test_a_key_was_sent_only_where_the_user_named_the_server_with_it() -> None:
    key, other = Secret("key-7d1f0a5e"), Secret("key-of-another")
    with pytest.raises(UsageError, match="never named"):
        check_named(URL)
    note_endpoint(URL, key)
    note_endpoint(OTHER, other)
    check_named(URL)
    assert [was_sent(url, each) for url in (URL, OTHER) for each in (key, other)] == [True, False, False, True]
    assert was_sent(URL, Secret(" key-7d1f0a5e\n"))
    note_endpoint(OTHER, key)
    noted = json.loads(endpoints_file().read_text())
    assert "key-" not in str(noted)
    assert noted[URL][0] not in noted[OTHER]  # so that the file does not tell where the same key goes
    for number in range(KEYS_A_SERVER):
        note_endpoint(URL, Secret(f"newer-{number}"))
    assert not was_sent(URL, key)
    assert all(was_sent(URL, Secret(f"newer-{number}")) for number in range(KEYS_A_SERVER))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:key@a.example/v1?api_key=k", "https://***@a.example/v1?api_key=***"),
        ("postgresql://token@a.example/chat", "postgresql://***@a.example/chat"),
    ],
)
def test_a_thread_remembers_no_login_of_a_url_and_such_a_url_is_not_a_named_server(url: str, shown: str) -> None:
    assert public_url(url) == shown
    note_endpoint(shown, None)
    with pytest.raises(UsageError, match="never named"):
        check_named(shown)
