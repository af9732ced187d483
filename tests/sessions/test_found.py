"""What the newest turn's model may cite, and what is noted with its answer."""

from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from chatcli.documents.citations import CITED
from chatcli.message import Citation, FoundPassage
from chatcli.sessions.found import ARTIFACT, as_citations, cited_metadata, found_in_turn


def passage(number: int, text: str = "text") -> FoundPassage:
    return FoundPassage(
        number=number,
        path=f"/docs/{number}.md",
        start_line=number,
        end_line=number + 1,
        page=None,
        text=text,
        plain="",
        headings=[],
        score=1.0,
    )


def result(*found: FoundPassage, artifact: Any = None) -> ToolMessage:
    return ToolMessage("x", tool_call_id="1", artifact=artifact or {ARTIFACT: list(found)})


VALUES = {
    "found": {"marker": "", "query": "", "passages": [passage(1), passage(2)]},
    "messages": [
        *(HumanMessage("Before?"), result(passage(9)), AIMessage("So.")),
        *(HumanMessage("How?"), result(passage(3), passage(1, "another")), result(artifact={"changes": []})),
        result(artifact="of a server"),
    ],
}


def test_what_tools_found_in_the_newest_turn_may_be_cited_too() -> None:
    assert found_in_turn(VALUES) == [passage(1), passage(2), passage(3)]
    assert found_in_turn({"messages": VALUES["messages"]}) is None
    assert found_in_turn({"found": {"marker": "", "query": "", "passages": []}}) == []


def test_an_answer_has_a_note_of_what_it_cites_and_made_up() -> None:
    assert as_citations([passage(3)]) == [Citation(3, "/docs/3.md", 3, 4, None, "text")]
    assert cited_metadata("So [3], and so [9].", VALUES) == {
        CITED: {
            "citations": [
                {"number": 3, "path": "/docs/3.md", "start_line": 3, "end_line": 4, "page": None, "quote": "text"}
            ],
            "made_up": [9],
        }
    }
    assert cited_metadata("So.", VALUES) == {CITED: {"citations": [], "made_up": []}}
    assert cited_metadata("So [3].", {"messages": VALUES["messages"]}) == {}
