"""What an answer cites."""

import pytest

from chatcli.documents.citations import cite, cited_numbers
from chatcli.message import Citation

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
    "Across\n[1]\nlines": [1],
    "Inline `a[1]` code and ``b `[2]` c``.": [],
    "```python\nx = a[1]\n```\n\nAfter [2].": [2],
    "~~~\n[1]\n": [],
    "    indented [1]\n\ntext [2]": [2],
    "A link [1](https://example.org) and ![2](picture.png), [text [3]](x).": [],
    "<https://example.org/[1]>": [],
    "See [1].\n\n[1]: https://example.org/page": [],
    "See [1] and [2].\n\n[1]: docs/setup.md:12-30\n[2]: docs/use.md": [1, 2],
    "A link to the source: [1](docs/setup.md), [2](docs/setup.md#L3), [setup](docs/setup.md).": [1, 2],
    "See [1].\n\nSources: [1] docs/setup.md": [1, 1],
    "- [ ] to do\n- [x] done\n- [X] done": [],
    "The year [2024], a range [1990-2024], [a1], [1a], [] and [ ].": [],
    r"Escaped \[1\] is text.": [],
    "Nothing is cited.": [],
    "": [],
    "<b>bold [1]</b>": [1],
    '{"answer": "So [1].", "ids": [7, 8], "more": ["and [2]"]}': [1, 2],
    '[{"ids": [7]}]': [],
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
