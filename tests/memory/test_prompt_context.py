"""What a question is sent with beside the conversation: of which folder, how much, and what is told of it."""

from dataclasses import replace
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from chatcli.config.settings import Settings
from chatcli.config.trust import read_folder_file, trust
from chatcli.events import Notice
from chatcli.graphs.chat.ask_node import with_known
from chatcli.graphs.chat.state import ChatState
from chatcli.memory.facts import MAX_SENT, FactFile, add, switch
from chatcli.memory.instructions import MAX_BYTES
from chatcli.memory.prompt_context import PromptContextReader
from tests.graphs.chat.test_context import turn


@pytest.fixture(autouse=True)
def project(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a project with a fact and instructions, beside the current one, which has others."""
    for name in ("here", "there"):
        root = own_folders / name
        (root / ".git").mkdir(parents=True)
        add(f"It is {name}", FactFile(root))
        (root / "AGENTS.md").write_text(f"Rules of {name}")
        file = read_folder_file("AGENTS.md", root)
        assert file is not None
        trust([file])
    add("I like tea", FactFile())
    monkeypatch.chdir(own_folders / "here")
    return own_folders / "there"


def test_a_conversation_gets_what_belongs_to_its_own_folder(project: Path) -> None:
    reader = PromptContextReader(project, instructions=True, memory=True)
    context = reader.read("hi", None)
    assert context.facts == ("I like tea", "It is there")
    assert list(context.sources) == ["AGENTS.md"]
    assert "Rules of there" in context.text
    assert "here\n" not in context.text.replace("there", "")
    lines = context.text.splitlines()
    (marker,) = {line.split()[0] for line in lines if line.endswith(("facts", "end of the instructions"))}
    assert lines[-4:] == [f"{marker} facts", "- I like tea", "- It is there", f"{marker} end of the facts"]
    assert reader.read("another", None).text == context.text  # so that a provider has its beginning cached


@pytest.mark.parametrize(
    ("instructions", "memory", "parts"),
    [(True, True, ["Rules", "tea"]), (True, False, ["Rules"]), (False, True, ["tea"]), (False, False, [])],
)
def test_what_is_switched_off_is_not_sent(project: Path, parts: list[str], *, instructions: bool, memory: bool) -> None:
    context = PromptContextReader(project, instructions=instructions, memory=memory).read("hi", None)
    assert [part for part in ("Rules", "tea") if part in context.text] == parts
    assert (context.facts is not None) is memory


@pytest.mark.parametrize("limit", [None, 10**6, 2000])
def test_no_window_is_filled(project: Path, limit: int | None) -> None:
    for number in range(9):
        add(f"tea {number} {'x' * 400}", FactFile())
    (project / "AGENTS.md").write_text("r" * (MAX_BYTES + 9))
    file = read_folder_file("AGENTS.md", project)
    assert file is not None
    trust([file])
    context = PromptContextReader(project, instructions=True, memory=True).read("What about tea?", limit)
    room = 1500 if limit == 2000 else MAX_BYTES
    assert context.cut
    assert context.rules.count("r" * 9) == room // 9
    assert context.facts is not None
    assert 0 < sum(map(len, context.facts)) <= min(room, MAX_SENT)
    assert len(context.facts) == (4 if limit == 2000 else 5)


def test_a_memory_that_cannot_be_read_is_told_once(project: Path) -> None:
    FactFile().path.unlink()
    FactFile().path.mkdir()
    reader = PromptContextReader(project, instructions=False, memory=True)
    context = reader.read("hi", None)
    assert (context.facts, context.text) == (None, "")
    assert list(reader.new_notices(context, 0)) == [
        Notice(f"the memory {FactFile().path} can't be read: Is a directory")
    ]
    assert list(reader.new_notices(reader.read("hi", None), 0)) == []


def test_a_memory_without_words_of_the_question_is_not_empty(project: Path) -> None:
    for number in range(9):
        add(f"{number} {'x' * 400}", FactFile())
    context = PromptContextReader(project, instructions=False, memory=True).read("?!", None)
    assert (context.facts, context.text) == ((), "")


def test_the_memory_is_switched_in_the_config_file(project: Path) -> None:
    for on in (False, True):
        switch(on=on)
        assert Settings.load().no_memory is not on


@pytest.mark.parametrize("keeps", [False, True])
async def test_a_server_that_has_a_memory_of_its_own_gets_none(project: Path, *, keeps: bool) -> None:
    before = turn(knowledge=PromptContextReader(project, instructions=True, memory=True))
    context = replace(before, model=replace(before.model, keeps_conversation=keeps))
    messages = [HumanMessage("old"), AIMessage("yes"), HumanMessage("And tea?")]
    sent, known = await with_known(ChatState(messages=messages), context)
    assert (sent.known == known.text == "") is keeps
    assert (known.facts is None) is keeps


async def test_the_facts_of_the_newest_question_are_sent(project: Path) -> None:
    add("x" * 300, FactFile())
    context = turn(200, knowledge=PromptContextReader(project, instructions=False, memory=True))
    messages = [HumanMessage("Where is it?"), AIMessage("x"), HumanMessage("And tea?")]
    _, known = await with_known(ChatState(messages=messages), context)
    assert known.facts == ("I like tea",)
    assert (await with_known(ChatState(), context))[1].facts == ()


def test_a_cut_is_told(project: Path) -> None:
    reader = PromptContextReader(project, instructions=True, memory=False)
    context = reader.read("hi", 12)
    assert list(reader.new_notices(context, 5)) == [
        Notice(f"instructions: AGENTS.md (about 5 tokens, cut at {len(context.rules):,} bytes)")
    ]
