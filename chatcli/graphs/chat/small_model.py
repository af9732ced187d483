"""How a small local model is asked about documents: by an example, and with a grammar that makes it cite.

A model of half a billion parameters forgets to cite in one of three answers, whatever it is told. So its server lets no
sentence end without the number of a passage, and lets the answer begin with a fixed sentence where nothing was found.
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from chatcli.models.model import Model
from chatcli.providers import LOCAL
from chatcli.sessions.found import FoundPassage

NOTHING = "Nothing in your documents matches this."
"""How an answer begins where nothing was found."""
_TASK = (
    "Answer each question from the numbered passages before it, in your own words, and end each sentence with the"
    " number of its passage."
)
_EXAMPLE_PASSAGES = (
    "[1] # Tea\n\nGreen tea brews for three minutes at 80 degrees. Black tea needs boiling water.\n\n"
    "[2] # Cups\n\nThe cups are in the left cupboard.\n\nQuestion: How do I make green tea?"
)
_EXAMPLE_ANSWER = "Let it brew for three minutes in water of 80 degrees [1]."

# In the notation of llama.cpp (GBNF). Within a sentence, a dot is followed by a character, as in 0.5 and setup.md.
_GRAMMAR = r"""
root ::= sentence (gap sentence)*
gap ::= " " | "\n" "\n"?
sentence ::= item? char+ end
item ::= [0-9] [0-9]? ". " | "- "
char ::= [^\[.!?\n] | [.!?] [^ \n\[.!?] | "[" [^0-9\n]
end ::= " "? cite "."? | [.!?] " "? cite
cite ::= "[" NUMBERS "]"
"""
_NOTHING_GRAMMAR = f'root ::= "{NOTHING}" [^\\[]*'


def is_small(model: Model) -> bool:
    """Return whether `model` is one of the local ones, which read slowly and understand little at once."""
    return model.name.provider == LOCAL


def example() -> list[BaseMessage]:
    """Return the messages that show the model how to answer; they come before the newest question."""
    return [HumanMessage(f"{_TASK}\n\n{_EXAMPLE_PASSAGES}"), AIMessage(_EXAMPLE_ANSWER)]


def around_question(passages: Sequence[FoundPassage], marker: str) -> tuple[str, str]:
    """Return what the model gets before and after the question: little beside the passages, since it reads slowly."""
    if not passages:
        return "", ""
    listed = "\n\n".join(f"[{each['number']}] {each['plain'] or each['text']}" for each in passages)
    return f"<{marker}>\n{listed}\n</{marker}>\n\nQuestion: ", ""


def citing_options(numbers: Sequence[int]) -> dict[str, Any]:
    """Return the options of a request whose answer cites passages with these `numbers`, below 10; or none of them."""
    allowed = " | ".join(f'"{number}"' for number in numbers)
    grammar = _GRAMMAR.replace("NUMBERS", f"({allowed})") if numbers else _NOTHING_GRAMMAR
    return {"extra_body": {"grammar": grammar}}
