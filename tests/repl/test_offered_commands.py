"""Which commands are offered, by `/help` and by Tab: those that can work in the conversation."""

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from chatcli.commands.all import all_commands
from chatcli.config.settings import Settings
from chatcli.conversation.backend import choose_backend
from chatcli.conversation.compose import compose
from chatcli.conversation.conversation import Conversation
from chatcli.conversation.engine import Engine
from chatcli.models.names import ModelName
from chatcli.repl.completion import LineCompleter, build_completer

OF_THE_CHAT = {"model", "context", "compact", "role", "system", "docs", "tools"}


async def never_opened(announce: object) -> Engine:
    raise AssertionError("nothing is asked")


def conversation_with(name: ModelName) -> Conversation:
    return Conversation(replace(compose(Settings(no_save=True)), name=name), never_opened)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        (ModelName("graph", "agent.py:graph"), OF_THE_CHAT),
        (ModelName("server", "agent"), OF_THE_CHAT),
        (ModelName("openai", "gpt-4o-mini"), {"continue"}),
        (ModelName("langflow", "flow"), {"continue", "recall"}),
    ],
)
def test_what_always_refuses_is_not_offered(name: ModelName, missing: set[str]) -> None:
    conversation, commands = conversation_with(name), all_commands()
    offered = {command.name for command in commands.offered(conversation)}
    assert {command.name for command in commands} - offered == missing
    completer = LineCompleter(commands, {}, lambda: conversation)
    completed = {one.text for one in completer.get_completions(Document("/"), CompleteEvent(completion_requested=True))}
    assert completed == {f"/{command}" for command in offered}


def test_all_is_offered_before_the_conversation_has_begun() -> None:
    assert [*all_commands().offered(None)] == [*all_commands()]


def completions(typed: str, conversation: Conversation) -> list[str]:
    """Return what Tab makes of the line `typed`."""
    settings = Settings(no_save=True)
    completer = build_completer(settings, choose_backend(settings), lambda: conversation, Future())
    found = completer.get_completions(Document(typed), CompleteEvent(completion_requested=True))
    return [typed[: len(typed) + one.start_position] + one.text for one in found]


def test_tab_completes_the_words_and_paths_of_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("docs", "my notes"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    conversation = conversation_with(ModelName("openai", "gpt-5"))
    assert completions("/docs ", conversation) == ["/docs add ", "/docs list"]
    assert completions("/docs add ", conversation) == ["/docs add docs/", '/docs add "my notes/']
    assert completions("/docs add my n", conversation) == ['/docs add "my notes/']
    conversation.use_documents([str(tmp_path / "docs"), "/elsewhere/*.md"])
    assert completions("/docs o", conversation) == ["/docs off"]
    assert completions("/docs r", conversation) == ["/docs remove docs", "/docs remove /elsewhere/*.md"]
    assert completions("see @d", conversation) == ["see @docs/"]


def test_tab_completes_a_name_with_accents_as_macos_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decomposed = "cafe\u0301.txt"
    (tmp_path / decomposed).touch()
    monkeypatch.chdir(tmp_path)
    assert completions("see @caf\u00e9", conversation_with(ModelName("openai", "gpt-5"))) == [f"see @{decomposed}"]
