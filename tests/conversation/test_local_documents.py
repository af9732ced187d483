"""The embedded model answers from documents, and cites them."""

import asyncio
from pathlib import Path

import pytest

from chatcli import paths
from chatcli.models.local.runtime import FileLock
from tests.bench.cited_answers import ask, right_of
from tests.bench.corpora import CORPORA, QUESTIONS
from tests.models.local.processes import stop_servers

ASKED = ("How long are snapshots kept by default?", "What do I do if my laptop is lost?")
"""Two of the questions that the benchmark asks; all of them take two minutes."""


@pytest.mark.local_model
def test_it_answers_from_the_right_passage_and_cites_it(
    own_folders: Path, monkeypatch: pytest.MonkeyPatch, weights_cache: Path
) -> None:
    cache = next(folder for folder in weights_cache.parents if folder.name == "chatcli").parent
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    for corpus, files in CORPORA.items():
        Path(corpus).mkdir()
        for name, text in files.items():
            Path(corpus, name).write_text(text)
    try:
        for question in QUESTIONS:
            if question.text in ASKED:
                end = asyncio.run(ask(question, "local:qwen2.5-coder-0.5b"))
                assert right_of(question, end) == (True, True), end
                assert "[1]" in end.content
        nothing = next(question for question in QUESTIONS if not question.file)
        end = asyncio.run(ask(nothing, "local:qwen2.5-coder-0.5b"))
        assert right_of(nothing, end) == (True, True), end
        # The conversations are closed, so this process no longer keeps the server from ending.
        [clients] = (paths.state_dir() / "local").glob("*.clients.lock")
        presence = FileLock(clients)
        assert presence.try_take()
        presence.close()
    finally:
        stop_servers(paths.state_dir() / "local")
