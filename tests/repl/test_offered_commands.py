"""Which commands are offered, by `/help` and by Tab: those that can work in the conversation."""

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from chatcli.commands.all import all_commands
from chatcli.config.settings import Settings
from chatcli.conversation.conversation import Conversation
from chatcli.conversation.engine import Engine
from chatcli.conversation.place import choose_place
from chatcli.models.names import ModelName
from chatcli.repl.completion import LineCompleter

OF_THE_CHAT = {"model", "context", "compact", "role", "system", "docs", "tools"}


async def never_opened(announce: object) -> Engine:
    raise AssertionError("nothing is asked")


def conversation_with(name: ModelName) -> Conversation:
    settings = Settings()
    return Conversation(settings, choose_place(settings), "t", name, never_opened)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        (ModelName("graph", "agent.py:graph"), OF_THE_CHAT),
        (ModelName("server", "agent"), OF_THE_CHAT),
        (ModelName("openai", "gpt-4o-mini"), {"continue"}),
        (ModelName("langflow", "flow"), {"continue"}),
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
