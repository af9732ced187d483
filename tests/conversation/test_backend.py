"""The store that a run uses, and the end of its threads."""

from pathlib import Path
from typing import Any

import pytest

from chatcli.config.settings import Settings
from chatcli.conversation.backend import LocalBackend, choose_backend, delete_threads
from chatcli.conversation.compose import compose
from chatcli.errors import StoreError, UsageError
from chatcli.store.location import StoreLocation
from tests.conversing import ask, conversing
from tests.fakes.openai_server import FakeOpenAI

SECRET = "p4ss"


async def test_threads_are_deleted_all_or_none_while_one_is_answered(model: FakeOpenAI, own_folders: Path) -> None:
    backend = LocalBackend(StoreLocation(own_folders / "threads.db"))
    names = ["a", "b", "c"]
    for name in names:
        async with conversing(model, name, backend=backend) as conversation:
            await ask(conversation)
        backend.grants(name).name("documents", [f"/{name}"])
    other, threads = backend.threads(), backend.threads()
    assert other.locks.try_lock("b")
    with pytest.raises(StoreError, match="another chat is answering on thread 'b'; nothing was deleted"):
        delete_threads(backend, threads, names)
    assert all(threads.find(name) for name in names)
    assert backend.grants("a").documents == ["/a"]
    other.locks.unlock("b")
    for name in names:
        assert other.locks.try_lock(name), "no lock is left"
        other.locks.unlock(name)
    delete_threads(backend, threads, names[:2])
    assert [threads.find(name) is None for name in names] == [True, True, False]
    assert [backend.grants(name).documents for name in names] == [None, None, ["/c"]]


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        ({}, "sqlite:///{data}/threads.db"),
        ({"store": "sqlite:///a.db"}, "sqlite:///{here}/a.db"),
        ({"store": "sqlite:///~/a.db"}, "sqlite:///{home}/a.db"),
        ({"store": "memory:"}, "memory:"),
        ({"store": "sqlite:///a.db", "no_save": True}, "memory:"),
        ({"store": "postgresql://me:pw@host/db"}, "postgresql://me:pw@host/db"),
    ],
)
def test_the_store_is_the_one_that_the_user_chose(own_folders: Path, given: dict[str, Any], uri: str) -> None:
    backend = choose_backend(Settings.load(given))
    places = {"data": own_folders / "data" / "chatcli", "here": own_folders, "home": Path.home()}
    assert str(backend.store_uri).replace("////", "///") == uri.format(**places).replace("////", "///")
    assert backend.keeps_threads == (uri != "memory:")
    if uri == "memory:":
        with pytest.raises(UsageError, match="a store in memory keeps no threads"):
            backend.threads()


@pytest.mark.parametrize("store", [f"postgresql://me:a@{SECRET}@host/db", f"postgresql://me:a/{SECRET}@host/db"])
def test_a_password_that_could_be_taken_for_a_host_is_not_shown(own_folders: Path, store: str) -> None:
    with pytest.raises(UsageError, match="can't be read") as refused:
        choose_backend(Settings.load({"store": store}))
    assert SECRET not in f"{refused.value.message} {refused.value.remedy}"


async def test_a_graph_runs_only_where_the_user_named_it_for_the_thread(own_folders: Path) -> None:
    (own_folders / "app.py").write_text("def reply(message, history):\n    return 'hi'\n")
    settings = Settings.load({"graph": "app.py:reply"})
    conversation = compose(settings, "t").conversation()
    await ask(conversation)
    await conversation.close()
    later = compose(Settings.load({}), "t", stored=True)
    assert later.graph is not None
    assert (later.graph.label, later.graph_notice) == (
        f"{own_folders}/app.py:reply",
        f"this thread goes on with its graph: --graph {own_folders}/app.py:reply",
    )
    assert compose(Settings.load({"model": "openai:x"}), "t", stored=True).graph is None
    assert compose(Settings.load({"model": "openai:x"}), "new").graph is None
    later.backend.grants("t").forget()
    with pytest.raises(UsageError, match="which you did not name for it"):
        compose(Settings.load({}), "t", stored=True)
