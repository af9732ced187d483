"""Asks a small local model about documents: with an example, and with a grammar that makes it cite."""

# A model of half a billion parameters forgets to cite in one of three answers, whatever it is told. So its server lets
# no sentence end without the number of a passage, and lets the answer begin with a fixed sentence where nothing was
# found.

import re
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from chatcli.config.providers import LOCAL
from chatcli.message import FoundPassage
from chatcli.models.model import Model
from chatcli.ranking.words import FUNCTION_WORDS

NOTHING = "Nothing in your documents matches this."
"""How an answer begins where nothing was found."""
MAX_EXCERPT = 400
"""Characters of a passage that the model gets, or one paragraph where that is longer."""
MAX_PARAGRAPH = 1600
MAX_HEADING = 60
"""The longest paragraph that may be the heading of the next, if it ends as no sentence does."""
_ENDS = (".", "!", "?", ":", ";", ",", "`")
STEM = 6
"""The first characters of a word, by which its forms are compared."""
_ADDRESSING = re.compile(
    r"""
    ^\W*(system|assistant|user|human|ai|developer|instructions?)(\s+(prompt|message|note|override)s?)?\s*[:>\]|]
    | <\|\w+\|> | \[/?INST\] | </?(system|assistant|user|instructions?)\b | ^\#+\s*(system|instructions?|response)\b
    | \b(ignore|disregard|forget|override)\b.{0,40}
      \b(instructions?|prompts?|passages?|questions?|rules|above|previous)\b
    | (^|[.!?:;,]\s*)(and\s+|please\s+|always\s+|just\s+|now\s+|you\s+(must|should|will|have\s+to)\s+(always\s+)?)*
      (answer|reply|respond|say|output|write|print|repeat)\b.{0,60}\b(only|exactly|nothing|instead|words?|whatever|always)\b
    | \byou\s+are\s+(now\b|an?\s+(ai|assistant|language\s+model|chatbot))
    | \b(language\s+models?|chatbots?|llms?|ai\s+assistants?)\b.{0,40}
      \b(must|should|please|answer|reply|respond|ignore)\b
    | \b(answer|reply|response)\s+to\s+(any|all|every|each)\s+questions?\b | \binstead\s+of\s+an\s+answer\b
    | \bonly\s+(right|correct)\s+(answer|reply|response)\b | \b(user|developer)\s+(now\s+)?(asks?|wants?|tells?)\s+you\b
    | \b(antworte|beantworte|antwoord|r[ée]pond|respond|rispond|отве[чт])\w*\b.{0,60}
      \b(wort|woord|mot|palabra|palavra|parola|слов\w*)\b
    | \b(ignor\w+|игнорир\w+)\b.{0,40}\b(instructions|instrucciones|instruções|istruzioni|anweisungen|инструкц\w+)
    | 忽略.{0,6}(内容|指令|指示) | [只仅].?(回答|回复)
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""What a line has that speaks to a model and not to a reader. A small model obeys it, whatever stands around it."""
_BLANK_LINES = re.compile(r"\n\s*\n")
_WORD = re.compile(r"\w+")
_TASK = (
    "Answer each question from the numbered passages before it, in your own words, and end each sentence with the"
    " number of its passage."
)
_EXAMPLE_PASSAGES = (
    "[1] # Tea\n\nGreen tea brews for three minutes at 80 degrees. Black tea needs boiling water.\n\n"
    "[2] # Cups\n\nCups are washed by hand.\n\nQuestion: How do I make green tea?"
)
_EXAMPLE_ANSWER = "Pour on water of 80 degrees and wait for three minutes [1]."
_EXAMPLE_UNANSWERED = "[1] # Coffee\n\nGrind the beans for each cup.\n\nQuestion: What does a cup of coffee cost?"

# In the notation of llama.cpp (GBNF). Within a sentence, a dot is followed by a character, as in 0.5 and setup.md, but
# by no capital: with one the next sentence would begin.
_GRAMMAR = r"""
root ::= sentence (gap sentence)* | "NOTHING"
gap ::= " " | "\n" "\n"?
sentence ::= item? char+ end
item ::= [0-9] [0-9]? ". " | "- "
char ::= [^\[.!?\n] | [.!?] [^ \n\[.!?A-Z] | "[" [^0-9\n]
end ::= " "? cite "."? | [.!?] " "? cite
cite ::= "[" NUMBERS "]"
"""
_NOTHING_GRAMMAR = f'root ::= "{NOTHING}" [^\\[]*'


def is_small(model: Model) -> bool:
    """Return whether `model` is one of the local ones, which read slowly and understand little at once."""
    return model.name.provider == LOCAL


def example() -> list[BaseMessage]:
    """Return the messages that show the model how to answer; they come before the newest question."""
    asked, unanswered = HumanMessage(f"{_TASK}\n\n{_EXAMPLE_PASSAGES}"), HumanMessage(_EXAMPLE_UNANSWERED)
    return [asked, AIMessage(_EXAMPLE_ANSWER), unanswered, AIMessage(NOTHING)]


def around_question(passages: Sequence[FoundPassage], marker: str, question: str) -> tuple[str, str]:
    """Return the text before and after the question: the passages' best parts, since the model reads slowly."""
    if not passages:
        return "", ""
    parts = (excerpt(for_readers(each["plain"] or each["text"]), question) for each in passages)
    listed = "\n\n".join(f"[{each['number']}] {part}" for each, part in zip(passages, parts, strict=True))
    return f"<{marker}>\n{listed}\n</{marker}>\n\nQuestion: ", ""


def for_readers(text: str) -> str:
    """Return `text` without the lines that address the model."""
    return "\n".join(line for line in text.split("\n") if not _ADDRESSING.search(line)).strip()


def excerpt(text: str, question: str) -> str:
    """Return the part of `text` that shares most words with `question`: about MAX_EXCERPT characters, in paragraphs."""
    if len(text) <= MAX_EXCERPT:
        return text
    paragraphs = _paragraphs(text)
    begin, _ = _best(paragraphs, question)
    end = begin + 1
    while begin > 0 and _is_heading(paragraphs[begin - 1]):
        begin -= 1
    # What the next heading is about would only distract.
    while end < len(paragraphs) and not _is_heading(paragraphs[end]):
        if len("".join(paragraphs[begin : end + 1])) > MAX_EXCERPT:
            break
        end += 1
    return "\n\n".join(paragraphs[begin:end])[:MAX_PARAGRAPH]


def closest(texts: Sequence[str], question: str) -> list[int]:
    """Return the indexes of those `texts` that have a paragraph which shares most words with `question`."""
    scores = [_best(_paragraphs(text), question)[1] for text in texts]
    return [index for index, score in enumerate(scores) if score == max(scores)]


def _paragraphs(text: str) -> list[str]:
    return [paragraph for paragraph in _BLANK_LINES.split(text) if paragraph.strip()] or [""]


def _best(paragraphs: Sequence[str], question: str) -> tuple[int, int]:
    """Return the index of the paragraph that shares most words with `question`, and how many; its own count twice."""
    asked = stems(question)

    def score(index: int) -> int:
        said = asked & stems(paragraphs[index])
        above = paragraphs[index - 1] if index and _is_heading(paragraphs[index - 1]) else ""
        return 2 * len(said) + len(asked & stems(above) - said)

    candidates = [index for index, paragraph in enumerate(paragraphs) if not _is_heading(paragraph)]
    best = max(candidates or range(len(paragraphs)), key=score)
    return best, score(best)


def _is_heading(paragraph: str) -> bool:
    return len(paragraph) <= MAX_HEADING and not paragraph.rstrip().endswith(_ENDS)


def stems(text: str) -> set[str]:
    """Return the beginnings of the words of `text` that say what it is about."""
    words = (word.lower() for word in _WORD.findall(text))
    return {word[:STEM] for word in words if word not in FUNCTION_WORDS}


def citing_options(numbers: Sequence[int]) -> dict[str, Any]:
    """Return the options of a request whose answer cites passages with these `numbers`, below 10; or none of them."""
    allowed = " | ".join(f'"{number}"' for number in numbers)
    grammar = _GRAMMAR.replace("NUMBERS", f"({allowed})").replace("NOTHING", NOTHING) if numbers else _NOTHING_GRAMMAR
    return {"extra_body": {"grammar": grammar}}
