"""The passages of documents that a turn found, as the state of a thread of the plain chat holds them."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, TypedDict

from langchain_core.messages import ToolMessage

from chatcli.documents.citations import CITED, cite
from chatcli.message import Citation, FoundPassage
from chatcli.sessions.history import newest_turn

ARTIFACT = "chatcli_passages"
"""The key in the artifact of a tool's result for the passages that it found."""


class Retrieval(TypedDict):
    """What was found in the documents for the newest question; stored, so that a resumed turn cites the same."""

    marker: str
    """Random: it fences the passages in the request, so that no text in them can."""
    query: str
    passages: list[FoundPassage]


def found_in_turn(values: Mapping[str, Any]) -> list[FoundPassage] | None:
    """Return all passages that the newest turn's model may cite, by number; None if the turn has no documents."""
    retrieval = values.get("found")
    if retrieval is None:
        return None
    by_number = {each["number"]: each for each in retrieval["passages"]}
    messages = values.get("messages", [])
    for message in messages[newest_turn(messages) :]:
        if isinstance(message, ToolMessage) and isinstance(message.artifact, dict):
            for each in message.artifact.get(ARTIFACT, ()):
                by_number.setdefault(each["number"], each)
    return list(by_number.values())


def as_citations(passages: Iterable[FoundPassage]) -> list[Citation]:
    """Return `passages` as what an answer may cite, with absolute paths."""
    return [
        Citation(each["number"], each["path"], each["start_line"], each["end_line"], each["page"], each["text"])
        for each in passages
    ]


def cited_metadata(answer: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata that notes what `answer` cites; none where the newest turn of `values` has no documents."""
    found = found_in_turn(values)
    if found is None:
        return {}
    cited = cite(answer, as_citations(found))
    return {CITED: {"citations": [asdict(each) for each in cited.citations], "made_up": list(cited.made_up)}}
