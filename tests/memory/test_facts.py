"""Remembered facts: their files, which only the user changes, and those that go along with a question."""

import os
import re
import stat
from multiprocessing import get_context
from pathlib import Path

import pytest
from langgraph.store.memory import InMemoryStore

from chatcli.errors import StoreError, UsageError
from chatcli.events import Listing, Notice
from chatcli.memory import facts
from chatcli.memory.facts import FactFile, add, all_facts, current_facts, forget, relevant
from chatcli.memory.shared import SharedMemory


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a repository as the current folder, and a home of its own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    root = tmp_path / "project"
    (root / ".git").mkdir(parents=True)
    monkeypatch.chdir(root)
    return root


def texts() -> list[str]:
    return [fact.text for fact in all_facts()]


def test_facts_are_bullets_of_private_files(project: Path) -> None:
    add("I like\x0ctea\n very  much", FactFile())
    add("The tests run with make", FactFile(project))
    file = FactFile().path
    assert file.read_text() == "# What chat remembers about the user\n\n- I like tea very much\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [(fact.text, fact.project) for fact in all_facts()] == [
        ("I like tea very much", ""),
        ("The tests run with make", str(project)),
    ]
    written = file.stat().st_ino
    add("I like tea very much", FactFile())
    assert len(all_facts()) == 2, "the same fact is kept once"
    assert file.stat().st_ino == written, "and nothing is written"
    assert add("x" * facts.MAX_FACT, FactFile()).text == "x" * facts.MAX_FACT


def test_what_the_user_wrote_stays() -> None:
    add("one", FactFile())
    text = "Notes of mine\n\n* one\n  and a half\n\nNot a fact.\n+ two\n  \n---\n- three\nNor this.\n"
    FactFile().path.write_text(text)
    assert texts() == ["one and a half", "two", "three"]
    assert [fact.text for fact in forget([1])] == ["one and a half"]
    assert FactFile().path.read_text() == text.replace("* one\n  and a half\n", "")


def test_a_file_that_the_user_edits_is_made_once() -> None:
    file = facts.prepare(FactFile())
    assert file.read_text() == "# What chat remembers about the user\n\n"
    add("one", FactFile())
    assert facts.prepare(FactFile()) == file
    assert texts() == ["one"]


def test_what_an_editor_left_is_read() -> None:
    file = facts.prepare(FactFile())
    file.write_bytes(b"\xef\xbb\xbf- a caf\xe9\n- safe\x1b[31m text\n")
    assert texts() == ["a caf\ufffd", "safe text"]


def test_another_project_is_listed_but_not_known(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("of the first", FactFile(project))
    other = tmp_path / "other" / "project"
    (other / ".git").mkdir(parents=True)
    monkeypatch.chdir(other)
    assert current_facts() == []
    assert [(fact.text, fact.project) for fact in all_facts()] == [("of the first", str(project))]
    (project / "deep").mkdir()
    monkeypatch.chdir(project / "deep")
    assert [fact.text for fact in current_facts()] == ["of the first"]
    assert facts.chosen_file(project=True) == FactFile(project)
    assert facts.chosen_file(project=False) == FactFile()
    with pytest.raises(UsageError, match="in no repository"):
        facts.chosen_file(tmp_path, project=True)
    add("of the second", FactFile(other))
    assert [fact.text for fact in all_facts(other)] == ["of the second", "of the first"]
    (tmp_path / "link").symlink_to(project)
    assert [fact.text for fact in current_facts(tmp_path / "link")] == ["of the first"]


def test_a_project_of_any_name_has_a_file(tmp_path: Path) -> None:
    root = tmp_path / "my nötes\n- forged"
    (root / ".git").mkdir(parents=True)
    file = FactFile(root)
    assert re.fullmatch(r"[\w.-]+-[0-9a-f]{12}\.md", file.path.name, re.ASCII)
    add("The tests run with make", file)
    assert [fact.text for fact in current_facts(root)] == ["The tests run with make"]


@pytest.mark.parametrize(
    "text",
    [
        *("", " \n", "x" * 1001, "my key is sk-abcdefghijklmnopqrstuv", "password = hunter2", "the Password: hunter2"),
        *(
            "API key: abc",
            "AKIAIOSFODNN7EXAMPLE",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.c2ln",
            "-----BEGIN RSA PRIVATE KEY-----",
        ),
    ],
)
def test_what_is_no_fact_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        add(text, FactFile())
    assert not FactFile().path.exists()


def test_a_number_that_is_no_fact_removes_nothing() -> None:
    add("one", FactFile())
    for numbers in ([0], [1, 2]):
        with pytest.raises(UsageError, match="there is no fact"):
            forget(numbers)
    assert texts() == ["one"]


def test_a_fact_is_forgotten_where_it_was_listed(project: Path) -> None:
    for file in (FactFile(), FactFile(project)):
        for text in ("one", "two"):
            add(text, file)
    assert [fact.text for fact in forget([1, 4, 1])] == ["one", "two"]
    assert [(fact.text, fact.project) for fact in all_facts()] == [("two", ""), ("one", str(project))]


def test_nothing_hidden_is_kept() -> None:
    assert add("safe\x1b[31m\u202e text", FactFile()).text.isprintable()


def test_a_file_that_cannot_be_read_is_an_error_of_the_store() -> None:
    FactFile().path.mkdir(parents=True)
    with pytest.raises(StoreError):
        all_facts()
    FactFile().path.rmdir()
    FactFile().path.touch()
    os.truncate(FactFile().path, 10_000_001)
    with pytest.raises(StoreError, match="is larger than 10 MB"):
        all_facts()


def test_a_file_that_cannot_be_written_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "data" / "chatcli").mkdir(parents=True)
    (tmp_path / "data" / "chatcli" / "memory").touch()
    with pytest.raises(StoreError, match="can't be written"):
        add("one", FactFile())


