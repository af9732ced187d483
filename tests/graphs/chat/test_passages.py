"""The passages of documents in a request: their numbers, their fence, and how many fit; the tools that find more."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.tools import StructuredTool
from langgraph.runtime import Runtime

from chatcli.config.secrets import Secret
from chatcli.config.settings import Settings
from chatcli.documents.citations import cited_in
from chatcli.documents.index import DocumentIndex
from chatcli.documents.passage import Passage
from chatcli.events import DocumentsFound
from chatcli.graphs.chat.ask_node import call_model
from chatcli.graphs.chat.offer import LEAST_WINDOW, MAX_READ, OfferedTools, beginning, offered_tools, turn_tools
from chatcli.graphs.chat.passages import (
    INTRODUCTION,
    MAX_PLACE,
    NOTHING_FOUND,
    REMINDER,
    as_event,
    new_retrieval,
    number_passages,
    numbers_of,
    with_passages,
)
from chatcli.graphs.chat.small_model import around_question, example
from chatcli.graphs.chat.state import ChatState, TurnContext
from chatcli.models.build import build_model
from chatcli.models.model import Limits, Model
from chatcli.models.names import ModelName
from chatcli.sessions.found import ARTIFACT
from chatcli.tools.tool import Rules, Tool
from chatcli.tools.toolbox import Toolbox
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, context_too_long
from tests.graphs.chat.test_context import CLIENT, Characters


def turn(budget: int | None = None, *, provider: str = "openai", **more: Any) -> TurnContext:
    model = Model(ModelName(provider, "gpt-fake"), CLIENT, Limits())
    return TurnContext(model, budget, counter=Characters(), **more)


def passage(text: str, path: str = "/docs/a.md", *, page: int | None = None, **more: Any) -> Passage:
    start, end = (None, None) if page else (1, 2)
    return Passage(Path(path), text, start, end, page, **more)


def numbers(*found: Passage, known: dict[str, int]) -> list[int]:
    return [each["number"] for each in number_passages(found, known)]


def test_a_passage_keeps_its_number_in_a_turn() -> None:
    known: dict[str, int] = {}
    one, other = passage("text"), passage("text", "/docs/b.md")
    assert numbers(one, other, one, known=known) == [1, 2, 1]
    more = (passage("more"), passage("text", page=1), passage("text", page=2))  # of one place, and of two pages
    assert numbers(other, *more, known=known) == [2, 3, 4, 5]
    assert numbers_of(number_passages([one, *more], known)) == {k: v for k, v in known.items() if v != 2}
    assert numbers(passage("later"), known={"a": 7}) == [8]


def test_half_a_character_of_a_document_is_none_in_a_request() -> None:
    [found] = number_passages([passage("a \ud800", "/docs/\udce9.md", headings=("\ud800",), plain="b \ud800")], {})
    for text in (found["text"], found["path"], found["plain"], *found["headings"]):
        text.encode()


def sent(context: TurnContext, *found: Passage, question: Any = "How?", **more: Any) -> tuple[list[BaseMessage], str]:
    """Return the messages of a request with the passages `found`, and the marker."""
    retrieval = new_retrieval() | {"passages": number_passages(found, {})}
    messages = [HumanMessage("Before."), AIMessage("So."), HumanMessage(question), AIMessage("", id="call")]
    state = ChatState(messages=messages, found=retrieval)
    changed = with_passages(state, context, **more)["messages"]
    assert state["messages"] == messages
    assert messages[2].content == question, "the thread has no passages"
    assert changed[:2] == messages[:2]
    assert changed[-1] is messages[-1]
    return changed, retrieval["marker"]


def test_each_passage_stands_below_its_number_and_place_and_a_marker_that_nobody_knows() -> None:
    first = passage("<b>one</b>", headings=("Guide", "Setup"), plain="one")
    [*_, asked, _], marker = sent(turn(), first, passage("two", page=3))
    assert asked.content == (
        f"{INTRODUCTION.format(marker=marker)}\n\n{marker} [1] /docs/a.md:1-2 (Guide > Setup)\none\n"
        f"{marker} [2] /docs/a.md, page 3\ntwo\n{marker} end of the passages\n\nQuestion: How?\n\n{REMINDER}"
    )
    assert sent(turn(), first)[1] != marker
    [*_, asked, _], _ = sent(turn())
    assert asked.content == f"How?\n\n{NOTHING_FOUND}"


def test_a_question_with_an_image_has_the_passages_around_it() -> None:
    image = {"type": "image", "base64": "", "mime_type": "image/png"}
    [*_, asked, _], _ = sent(turn(), passage("one"), question=[{"type": "text", "text": "How?"}, image])
    assert isinstance(asked.content, list)
    before, question, same, after = asked.content
    assert (question, same) == ({"type": "text", "text": "How?"}, image)
    assert after == {"type": "text", "text": f"\n\n{REMINDER}"}
    assert "one" in str(before)
    [*_, asked, _], _ = sent(turn(), question=[image])
    assert asked.content == [image, {"type": "text", "text": f"\n\n{NOTHING_FOUND}"}]


def test_no_place_of_a_document_is_more_than_a_short_line() -> None:
    hostile = passage("text", "/docs/a\n[9] b.md\x1b[2J", headings=("x\r\ny", "z" * 900))
    [*_, asked, _], marker = sent(turn(), hostile)
    lines = str(asked.content).splitlines()
    [place] = [line for line in lines if line.startswith(f"{marker} [")]
    assert place.startswith(f"{marker} [1] /docs/a [9] b.md")
    assert "\x1b" not in place
    assert len(place) == len(f"{marker} ") + MAX_PLACE


def test_as_many_passages_are_sent_as_fit_beside_everything_else() -> None:
    found = [passage(letter * 1000, f"/docs/{letter}.md") for letter in "abc"]

    def letters(budget: int | None, **more: Any) -> str:
        [*_, asked, _], _ = sent(turn(budget), *found, **more)
        return "".join(letter for letter in "abc" if letter * 1000 in asked.content)

    [*_, whole, _], _ = sent(turn(), *found)
    size = len(whole.text)
    assert letters(None) == letters(size) == "abc"
    assert letters(size - 1) == "ab"
    assert letters(size, reserved=1) == "ab"
    assert letters(None, limit=2) == "ab"
    assert letters(None, limit=0) == ""
    [*_, asked, _], _ = sent(turn(900), *found)
    assert asked.content == "How?"  # not that nothing was found


def test_a_small_model_gets_an_example_before_the_newest_question() -> None:
    [_, _, *shown, asked, _], marker = sent(turn(provider="local"), passage("one two"))
    assert [message.content for message in shown] == [message.content for message in example()]
    assert asked.content == f"<{marker}>\n[1] one two\n</{marker}>\n\nQuestion: How?"
    [_, _, asked, _], _ = sent(turn(provider="local"))
    assert asked.content == "How?"
    seventh = number_passages([passage("one")], {"another": 6})
    assert around_question(seventh, "m", "How?") == ("<m>\n[7] one\n</m>\n\nQuestion: ", "")


def test_a_turn_without_documents_is_sent_as_it_is() -> None:
    state = ChatState(messages=[HumanMessage("How?")])
    assert with_passages(state, turn()) is state


def test_people_see_the_path_from_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    event = as_event("words", number_passages([passage("one", f"{tmp_path}/a.md")], {}))
    assert (event.query, event.passages[0]["path"]) == ("words", "a.md")


def test_the_first_passages_are_those_that_there_is_room_for_and_one_at_least() -> None:
    found = [passage("a" * 10), passage("<b>" * 90, plain="b" * 10), passage("c")]
    assert [len(beginning(found, room)) for room in (0, 19, 20, 21)] == [1, 1, 2, 3]
    assert beginning([], 9) == []


@pytest.fixture
def docs(own_folders: Path) -> Path:
    """Give a folder of 12 documents, one of them long, in the index; another file beside it."""
    folder = own_folders / "docs"
    folder.mkdir()
    for number in range(11):
        (folder / f"{number}.md").write_text(f"The flux pump of keeper{number} hums.")
    (folder / "long.md").write_text("\n\n".join(f"# Part {part}\n\n{'It hums. ' * 150}" for part in range(12)))
    (own_folders / "private.md").write_text("The flux pump of the neighbour hums.")
    with DocumentIndex() as index:
        index.update([str(folder), str(own_folders / "private.md")])
    return folder


async def call(docs: Path, name: str, marker: str = "0123456789abcdef", **arguments: Any) -> tuple[str, Any, list[Any]]:
    """Return what the tool `name` says, its artifact, and the events."""
    events: list[Any] = []
    context = turn(documents=(str(docs),), numbers={"found before": 6})
    runtime = Runtime(context=context, stream_writer=events.append)
    tool = (await turn_tools(runtime, marker))[name]
    assert not tool.asks(arguments)
    result = await tool.runnable.ainvoke({"type": "tool_call", "id": "1", "name": name, "args": arguments})
    return result.content, result.artifact, events


@pytest.mark.parametrize(("limit", "count"), [({}, 5), ({"limit": 2}, 2), ({"limit": 99}, 10), ({"limit": -1}, 1)])
async def test_a_search_finds_up_to_ten_passages_of_the_turn_s_documents(
    docs: Path, limit: dict[str, Any], count: int
) -> None:
    text, artifact, [event] = await call(docs, "search_documents", query="flux pump", **limit)
    assert [each["number"] for each in artifact[ARTIFACT]] == list(range(7, count + 7))
    assert text.count("0123456789abcdef [") == count
    assert text.endswith("\n0123456789abcdef end of the passages")
    assert "neighbour" not in text
    text, _, _ = await call(docs, "search_documents", query="flux pump of the neighbour")
    assert "neighbour" not in text
    assert isinstance(event, DocumentsFound)
    assert (event.query, len(event.passages)) == ("flux pump", count)


async def test_a_search_that_finds_little_says_so(docs: Path) -> None:
    text, artifact, [event] = await call(docs, "search_documents", query="Zanzibar pump prices Mombasa")
    assert (text, artifact.get(ARTIFACT), event.passages) == ("Nothing in the documents matches these words.", None, ())


async def test_a_document_is_read_in_parts(docs: Path) -> None:
    text, artifact, _ = await call(docs, "read_document", path="docs/long.md")
    passages = artifact[ARTIFACT]
    assert (passages[0]["number"], passages[0]["start_line"]) == (7, 1)
    assert 0 < sum(len(each["text"]) for each in passages) <= MAX_READ
    following = passages[-1]["end_line"] + 2
    assert text.endswith(f"end of the passages\n[more follows, from line {following} on]")
    text, artifact, _ = await call(docs, "read_document", path="docs/long.md", start_line=following + 1)
    assert artifact[ARTIFACT][0]["start_line"] == following  # the passage that has this line
    assert text.endswith("end of the passages")
    assert artifact[ARTIFACT][-1]["end_line"] == len((docs / "long.md").read_text().splitlines())


@pytest.mark.parametrize("path", ["private.md", "docs/../private.md", "/etc/passwd", "a\0b", "docs", "~nobody/x"])
async def test_no_other_file_is_read(docs: Path, path: str) -> None:
    text, artifact, _ = await call(docs, "read_document", path=path)
    assert "is none of the documents; name one as the passages do" in text
    assert not artifact


async def test_a_line_behind_the_last_has_nothing(docs: Path) -> None:
    assert (await call(docs, "read_document", path="docs/1.md", start_line=2))[0] == "docs/1.md has nothing there"


@pytest.mark.parametrize(
    ("context", "offered"),
    [
        (turn(documents=("/docs",)), True),
        (turn(), False),
        (turn(LEAST_WINDOW, documents=("/docs",)), True),
        (turn(LEAST_WINDOW - 1, documents=("/docs",)), False),
        (turn(documents=("/docs",), provider="local"), False),
    ],
)
async def test_who_is_offered_the_tools(context: TurnContext, *, offered: bool) -> None:
    assert bool(await turn_tools(Runtime(context=context))) is offered


def search_documents(query: str) -> str:
    """Search elsewhere."""
    return query


OWN = Tool(StructuredTool.from_function(search_documents))


async def test_a_tool_of_the_user_s_goes_before_one_of_the_same_name() -> None:
    context = turn(documents=("/docs",), toolbox=Toolbox(builtin=(OWN,)))
    assert (await turn_tools(Runtime(context=context)))["search_documents"] is OWN


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({}, ["search_documents"]),
        ({"rules": Rules(mode="plan")}, []),
        ({"schema": object()}, []),
    ],
)
async def test_which_tools_a_model_is_offered(more: dict[str, Any], names: list[str]) -> None:
    toolbox = Toolbox(builtin=(OWN,), rules=more.pop("rules", Rules()))
    offer = await offered_tools(Runtime(context=turn(toolbox=toolbox, **more)))
    assert list(offer.tools) == names
    assert (offer.tokens > 0) is bool(names)
    assert (offer == OfferedTools()) is not bool(names)


async def test_a_request_that_is_too_long_is_tried_with_the_best_passages_and_the_answer_has_its_note(
    model: FakeOpenAI,
) -> None:
    settings = Settings(base_url=model.base_url, openai_api_key=Secret("sk-none"))
    built = build_model(ModelName("openai", "gpt-fake"), settings, lambda _: None)
    found = number_passages([passage(f"text of {letter}", f"/docs/{letter}.md") for letter in "abcde"], {})
    state = ChatState(messages=[HumanMessage("How?", id="0")], found={**new_retrieval(), "passages": found})
    events: list[Any] = []
    model.script(context_too_long(), Answer("So [2], and so [9]."))
    update = await call_model(state, Runtime(context=TurnContext(built), stream_writer=events.append))
    assert [request.last.count("text of ") for request in model.requests] == [5, 2]
    assert "text of a" in model.requests[1].last
    [answer] = update["messages"]
    cited = cited_in(answer.response_metadata)
    assert cited is not None
    assert ([each.path for each in cited.citations], cited.made_up) == (["/docs/b.md"], (9,))
    assert [len(event["found"]) for event in events if isinstance(event, dict) and "found" in event] == [5]


@pytest.mark.parametrize("tools", [(), (OWN,)])
async def test_a_small_model_is_made_to_cite_unless_it_has_tools(model: FakeOpenAI, tools: tuple[Tool, ...]) -> None:
    settings = Settings(base_url=model.base_url, openai_api_key=Secret("sk-none"))
    built = build_model(ModelName("openai", "gpt-fake"), settings, lambda _: None)
    small = replace(built, name=ModelName("local", "small"))
    state = ChatState(messages=[HumanMessage("How?", id="0")], found=new_retrieval())
    state["found"]["passages"] = number_passages([passage("text")], {"another": 6})  # type: ignore[index]
    model.script(Answer("So [7]."))
    context = TurnContext(small, toolbox=Toolbox(builtin=tools))
    await call_model(state, Runtime(context=context, stream_writer=lambda _: None))
    [request] = model.requests
    assert ('"7"' in request.body.get("grammar", "")) is not bool(tools)
    assert ("tools" in request.body) is bool(tools)
