"""Words as an index knows them: of a passage or an exchange, and of a question."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from unicodedata import category, normalize

_CAMEL = re.compile(r"\b[A-Za-z0-9]*(?:[a-z0-9][A-Z]|[A-Z][A-Z][a-z])[A-Za-z0-9]*")
_HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
_LONGEST_NAME = 60
"""The longest name that is split at its capitals; a longer one is data, such as Base64."""
_ACCENT = re.compile("[\u0300-\u036f]+")
_UNSPACED = re.compile(
    "["
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f"  # Burmese
    "\u1780-\u17ff"  # Khmer
    "\u1100-\u11ff\uac00-\ud7af"  # Korean, which has spaces, but joins particles to words
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # Japanese
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese
    "]+"
)
_LONGEST_PHRASE = 6
_TOGETHER = 0.3
"""How much it counts, beside the words, that two words of a question stand side by side in a text, too."""
TABLE = """CREATE VIRTUAL TABLE words USING fts5 (
    place, text, content = '', tokenize = "porter unicode61 remove_diacritics 2 categories 'L* N* Co Mn Mc'"
)"""
"""The table of words, without a copy of the text. Marks (Mn, Mc) are parts of words in the scripts of India, say."""
_MARKS = ("Mn", "Mc", "Co")

_OF_FUNCTION = """
a about above after again all also am an and any are as at be been before being below between both but by can could
did do does doing done for from give had has have having he her here hers him his how i if in into is it its itself
just like may me might more most much must my no nor not now of on once only or other our ours out please same shall
she should so some such tell than that the their theirs them then there these they this those through to too until
up us very was we were what when where whether which while who whom whose why will with within without would you
your yours explain know want aber als auch auf aus bei bitte dann das dass dem der des doch durch ein eine einem
einen einer eines er es für habe haben ich ihr ihre im ist kann können mein mit nach nicht noch oder sein sich sie
sind um und uns vom von vor wann warum welche welcher welches wenn wer werden wie wieviel wird wir wo zu zum zur
über au aux avec ce ces cette comment dans de du elle elles est et il ils je la le les leur lui mais mes mon nous ou
où par pas peut pourquoi quand que quel quelle quelles quels qui sa ses sont un une vous à al como con cual cuál
cuando cuándo cuántos del desde donde dónde el ella ellos en esta este está están hay las lo los más mi muy para
pero por porque qué quién se según ser si sin sobre su sus también tiene una uno y anche che chi cosa dei della
delle di gli ha ho nel nella non per perché più quale quando quanto sono tra ao com da dos em essa esse foi isso na
nas não nos num o onde pela pelo qual são seu sua tem uma aan bij dit een hebben heeft het hoe ik met naar niet ook
op uit voor waar waarom wat wel welke worden wordt zijn 什么 什麼
怎么 怎麼 如何 哪里 哪裡 哪个 哪個 哪些 多少 时候 時候 为什 為什 是什
我们 我們 你们 你們 です ます でし まし した して する いる ある こと どう どこ どの いつ なぜ なに
"""
FUNCTION_WORDS = frozenset(_OF_FUNCTION.split())
"""Words, or pairs of characters, that say how a question is put and not what it is about, in some languages.

Frequent words of a language are rare in a small folder, so the index alone can't recognise them.
"""


def plain_letters(text: str) -> str:
    """Return `text` with one form of each letter: of half and full width, with and without an accent, ligatures."""
    if text.isascii():
        return text
    # The tokenizer removes accents of Latin letters alone.
    return normalize("NFKC", _ACCENT.sub("", normalize("NFKD", text)))


def index_words(text: str) -> str:
    """Return `text` as it is indexed: with the parts of each `camelCase` name, and unspaced scripts in pairs.

    Chinese, Japanese and Thai write no spaces, so each pair of neighbouring characters counts as a word. A pair is the
    shortest word that people search for; the trigrams of SQLite do not find it.
    """
    text = _CAMEL.sub(_with_humps, plain_letters(text))
    if text.isascii():
        return text
    return _UNSPACED.sub(_pairs, text).encode("utf-8", "replace").decode()  # no lone surrogates


def _with_humps(found: re.Match[str]) -> str:
    name = found[0]
    return name if len(name) > _LONGEST_NAME else f"{name} {' '.join(_HUMP.findall(name))}"


def _pairs(found: re.Match[str]) -> str:
    run = found[0]
    # The last character alone, too: a search for one character is a search for a word that begins with it.
    return f" {' '.join(run[place : place + 2] for place in range(len(run)))} "


@dataclass(frozen=True, slots=True)
class Term:
    """A word of a question, or a name of several words."""

    query: str
    """It as a quoted string of FTS5's query language: nothing that a user types is syntax."""
    is_name: bool = False
    """Whether its parts are terms, too: `read_file`, `readFile`, `os.path`, and two words side by side."""
    is_pair: bool = False
    """Whether it is a pair of characters in a script without spaces, perhaps of two words."""
    weight: float = 1.0
    """How much it counts."""


def question_terms(question: str) -> list[Term]:
    """Return the words, names and pairs of words of `question`, each once; function words if there is nothing else."""
    question = plain_letters(question)
    terms = list(dict.fromkeys(_terms(question)))
    telling = [term for term in terms if term.query.strip('"') not in FUNCTION_WORDS]
    known = {term.query for term in telling}
    words = _words(_UNSPACED.sub(" ", question.lower()))
    together = (_quoted(" ".join(pair)) for pair in pairwise(words) if FUNCTION_WORDS.isdisjoint(pair))
    pairs = [Term(pair, is_name=True, weight=_TOGETHER) for pair in dict.fromkeys(together) if pair not in known]
    return telling + pairs or terms


def _terms(question: str) -> Iterator[Term]:
    for chunk in question.split():
        for run in _UNSPACED.findall(chunk):
            if len(run) == 1:
                yield Term(f"{_quoted(run)} *")
            else:
                pairs = (run[place : place + 2] for place in range(len(run) - 1))
                yield from (Term(_quoted(pair), is_pair=True) for pair in pairs)
        words = _words(_UNSPACED.sub(" ", chunk))
        # The tokenizer splits "read_file", "os.path" and "well-known": their words stand side by side in the index.
        if 1 < len(words) <= _LONGEST_PHRASE:
            yield Term(_quoted(" ".join(words)), is_name=True)
        for word in words:
            humps = _HUMP.findall(word) if len(word) <= _LONGEST_NAME and _CAMEL.fullmatch(word) else []
            yield Term(_quoted(word), is_name=bool(humps))
            yield from (Term(_quoted(hump)) for hump in humps)


def _words(text: str) -> list[str]:
    """Return the words of `text` as FTS5's tokenizer finds them: letters, digits and the marks upon letters."""
    kinds = ((letter, category(letter)) for letter in text)
    return "".join(letter if kind[0] in "LN" or kind in _MARKS else " " for letter, kind in kinds).split()


def _quoted(words: str) -> str:
    return f'"{words.lower()}"'
