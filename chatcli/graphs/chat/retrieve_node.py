"""The node of the plain chat that looks for passages of the thread's documents before the model is asked."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING

from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.runtime import Runtime

from chatcli.documents.find import shown_path
from chatcli.documents.passage import Passage
from chatcli.events import Notice, Progress
from chatcli.graphs.chat.adapt import takes_tools
from chatcli.graphs.chat.ask_node import MODEL_NODE
from chatcli.graphs.chat.context import request_limit
from chatcli.graphs.chat.offer import beginning, search_index
from chatcli.graphs.chat.passages import as_event, new_retrieval, number_passages
from chatcli.graphs.chat.receive import receive_aside
from chatcli.graphs.chat.small_model import closest, for_readers, is_small, stems
from chatcli.graphs.chat.state import ChatState, TurnContext
from chatcli.sessions.history import is_question, newest_turn
from chatcli.store.recall import OPENING
from chatcli.text import one_line

if TYPE_CHECKING:
    from chatcli.documents.index import Updated

RETRIEVE_NODE = "retrieve"
READING = "reading the documents"
"""The label of the progress."""
MAX_SKIPPED = 3
"""The most files that a notice names."""
PROGRESS_AFTER = 1.0
"""Seconds of bringing the index up to date after which its progress is shown."""
PASSAGES, TOKENS = 10, 4000
"""How many passages are sent at most, and how many tokens of them: to a model with a large window."""
UNKNOWN_TOKENS = 2500
"""Tokens of passages for a model whose window is not known."""
SMALL_PASSAGES, SMALL_TOKENS = 3, 600
"""For a local model, which reads 40 to 80 tokens a second before it answers."""
SMALL_SCORE = 0.8
"""The least score by words of a passage that is near the best one, as a part of the best such score."""
SHARE = 3
"""The passages take at most this part of what may be sent: a third."""
CHARACTERS_PER_TOKEN = 3
"""A cautious estimate."""
MAX_QUERY = 1000
"""Characters of a question that are searched for."""
FEW_WORDS = 4
"""A question with at most so many words may depend on the conversation before it."""
REWRITE_SECONDS = 20.0
MAX_TOLD = 600
"""Characters of each message that the model gets to rewrite a question."""
REWRITE = (
    "A user asks about documents. Write what to search in the documents for, to answer the newest question: one line of"
    " key words, in the language of the question, with the names that its pronouns stand for. Write nothing else.\n\n"
    "{conversation}\n\nNewest question: {question}"
)
_WORD = re.compile(r"\w+")
_ATTACHED = re.compile(rf"^(?:(?:[0-9a-f]{{16}} )?<(?:stdin>|file name=)|{re.escape(OPENING)})", re.MULTILINE)
"""How the block of a file, a pipe or past threads begins; it stands behind what the user typed."""
_POINTING = frozenset(
    {"it", "its", "that", "this", "they", "them", "their", "those", "these", "he", "him", "his", "she", "her", "one"}
    | {"ones", "there", "then", "same", "other", "another", "former", "latter", "above", "previous", "else", "more"}
)


def first_node(state: ChatState) -> str:
    """Return the first step of a turn. One with documents begins with a retrieval in its state."""
    return RETRIEVE_NODE if state.get("found") is not None else MODEL_NODE


async def retrieve(state: ChatState, runtime: Runtime[TurnContext]) -> ChatState:
    """Bring the index of the thread's documents up to date, and find what belongs to the newest question."""
    turn = runtime.context
    if not turn.documents:
        return ChatState(found=None)
    messages = state["messages"]
    asked = messages[newest_turn(messages)]
    question = _text(asked)
    await _update_index(turn.documents, runtime)
    query, found = await _search_for(question, messages[: newest_turn(messages)], turn)
    if not found and (found := await search(whole := str(asked.text)[:MAX_QUERY], turn)):
        query = whole  # "Explain this." says it in a file
    passages = number_passages(fitting(found, turn, question), turn.numbers)
    runtime.stream_writer(as_event(query, passages))
    retrieval = state.get("found") or new_retrieval()
    return ChatState(found={**retrieval, "query": query, "passages": passages})


async def _update_index(sources: Sequence[str], runtime: Runtime[TurnContext]) -> None:
    """Bring the index of `sources` up to date, in a thread that stops when the turn does."""
    loop, begun, ended = asyncio.get_running_loop(), time.monotonic(), Flag()
    shown = False

    def show(done: int, total: int) -> None:
        nonlocal shown
        if not ended.is_set():
            shown = True
            runtime.stream_writer(Progress(READING, done, total, "files"))

    def report(done: int, total: int) -> None:
        if time.monotonic() - begun >= PROGRESS_AFTER and not ended.is_set():
            loop.call_soon_threadsafe(show, done, total)

    try:
        updated, notice = await asyncio.to_thread(_update, sources, report, ended.is_set)
    finally:
        ended.set()
        if shown:
            runtime.stream_writer(Progress(READING, finished=True))
    if notice:
        runtime.stream_writer(Notice(notice))
    if not updated.files:
        runtime.stream_writer(Notice(f"no document can be read: {_skipped(updated)}", "warning"))
    elif updated.skipped and (updated.added or updated.changed):
        runtime.stream_writer(Notice(f"left out of the documents: {_skipped(updated)}"))


