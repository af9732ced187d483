"""A thread's title, written by its model: one short request, whose answer may be any text."""

import asyncio
import re
from contextlib import aclosing
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage

from chatcli.models.model import Model
from chatcli.sanitize import sanitize
from chatcli.sessions.thread import TITLE_LENGTH
from chatcli.store.usage import Tokens, read_tokens
from chatcli.text import one_line

TITLE_SECONDS = 30.0
MAX_SAID = 200
"""Characters of the question and of the answer that the model gets: a local one reads slowly."""
MAX_WRITTEN = 2000
"""Characters that are read of what it writes: it may think first, or not know an end."""
REQUEST = (
    "Name the topic of this conversation in three to six words, in the language of the question, as a title does. Write"
    " the title alone, without quotation marks.\n\nQuestion: {question}\n\nAnswer: {answer}"
)
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_REORDERING = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
_LABEL = re.compile(r"^[\W_]*title[\W_]*:", re.IGNORECASE)
_MARKS = " \t\"'`*_#“”„‟‘’‚«»‹›「」『』"  # noqa: RUF001 - they are meant
"""What models put around a title: quotation marks and Markdown."""


async def ask_title(question: str, answer: str, model: Model, spent: list[Tokens]) -> str:
    """Return the title that `model` writes for a thread that begins so; empty if it writes none that can be used."""
    # One request is sent, whatever comes of it. `spent` grows by what it used.
    said = {"question": one_line(question, MAX_SAID), "answer": one_line(answer, MAX_SAID)}
    whole: AIMessage | None = None
    try:
        stream: Any = model.client.astream([HumanMessage(REQUEST.format(**said))])
        async with asyncio.timeout(TITLE_SECONDS), aclosing(stream) as parts:
            async for part in parts:
                whole = whole + part if isinstance(whole, AIMessageChunk) else part
                if whole is not None and len(str(whole.text)) > MAX_WRITTEN:
                    break
    except Exception:  # noqa: BLE001 - whatever fails, the thread has a title already: its question
        return ""
    if whole is None:
        return ""
    spent.append(read_tokens(whole.usage_metadata) or Tokens())
    return clean_title(str(whole.text))


def clean_title(text: str) -> str:
    """Return the title in `text`, which a model wrote: one printable line of at most TITLE_LENGTH characters."""
    text = _THOUGHT.sub("", sanitize(_REORDERING.sub("", text)))
    lines = ("".join(filter(str.isprintable, one_line(line))) for line in text.splitlines())
    titles = (_LABEL.sub("", line).strip(_MARKS).removesuffix(".").strip(_MARKS) for line in lines)
    title = next((title for title in titles if any(map(str.isalnum, title))), "")
    return one_line(title, TITLE_LENGTH)
