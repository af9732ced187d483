"""What an answer cites."""

from dataclasses import asdict
from pathlib import Path

import pytest

from chatcli.documents.citations import CITED, cite, cited_in, cited_numbers, for_people
from chatcli.message import Citation, Cited

CASES = {
    "Press the key [1].": [1],
    "Press the key[1], then the other[2].": [1, 2],
    "Both say so [1, 2] and [3;4].": [1, 2, 3, 4],
    "Adjacent [1][2] [3].": [1, 2, 3],
    "A range [1-3] and [5\u20136].": [1, 2, 3, 5, 6],
    "Full width 【1】, 【2、3】 and 【4†setup.md】.": [1, 2, 3, 4],
    "A footnote [^2].": [2],
    "**Bold [1]**, *[2]* and ~~[3]~~.": [1, 2, 3],
    "# Heading [1]\n\n- item [2]\n  1. inner [3]\n\n> quote [4]": [1, 2, 3, 4],
    "| a | b |\n|---|---|\n| x [1] | y [2] |": [1, 2],
    "Across\n[1]\nlines, but no number [2\n3].": [1],
    "Inline `a[1]` code and ``b `[2]` c``.": [],
    "```python\nx = a[1]\n```\n\nAfter [2].": [2],
    "~~~\n[1]\n": [],
    "    indented [1]\n\ntext [2]": [2],
    "A link [1](https://example.org) and ![2](picture.png), [text [3]](x).": [],
    "<https://example.org/[1]>, [1](HTTPS://example.org).": [],
    "See [1].\n\n[1]: https://example.org/page": [],
    "See [1] and [2].\n\n[1]: docs/setup.md:12-30\n[2]: docs/use.md": [1, 2],
    "A link to the source: [1](docs/setup.md), [2](docs/setup.md#L3), [setup](docs/setup.md).": [1, 2],
    "See [1].\n\nSources: [1] docs/setup.md": [1, 1],
    "- [ ] to do\n- [x] done\n- [X] done": [],
    "The year [2024], a range [1990-2024], [a1], [1a], [] and [ ].": [],
    r"Escaped \[1\] is text.": [],
    "Nothing is cited.": [],
    "": [],
    "<b>bold [1]</b>\n\n<div>\nA block [2].\n</div>": [1, 2],
    '{"answer": "So [1].", "ids": [7, 8], "more": ["and [2]"]}': [1, 2],
    '[{"ids": [7], "[8]": "A key."}]': [],
    '{"answer": "Cut short [1]': [1],
    "Backwards [3-1], far [1-900]": [3, 1, 1, 900],
}


@pytest.mark.parametrize("answer", CASES, ids=range(len(CASES)))
def test_numbers_are_found_where_markdown_shows_text(answer: str) -> None:
    assert list(cited_numbers(answer)) == CASES[answer]


def passage(number: int) -> Citation:
    return Citation(number, f"docs/{number}.md", number, number + 5, None, f"passage {number}")


def test_only_cited_passages_are_listed_by_number_and_once() -> None:
    found = [passage(number) for number in (1, 2, 3, 4)]
    cited = cite("Yes [3]. And [1]. Again [3].", found)
    assert [citation.number for citation in cited.citations] == [1, 3]
    assert cited.citations[0] is found[0]
    assert cited.made_up == ()


def test_made_up_numbers_are_told_apart() -> None:
    cited = cite("Yes [1], [7], [9] and [7], [0].", [passage(1)])
    assert [citation.number for citation in cited.citations] == [1]
    assert cited.made_up == (0, 7, 9)


def test_a_partial_answer_cites_what_it_has() -> None:
    assert cite("First [1]. Then [2", [passage(1), passage(2)]).citations == (passage(1),)


def test_what_an_answer_cited_is_read_back_from_its_metadata() -> None:
    cited = Cited((passage(1),), (7,))
    assert cited_in({CITED: asdict(cited)}) == cited
    assert cited_in({"another": {}}) is None
    for foreign in ("[1]", {"citations": [{"number": 1}], "made_up": []}, {"citations": 1}):
        assert cited_in({CITED: foreign}) is None


def test_people_see_the_path_from_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    inside = Citation(1, f"{tmp_path}/docs/a.md", None, None, 3, "text")
    outside = Citation(2, "/elsewhere/b.md", 1, 2, None, "text")
    shown = for_people(Cited((inside, outside), (7,)))
    assert [citation.path for citation in shown.citations] == ["docs/a.md", "/elsewhere/b.md"]
    assert (shown.citations[0].quote, shown.made_up) == ("text", (7,))
