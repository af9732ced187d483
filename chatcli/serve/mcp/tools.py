"""The tools of `chat mcp`: their names, their arguments and their results, as JSON Schemas."""

from dataclasses import dataclass
from typing import Any

MAX_LISTED = 200
"""The most threads, matches or passages of one answer."""
MAX_MESSAGES = 500
"""The most messages of a thread in one answer."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: what the other program's model reads about it, and the schemas of its arguments and its result."""

    name: str
    title: str
    description: str
    arguments: dict[str, Any]
    result: dict[str, Any]
    only_reads: bool = True


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def _arguments(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {**_object(required, **properties), "additionalProperties": False}


def _list_of(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


def _text(description: str = "", **limits: Any) -> dict[str, Any]:
    return {"type": "string", **({"description": description} if description else {}), **limits}


def _count(description: str, default: int, most: int, least: int = 1) -> dict[str, Any]:
    return {"type": "integer", "description": description, "default": default, "minimum": least, "maximum": most}


_TEXT = _text()
_NUMBER = {"type": "integer"}
_MAYBE_NUMBER = {"type": ["integer", "null"]}
_DOCUMENTS = {
    **_list_of(_text(minLength=1)),
    "maxItems": 100,
    "description": "Folders or files to search. Only documents that the user has named or indexed are open to you.",
}
_PLACE = {"path": _TEXT, "start_line": _MAYBE_NUMBER, "end_line": _MAYBE_NUMBER, "page": _MAYBE_NUMBER}
_CITATION = _object(("number", "path", "quote"), number=_NUMBER, **_PLACE, quote=_TEXT)
_SUMMARY: dict[str, Any] = {
    "thread_id": _TEXT,
    "title": _TEXT,
    "model": _TEXT,
    "turns": _NUMBER,
    "created_at": _text("ISO 8601, UTC"),
    "updated_at": _text("ISO 8601, UTC"),
}

ASK = Tool(
    "ask",
    "Ask a model",
    "Ask a language model through chat, and return its answer. The question and the answer are kept in a thread, whose"
    " ID is returned: give it to ask on. Progress notifications carry the answer as it arrives.",
    _arguments(
        ("question",),
        question=_text("What to ask.", minLength=1),
        model=_text("provider:model, or an alias; by default the one that the user chose.", minLength=1),
        thread_id=_text("The thread to go on with, or to create; by default a new one.", minLength=1, maxLength=200),
        documents={**_DOCUMENTS, "description": f"The answer is grounded on these. {_DOCUMENTS['description']}"},
    ),
    _object(
        ("thread_id", "model", "content", "finish_reason", "usage", "approvals", "notices"),
        thread_id=_TEXT,
        checkpoint_id=_TEXT,
        model=_text("Who answered, as provider:model."),
        content=_text("The answer."),
        finish_reason=_text("stop, length and the like; interrupt where the thread waits for its user."),
        usage=_object(input_tokens=_NUMBER, output_tokens=_NUMBER, total_tokens=_NUMBER),
        elapsed_ms=_NUMBER,
        citations=_list_of(_CITATION),
        unknown_citations=_NUMBER,
        output={"description": "What a graph returned, where that is more than a text."},
        approvals={**_list_of({}), "description": "What the thread waits for; only its user can answer."},
        notices=_list_of(_TEXT),
    ),
    only_reads=False,
)
LIST_THREADS = Tool(
    "list_threads",
    "List threads",
    "List the stored conversations, the newest first.",
    _arguments(limit=_count("The newest N only.", 20, MAX_LISTED)),
    _object(("threads",), threads=_list_of(_object(tuple(_SUMMARY), **_SUMMARY))),
)
SEARCH_THREADS = Tool(
    "search_threads",
    "Search threads",
    "Find messages of the stored conversations by words in any form, the best first: those of exchanges that have all"
    " words, or else most of them.",
    _arguments(
        ("text",),
        text=_text("Words to look for.", minLength=1),
        limit=_count("The best N.", 20, MAX_LISTED),
    ),
    _object(
        ("matches",),
        matches=_list_of(
            _object(("thread_id", "title", "role", "snippet"), thread_id=_TEXT, title=_TEXT, role=_TEXT, snippet=_TEXT)
        ),
    ),
)
READ_THREAD = Tool(
    "read_thread",
    "Read a thread",
    "Return the messages of a stored conversation, the oldest first.",
    _arguments(
        ("thread_id",),
        thread_id=_text("The thread's ID, or a beginning that no other has.", minLength=1, maxLength=200),
        limit=_count("The newest N messages.", 50, MAX_MESSAGES),
        skip=_count("How many of the newest messages to leave out, to read what is before them.", 0, 10**9, 0),
    ),
    _object(
        (*_SUMMARY, "messages", "total"),
        **_SUMMARY,
        messages=_list_of(
            _object(
                ("role", "content", "interrupted"),
                role=_TEXT,
                content=_TEXT,
                interrupted={"type": "boolean"},
                citations=_list_of(_CITATION),
                unknown_citations=_NUMBER,
            )
        ),
        total={**_NUMBER, "description": "How many messages the thread has."},
    ),
)
SEARCH_DOCUMENTS = Tool(
    "search_documents",
    "Search documents",
    "Find passages of the user's documents by words, the best first, with the lines or the page where they stand.",
    _arguments(
        ("text",),
        text=_text("Words or a question.", minLength=1),
        documents=_DOCUMENTS,
        limit=_count("The best N.", 10, MAX_LISTED),
    ),
    _object(
        ("passages",),
        passages=_list_of(
            _object(
                ("path", "text", "score", "weak"),
                **_PLACE,
                text=_TEXT,
                score={"type": "number"},
                weak={
                    "type": "boolean",
                    "description": "Whether the passages match little of the text: none may answer.",
                },
            )
        ),
    ),
)
TOOLS = {tool.name: tool for tool in (ASK, LIST_THREADS, SEARCH_THREADS, READ_THREAD, SEARCH_DOCUMENTS)}
