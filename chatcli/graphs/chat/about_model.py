"""Recognises questions about the local model itself, and lets it begin its answer with what is true."""

# Its prompt says the same, but even the larger model may say "Ja, ich wurde von OpenAI gebaut". Once it has said the
# fact, it goes on truly, or is done. It can't tell which questions are about it: it took 16 of 20 others for such. So
# words decide: a clause is about the model if each of its words is listed in about_model.toml (any other subject, such
# as "Python", is a word that is not), if it speaks to the model or of what the user types, and if it asks about one of
# the topics.

import json
import re
import tomllib
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

from chatcli import fences
from chatcli.graphs.chat.state import ChatState
from chatcli.models.model import About, Model
from chatcli.ranking.words import FUNCTION_WORDS, plain_letters
from chatcli.sessions.history import newest_turn

LONGEST = 300
"""The longest question, in characters, that may be about the model."""
_LONGEST_ALONE = 100
"""The longest that has no text of which it may speak as "this"."""
_SHORTEST_TYPO, _MOST_TYPOS = 5, 2
"""The shortest word that may be one of the lists with a mistake, and how many a clause may have."""
_ALIKE = 0.84
"""How alike the two are, of 1; that is one letter of six, or two that changed places."""
_WORD = re.compile(r"[\u3040-\u9fff]|\d+\w?|[^\W\d_\u3040-\u9fff]+")
_ONE_SENTENCE = r"""(" " ([^\n.!?] | "." [0-9]){1,150} [.!?])?"""
"""What the model may add: the smallest one would go on and on."""
_SENTENCE = re.compile(r"[.!?;:\n…。]+")
_CLAUSE = re.compile(r"[,、]|\b(?:and|or|but|whether|if|because|since|und|oder|ob|wenn|weil|et|y)\b")
_QUOTE = re.compile('["“”„«»`<>=(){}「」]')
"""What others are quoted with, and code."""
_ACTION = re.compile(
    r"\b(?:do|did|would) you (?:know|have|like|trust|prefer|recommend)\b|\bwhy do you\b|\bwhat are you \w+ing\b"
    r"|\bhow (?:to|(?:do|can|could|should|would) (?:i|we|you))\b"
    r"|\b(?:can|could|may|should|do) (?:i|we) (?!be\b|need|trust|paste|type|enter|use\b)"
    r"|\b(?:can|could|would) you (?!see\b|access\b|be\b|do\b|work\b"
    r"|(?:look|search|browse)\b.*\b(?:web|internet|online)\W*$)"
    r"|^(?:please )?(?:run|save|keep|store|send|share|record|log|upload|open|read)\b"
    r"|\bkannst du\b(?!.*\b(?:sehen|lesen|mitlesen)\b)|\bpeux-tu (?!voir|lire)|\bpuedes (?!ver|leer)"
    r"|\b(?:hast du ein|as-tu un)|\bw(?:ie|o) \w+ (?:ich|man)\b"
    r"|\bcomment (?:puis|faire|je|on)\b|\bcomo (?:puedo|hago)\b"
    r"|\A(?:i|we|my|our|ich|wir|mein\w*|je|nous|mon|ma|mes|yo|mi|mis)\b(?!.*\b(?:know|tell|you)\b)[^?]*\Z",
    re.MULTILINE,
)
"""What the user wants to do, wants done, or tells."""
_FAULT = frozenset(("not", "t", "cannot", "why", "nicht", "warum", "wieso", "pas", "pourquoi", "no"))
"""What a question about the user's own work has that does not do what it should."""
_GIVEN = frozenset(("code", "text", "texte", "texto", "file", "datei", "fichier", "archivo", "document"))
"""What "this" is more likely than the conversation."""
_FUNCTION_WORDS = frozenset(map(plain_letters, FUNCTION_WORDS))
_HOW = re.compile(r"\bhow (?:old|big|large|small|many)\b")
_TOPICS = ("who", "where", "sent", "seen")
_WHO, _WHERE, _PRIVATE, _SEEN = range(4)
"""The indexes of the facts, and of the topics that ask for them."""


