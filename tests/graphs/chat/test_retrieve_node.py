"""Which passages a local model gets."""

from pathlib import Path

from chatcli.documents.passage import Passage
from chatcli.graphs.chat.retrieve_node import near_best


def _names(*scores: tuple[str, float, float]) -> list[str]:
    """Return what is near the best of passages with these names, scores and scores by words."""
    found = [Passage(Path(name), "", score=score, by_words=by_words) for name, score, by_words in scores]
    return [each.path.name for each in near_best(found)]


def test_passages_near_the_best_score_are_chosen() -> None:
    assert _names(("a", 0.5, 0.5), ("b", 0.4, 0.4), ("c", 0.39, 0.39)) == ["a", "b"]
    assert _names(("c", 0.39, 0.39), ("b", 0.4, 0.4), ("a", 0.5, 0.5)) == ["b", "a"]
    assert _names() == []


def test_meaning_chooses_as_many_as_words_would() -> None:
    assert _names(("b", 0.5, 0.3), ("a", 0.48, 0.5), ("c", 0.46, 0.2)) == ["b"]
    assert _names(("b", 0.5, 0.3), ("a", 0.48, 0.5), ("c", 0.46, 0.45)) == ["b", "a"]