def _update(
    sources: Sequence[str], report: Callable[[int, int], None], stop: Callable[[], bool]
) -> tuple["Updated", str]:
    """Return the result of the update, and a notice about the index itself, if any."""
    from chatcli.documents.index import DocumentIndex  # late: most turns have no documents

    with DocumentIndex() as index:
        return index.update(sources, progress=report, stop=stop), index.notice


def _skipped(updated: "Updated") -> str:
    """Return in one line what was not read, and why."""
    named = [f"{shown_path(Path(path))} ({reason})" for path, reason in updated.skipped[:MAX_SKIPPED]]
    rest = len(updated.skipped) - len(named)
    return ", ".join(named) + (f" and {rest} more; `chat docs index` names all" if rest else "") or "there is none"


async def _search_for(question: str, earlier: Sequence[BaseMessage], turn: TurnContext) -> tuple[str, list[Passage]]:
    """Return the words that were searched for, and the passages that were found."""
    # That is the question itself where it stands alone. Else it is what a model makes of it, or the words of the newest
    # turns; what the question itself finds is found then, too.
    found = await search(question, turn)
    if not any(map(is_question, earlier)) or (found and stands_alone(question, found[0])):
        return question, found
    if rewritten := await _rewrite(question, earlier, turn):
        found_by_it = await search(rewritten, turn)
        if found_by_it:
            return rewritten, alternating(found_by_it, found)
    before = next(_text(message) for message in reversed(earlier) if is_question(message))
    together = f"{question} {before}"
    found_by_both = await search(together, turn)
    return (together, alternating(found, found_by_both)) if found_by_both else (question, found)


def stands_alone(question: str, best: Passage) -> bool:
    """Return whether `question`, for which `best` was found, can be understood without the conversation before it."""
    # A short one does so if the passage has all that it names.
    words = [word.lower() for word in _WORD.findall(question)]
    if any(word in _POINTING for word in words):
        return False
    named = stems(question)
    where = f"{shown_path(best.path)} {' '.join(best.headings)} {best.plain or best.text}"
    return len(words) > FEW_WORDS or (bool(named) and named <= stems(where))


def alternating(first: Sequence[Passage], second: Sequence[Passage]) -> list[Passage]:
    """Return the passages of both, each once: the best of `first`, the best of `second`, and so on."""
    return list(dict.fromkeys(each for each in chain.from_iterable(zip_longest(first, second)) if each is not None))


async def search(words: str, turn: TurnContext, limit: int = PASSAGES) -> list[Passage]:
    """Return the best passages of the turn's documents for `words`."""
    return await asyncio.to_thread(search_index, words, turn.documents, limit)


def fitting(found: Sequence[Passage], turn: TurnContext, question: str) -> list[Passage]:
    """Return those of `found`, the best first, that are sent to the turn's model beside `question`."""
    limit = request_limit(turn)
    count, tokens = (SMALL_PASSAGES, SMALL_TOKENS) if is_small(turn.model) else (PASSAGES, TOKENS)
    free = UNKNOWN_TOKENS if limit is None else (limit - len(question) // CHARACTERS_PER_TOKEN) // SHARE
    room = min(tokens, free) * CHARACTERS_PER_TOKEN
    if is_small(turn.model) and found:  # it takes what matches little for an answer, too
        texts = {each: text for each in found if (text := for_readers(each.plain or each.text))}
        near = near_best(list(texts))
        found = [near[place] for place in closest([texts[each] for each in near], question)] if near else []
    return beginning(found[:count], room)


def near_best(found: Sequence[Passage]) -> list[Passage]:
    """Return the best of `found`: as many as are near the best one by their words."""
    # Scores by meaning lie closer together, so they say which passages are best, but not how many are good.
    best = max((each.by_words for each in found), default=0.0)
    count = sum(each.by_words >= SMALL_SCORE * best for each in found)
    scores = sorted((each.score for each in found), reverse=True)
    return [each for each in found if each.score >= scores[count - 1]]


async def _rewrite(question: str, earlier: Sequence[BaseMessage], turn: TurnContext) -> str:
    """Return the words that the model would search for to answer `question`; empty if it can't say."""
    if is_small(turn.model) or not takes_tools(turn.model):
        return ""
    begin = newest_turn(earlier)
    told = "\n".join(f"{message.type}: {one_line(_text(message), MAX_TOLD)}" for message in earlier[begin:])
    request = [HumanMessage(REWRITE.format(conversation=told, question=one_line(question, MAX_TOLD)))]
    try:
        async with asyncio.timeout(min(REWRITE_SECONDS, turn.timeout)):
            answer = await receive_aside(request, turn, seconds=REWRITE_SECONDS)
    except Exception:  # noqa: BLE001 - whatever fails, the question's own words are left
        return ""
    return one_line(str(answer.text), MAX_QUERY)


def _text(message: BaseMessage) -> str:
    """Return the text that is searched for: what the user typed, without what is attached or came through a pipe."""
    text = str(message.text)
    return (_ATTACHED.split(text, 1)[0].strip() or text)[:MAX_QUERY]