class _Language:
    """A table of about_model.toml: its lists of words, and what is said in this language."""

    def __init__(self, table: dict[str, Any]) -> None:
        names = (*_TOPICS, "you", "mine", "my", "here", "other", "brought")
        lists = {name: frozenset(table.get(name, "").split()) for name in names}
        self.topics = [lists[name] for name in _TOPICS]
        self.you, self.mine, self.here = lists["you"], lists["mine"], lists["here"]
        self.my, self.brought = lists["my"], lists["brought"]
        self.words = _FUNCTION_WORDS.union(*lists.values())
        self.what, self.tasks = table["what"].split(", "), tuple(table["task"].split())
        self.facts, self.by, self.tools = table["facts"], table["by"], table["tools"]

    def topic(self, clause: str, *, alone: bool) -> int | None:
        """Return the index of the fact that `clause` asks for; None for another question."""
        words = _WORD.findall(clause)
        said = frozenset(words)
        yours = said & self.you
        here = alone and said & self.here and not said & _GIVEN
        mine = said & self.mine or here or (said & self.my and not said & self.brought)
        unlisted = [word for word in said - self.words if not word[0].isdigit()]
        if not (yours or (mine and not said & _FAULT)) or len(unlisted) > _MOST_TYPOS:
            return None
        meant = [self._without_mistake(word) for word in unlisted]
        if not all(meant):
            return None
        said = said.union(meant)
        asked = [topic for topic, listed in enumerate(self.topics) if said & listed]
        if _SEEN in asked and mine and alone:
            return _SEEN
        if _PRIVATE in asked and (yours or mine):
            return _PRIVATE
        if (_WHO in asked and (yours or here)) or any(f" {each} " in f" {' '.join(words)} " for each in self.what):
            return _WHO
        return _WHERE if _WHERE in asked and (yours or here) else None

    def _without_mistake(self, word: str) -> str:
        """Return the word of the lists that `word` seems to be; empty for none."""
        alike = get_close_matches(word, self.words, 1, _ALIKE) if len(word) >= _SHORTEST_TYPO else []
        return alike[0] if alike else ""


@cache
def _languages() -> list[_Language]:
    text = files(__package__).joinpath("about_model.toml").read_text(encoding="utf-8")
    return [_Language(table) for table in tomllib.loads(text).values()]


def about_options(state: ChatState, model: Model, *, tools: bool) -> dict[str, Any]:
    """Return the options of a request to `model` that lets it first say what is true of it; none for other questions.

    `tools` says whether it has tools, which may do more. With a system prompt of the user, it is who that says.
    """
    messages = state.get("messages", [])
    if model.about is None or not messages or state.get("system") or state.get("template"):
        return {}
    place = newest_turn(messages)
    text = str(messages[place].text)
    typed = fences.question_alone(text)
    alone = place == 0 and typed == text.strip() and state.get("found") is None
    said = answer(typed, model.about, alone=alone, tools=tools)
    grammar = f"root ::= {json.dumps(said, ensure_ascii=False)} {_ONE_SENTENCE}"
    return {"extra_body": {"grammar": grammar}} if said else {}


def answer(question: str, about: About, *, alone: bool, tools: bool = False) -> str:
    """Return a true answer to a `question` about the model `about`; an empty text for any other question.

    `alone` says that nothing came before it or along with it, so that "this" is the conversation.
    """
    asked = _HOW.sub("what", plain_letters(question).casefold())
    if len(asked) > LONGEST or _QUOTE.search(asked) or _ACTION.search(asked):
        return ""
    if any(word.startswith(one.tasks) for one in _languages() for word in _WORD.findall(asked)):
        return ""
    alone = alone and len(asked) <= _LONGEST_ALONE
    for one in _languages():
        topics: list[int | None] = []
        for sentence in _SENTENCE.split(asked):
            parts = [one.topic(clause, alone=alone) for clause in _CLAUSE.split(sentence)]
            topics += parts if any(part is not None for part in parts) else [one.topic(sentence, alone=alone)]
        if facts := [one.facts[topic] for topic in dict.fromkeys(topics) if topic is not None]:
            facts += [one.tools] if tools and set(topics) - {None, _WHO} else []
            by = one.by.format(maker=about.maker) if about.maker else ""
            return " ".join(facts).format(title=about.title, by=by)
    return ""