def _add_some(prefix: str) -> None:
    for number in range(20):
        add(f"{prefix} {number}", FactFile())


def test_two_processes_lose_nothing() -> None:
    adding = [get_context("fork").Process(target=_add_some, args=(name,)) for name in ("a", "b")]
    for process in adding:
        process.start()
    for process in adding:
        process.join()
    assert sorted(texts()) == sorted(f"{name} {number}" for name in "ab" for number in range(20))


def test_few_facts_go_along_with_every_question() -> None:
    for text in ("I like tea", "I live in Bern"):
        add(text, FactFile())
    assert [fact.text for fact in relevant(current_facts(), "What is 2 + 2?")] == ["I like tea", "I live in Bern"]


def test_the_list_has_the_numbers_that_are_forgotten(project: Path) -> None:
    assert facts.listing([]) == Notice("nothing is remembered yet: chat memory add TEXT")
    add("I like tea", FactFile())
    add("It builds with make", FactFile(project))
    listed = facts.listing(all_facts())
    assert isinstance(listed, Listing)
    assert listed.rows == (("1", "you", "I like tea"), ("2", str(project), "It builds with make"))


def test_of_more_facts_the_best_go_along_in_their_order() -> None:
    for text in ("A cat is on the mat", "Milo is a cat, and a cat eats", "I like tea"):
        add(text, FactFile())
    found = current_facts()

    def sent(room: int) -> list[str]:
        return [fact.text for fact in relevant(found, "What does the cat Milo eat?", room)]

    assert sent(29) == ["Milo is a cat, and a cat eats"]
    assert sent(48) == ["A cat is on the mat", "Milo is a cat, and a cat eats"]


def test_of_two_thousand_those_that_share_words() -> None:
    path = FactFile().path
    path.parent.mkdir(parents=True)
    lines = [f"- The server number {number} is in room {number % 7}" for number in range(2000)]
    lines[700] = "- My sister's cats are called Milo and Otis"
    lines[1200] = "- 我的猫叫做小白"
    path.write_text("\n".join(lines))
    found = current_facts()
    assert len(found) == 2000
    assert [fact.text for fact in relevant(found, "What are the names of the cat?")] == [lines[700][2:]]
    assert lines[1200][2:] in [fact.text for fact in relevant(found, "小白是谁?")]
    assert relevant(found, "?!") == []
    many = relevant(found, "Which server is where?")
    assert 0 < sum(len(fact.text) for fact in many) <= facts.MAX_SENT


def test_a_graph_reads_facts_and_writes_none(project: Path) -> None:
    add("I like tea", FactFile())
    add("It builds with make", FactFile(project))
    items = InMemoryStore()
    store = SharedMemory(items)
    store.put(("memories", "7"), "own", {"content": "of the graph"})
    user, here = ("memories", "user"), ("memories", str(project))
    assert [item.value for item in store.search(user)] == [{"content": "I like tea"}]
    assert [item.value for item in store.search(here, query="make")] == [{"content": "It builds with make"}]
    [item] = store.search(user)
    found = store.get(user, item.key)
    assert found is not None
    assert found.value == item.value
    assert len(store.search(("memories",))) == 3
    assert len(store.search(("memories",), limit=2)) == 2
    assert set(store.list_namespaces()) == {user, here, ("memories", "7")}
    for namespace in (user, (*user, "deep"), here, (*here, "deep")):
        with pytest.raises(ValueError, match="only read"):
            store.put(namespace, "x", {"content": "sneaky"})
    with pytest.raises(ValueError, match="only read"):
        store.delete(here, "2")
    assert texts() == ["I like tea", "It builds with make"]
    assert store.get(("memories", "7"), "own") is not None
    assert items.search(user) == []


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("linked", ["user.md", "projects"])
def test_no_link_leads_out_of_the_folder(project: Path, tmp_path: Path, linked: str, *, exists: bool) -> None:
    file = FactFile() if linked == "user.md" else FactFile(project)
    outside = tmp_path / "outside"
    target = outside / file.path.name if linked == "projects" else outside
    if linked == "projects":
        outside.mkdir()
    if exists:
        target.write_text("- of others\n")
    link = FactFile().path.with_name(linked)
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    before = target.read_text() if exists else None
    for work in (lambda: add("I like tea", file), lambda: all_facts(), lambda: facts.prepare(file)):
        with pytest.raises(StoreError, match="is a link that leaves its folder"):
            work()
    assert (target.read_text() if target.exists() else None) == before


def test_the_folder_itself_may_be_a_link_and_so_may_a_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "synced").mkdir()
    FactFile().path.parent.parent.mkdir(parents=True)
    FactFile().path.parent.symlink_to(tmp_path / "synced")
    FactFile().path.symlink_to("me.md")
    add("I like tea", FactFile())
    assert "I like tea" in (tmp_path / "synced" / "me.md").read_text()
