"""The search: languages, names of code, hostile questions, and what is relevant."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatcli.documents.index import DocumentIndex
from chatcli.ranking.words import index_words, question_terms

TEXTS = {
    "tower": "東京タワーは1958年に完成した電波塔です。高さは333メートルです。",
    "noodles": "拉面是一种起源于中国的日本面食。汤底有酱油和味噌。",
    "library": "图书馆周一关门。",
    "bus": "서울의 버스는 새벽 네 시에 시작합니다.",
    "thai": "ร้านอาหารเปิดเวลาแปดโมงเช้าและปิดตอนเที่ยงคืน",
    "hindi": "पुस्तकालय सोमवार को बंद रहता है।",
    "cafe": "Le café ferme à dix-huit heures; les élèves reçoivent une réduction.",
    "greek": "Στις οκτώ το πρωί ανοίγει η βιβλιοθήκη.",
    "code": "def getUserName(self): return self.read_config_file(os.path.join(HTTPServer.root, 'x'))",
    "timeout": "Set the connection timeout in seconds. The default of 30 seconds suits slow networks.",
    "colours": "The palette has crimson, teal and ochre.",
}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DocumentIndex]:
    folder = tmp_path_factory.mktemp("texts")
    for name, text in TEXTS.items():
        (folder / f"{name}.txt").write_text(text)
    with DocumentIndex(folder / "data" / "documents.db") as index:
        index.update([str(folder / "*.txt")])
        yield index


def test_words_side_by_side_say_more_than_the_same_words_apart(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The pressure in a high tower in summer.")
    (tmp_path / "b.txt").write_text("A high pressure in the tower in summer.")
    with DocumentIndex(tmp_path / "data" / "documents.db") as index:
        index.update([str(tmp_path / "*.txt")])
        assert [found.path.stem for found in index.search("high pressure")] == ["b", "a"]
        assert [found.path.stem for found in index.search("high tower")] == ["a", "b"]


def test_a_word_of_the_path_or_a_heading_says_more_than_one_of_the_text(index: DocumentIndex, docs: Path) -> None:
    (docs / "a.md").write_text("It is a lighthouse of old.")
    (docs / "lighthouse.md").write_text("It is a tower of old.")
    (docs / "c.md").write_text("# Harbour\n\nIt is open.")
    (docs / "d.md").write_text("# It\n\nA harbour is open.")
    index.update([str(docs)])
    assert [found.path.stem for found in index.search("lighthouse")] == ["lighthouse", "a"]
    assert [found.path.stem for found in index.search("harbour")] == ["c", "d"]


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("東京タワー", "tower"),
        ("高さ", "tower"),
        ("電波塔の高さは?", "tower"),
        ("塔", "tower"),
        ("面食", "noodles"),
        ("味噌", "noodles"),
        ("图书馆什么时候关门", "library"),
        ("酱", "noodles"),
        ("버스", "bus"),
        ("새벽에 시작", "bus"),
        ("ร้านอาหาร", "thai"),
        ("เที่ยงคืน", "thai"),
        ("पुस्तकालय कब बंद है", "hindi"),
        ("CAFÉ", "cafe"),
        ("cafe", "cafe"),
        ("cafe\u0301", "cafe"),
        ("eleves", "cafe"),
        ("βιβλιοθηκη", "greek"),
        ("".join(chr(ord(letter) + 0xFEE0) for letter in "timeout"), "timeout"),  # full width
        ("getUserName", "code"),
        ("getusername", "code"),
        ("user name", "code"),
        ("read_config_file", "code"),
        ("config file", "code"),
        ("HTTPServer", "code"),
        ("http server", "code"),
        ("os.path.join", "code"),
        ("How many seconds does it wait by default for connections?", "timeout"),
        ("timeouts", "timeout"),
        ("colours", "colours"),  # only in the name of the file
    ],
)
def test_found(searched: DocumentIndex, question: str, name: str) -> None:
    matches = searched.search(question)
    assert matches, question_terms(question)
    assert matches[0].path.stem == name
    assert matches[0].text == TEXTS[name]


@pytest.mark.parametrize(
    "question",
    [
        "",
        "   \n",
        "?!",
        "What is the capital of France?",
        "Wie hoch ist der Eiffelturm?",
        "who won the world cup in 1998",
        "京塔",
        "法国的首都是什么?",
    ],
)
def test_nothing_relevant(searched: DocumentIndex, question: str) -> None:
    assert all(match.weak for match in searched.search(question))


@pytest.mark.parametrize(
    "question",
    [
        'timeout"',
        '"timeout" OR 1=1 --',
        "timeout NEAR(seconds, 5)",
        "timeout* AND NOT",
        "^timeout {seconds} : place",
        "text : timeout",
        "-timeout",
        "timeout\0seconds",
        "timeout \ud800 \udcff seconds",
        "(((timeout seconds",
    ],
)
def test_nothing_of_a_question_is_syntax(searched: DocumentIndex, question: str) -> None:
    assert searched.search(question)[0].path.stem == "timeout"


@given(st.text(st.characters(codec=None), max_size=60))
def test_any_text_is_a_question(searched: DocumentIndex, question: str) -> None:
    for match in searched.search(question):
        assert 0 < match.score <= 1
        assert match.text == TEXTS[match.path.stem]


def test_a_pasted_text_is_a_question(searched: DocumentIndex) -> None:
    assert searched.search(f"{TEXTS['timeout']} " * 2000)[0].path.stem == "timeout"
    assert searched.search("x" * 1_000_000) == []


def test_the_best_comes_first_and_scores_go_down(index: DocumentIndex, docs: Path) -> None:
    for number in range(30):
        mentions = "lighthouse keeper " * (number == 17) + "lighthouse"
        (docs / f"{number}.md").write_text(f"{mentions}\n\n" + "other words " * 50)
    index.update([str(docs)])
    matches = index.search("lighthouse keeper", limit=5)
    assert matches[0].path.name == "17.md"
    assert [match.score for match in matches] == sorted((match.score for match in matches), reverse=True)
    assert len(index.search("lighthouse", limit=20)) == 20


def test_neighbours_help_only_in_the_same_document(index: DocumentIndex, docs: Path) -> None:
    filler = "nothing that matters here. " * 55
    keeper, salary = f"{filler} The keeper is Ada.", f"The salary is paid on Fridays. {filler}"
    (docs / "a.md").write_text(keeper)
    (docs / "b.md").write_text(salary)
    index.update([str(docs)])
    question = "salary Fridays keeper Ada Zanzibar"
    assert all(match.weak for match in index.search(question))
    (docs / "c.md").write_text(f"{keeper}\n\n{salary}\n")
    index.update([str(docs)])
    assert len(index.passages(docs / "c.md")) == 2
    found = index.search(question)
    assert not any(match.weak for match in found)
    assert [match.path.name for match in found].count("c.md") == 2


def test_a_passage_about_a_word_answers_more_than_one_that_mentions_it(index: DocumentIndex, docs: Path) -> None:
    for number in range(9):
        (docs / f"{number}.md").write_text("Short note.")
    (docs / "a.md").write_text(f"The lighthouse is old. {'nothing that matters here. ' * 55}")
    index.update([str(docs)])
    assert not index.search("old lighthouse")[0].weak  # every word, however long the passage
    assert index.search("lighthouse keeper Zanzibar")[0].weak
    (docs / "b.md").write_text("The lighthouse: a lighthouse has a keeper of the lighthouse. Lighthouse keeper.")
    index.update([str(docs)])
    assert not index.search("lighthouse keeper Zanzibar")[0].weak


def test_a_paraphrase_is_decided_on_as_a_whole(index: DocumentIndex, docs: Path) -> None:
    (docs / "a.md").write_text("The lighthouse keeper writes down each ship that passes.")
    (docs / "b.md").write_text("A ship is repaired in the dock.")
    index.update([str(docs)])
    # Every word of one passage, and few of the other: both are passages of an answer.
    assert [match.weak for match in index.search("keeper of the lighthouse, vessels or a ship")] == [False, False]
    assert [match.weak for match in index.search("ship prices Zanzibar Mombasa Nairobi")] == [True, True]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def _found(index: DocumentIndex, words: str, sources: list[str] | None = None) -> list[str]:
    return list(dict.fromkeys(match.path.name for match in index.search(words, sources)))


def test_a_small_source_beside_a_large_one(index: DocumentIndex, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The words are too common in the index to be looked up there, and rare in the small source.
    monkeypatch.setattr("chatcli.ranking.search._MOST_ROWS", 20)
    for number in range(50):
        _write(docs / f"large/{number}.md", "default file value " * 3)
    _write(docs / "small/a.md", "The default file has a value.")
    _write(docs / "small/b.md", "The harbour has a lighthouse.")
    index.update([str(docs / "large"), str(docs / "small")])
    assert _found(index, "default value of a file", [str(docs / "small")]) == ["a.md"]
    assert _found(index, "default value of a file")
    sources = [str(docs / "small")] + [str(docs / f"large/{number}.md") for number in range(0, 50, 5)]
    index.update(sources)
    _write(docs / "large/5.md", "another default file value")  # now behind all others
    index.update(sources)
    assert sorted(_found(index, "default value of a file", sources[3:])) == sorted(f"{n}.md" for n in range(10, 50, 5))
    assert _found(index, "default value of another file", [sources[0], sources[2]])[0] == "5.md"


def test_a_frequent_word_of_the_language_says_nothing(index: DocumentIndex, docs: Path) -> None:
    (docs / "a.md").write_text("Where is the key? It is under the mat, and what it opens is the shed.")
    (docs / "b.md").write_text("Batteries.")
    index.update([str(docs)])
    assert index.search("What is the price of the batteries?")[0].path.name == "b.md"
    assert index.search("Where is the mountain?") == []


def test_parts_of_names_are_indexed() -> None:
    assert index_words("getUserName") == "getUserName get User Name"
    assert index_words("parseHTTPResponse2") == "parseHTTPResponse2 parse HTTP Response2"
    assert index_words("Plain words, snake_case") == "Plain words, snake_case"
    assert index_words("東京都") == " 東京 京都 都 "
    data = "aB" * 5000
    assert index_words(data) == data
