"""The library: turns of a LangGraph app in the event loop of another program, and what its programs share with them.

`chatcli.run`, `chatcli.command` (`chatcli.cli.programs`), `chatcli.ask`, `chatcli.stream` and their types
are the whole public face.

What a graph may be, for all of them:

- a compiled graph, a StateGraph, or an `@entrypoint`,
- any Runnable over messages: a model, a chain,
- a factory: a function that takes nothing, or the run's `config`, and returns one of these; sync, async, or an (async)
  context manager. It is called when the graph is needed.
- a function `reply(message: str, history: list) -> str`, sync or async, or a generator that yields the pieces of its
  answer. The history is the list of langchain's messages before the question, oldest first.

A graph that was compiled with a checkpointer keeps it; one without gets the store. Its threads are known by its name.
"""

import asyncio
import gc
import re
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from chatcli import events
from chatcli.config.thread_ids import check_thread_id
from chatcli.errors import BadGraphError, ChatcliError, ExitCallError, InterruptedTurnError, UsageError
from chatcli.graphs.user.kinds import WANTED, Kind, kind_of, name_of
from chatcli.graphs.user.spec import GraphSpec
from chatcli.graphs.values import KINDS, GraphArguments, GraphValues, plain_values
from chatcli.runtime.background import in_background
from chatcli.runtime.program import Program
from chatcli.sessions.requests import Ask, Resume

if TYPE_CHECKING:
    from chatcli.attachments.attachment import Attachment
    from chatcli.conversation.conversation import Conversation

StreamEvent = (
    events.TurnStarted
    | events.TextDelta
    | events.ReasoningDelta
    | events.ToolCallStarted
    | events.ToolCallFinished
    | events.ApprovalRequested
    | events.Notice
    | events.TurnFinished
    | events.TurnInterrupted
    | events.TurnFailed
)
"""An event of `stream`; its `type` is that of `--format jsonl`."""


class TurnArguments(GraphArguments, total=False):
    """The arguments of `ask` and `stream` besides the graph and the question."""

    model: str | None
    thread: str | None
    name: str | None
    files: Sequence[str | Path]
    resume: Any
    store: str | None


_NOT_GIVEN: Any = object()
_MAX_NAME = 100
_names: dict[tuple[str, str], "weakref.ref[Any] | Callable[[], Any]"] = {}
"""The graphs that have been given a name in this process, by name and store."""


class TurnError(RuntimeError):
    """What ended a turn of `ask` without a whole answer; `__cause__` is the original exception.

    Attributes:
        code: `auth`, `context`, `refused`, `store`, `network`, `usage`, `interrupted` or `internal`.
        remedy: What to do next, in one line; it may be empty.
        retryable: Whether trying again later may work.
        thread_id: The thread, which has the question.
        content: The part of the answer that had arrived; the thread has it, too.

    """

    def __init__(self, error: ChatcliError, thread_id: str = "", content: str = "") -> None:
        super().__init__(error.message)
        self.code: str = error.code
        self.remedy = _in_python(error.remedy)
        self.retryable: bool = error.retryable
        self.thread_id = thread_id
        self.content = content


class BadTurnError(TurnError, ValueError):
    """A turn that can't be as it was asked for: its `code` is `usage`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, with the fields of `--format json`."""

    thread_id: str
    """The thread, for the next question."""
    checkpoint_id: str
    model: str
    """Who answered: `graph:NAME`, or `provider:model`."""
    content: str
    """The text."""
    finish_reason: str
    """`stop`, `length` and the like; `interrupt` where the graph waits for answers to `approvals`; `breakpoint` where
    it stopped before a node, and `resume=None` goes on."""
    usage: events.Usage
    elapsed_ms: int
    messages_in_context: int
    messages_in_thread: int
    output: Any = None
    """The answer itself, where the graph gives more than a text."""
    approvals: tuple[events.ApprovalRequested, ...] = ()
    """What the graph waits for; answer it by `resume`."""
    role: Literal["assistant"] = field(default="assistant", init=False)
    interrupted: bool = field(default=False, init=False)

    def __str__(self) -> str:
        return self.content


async def ask(graph: object = None, question: str | None = None, **arguments: Unpack[TurnArguments]) -> Answer:
    """Ask `question` on a thread, and return the whole answer.

    It runs in the caller's event loop, prints nothing, and touches neither signals, logging nor warnings. Cancelled, it
    stops the turn as Ctrl-C does: the part of the answer that has arrived is stored. Turns on several threads may run
    at once; on one thread, the second waits for the first.

    Args:
        graph: What answers; see `chatcli.library`.
        question: The question; None where `resume` is given.
        model: `provider:model`, in place of `graph`.
        thread: The thread to resume, or to create; a new one by default, which the answer names.
        name: What the graph is called, by default its own name.
        files: Paths or URLs of text files, images and PDFs that go along with the question.
        resume: The answer to what the thread waits for, in place of a question: a value, or of several a mapping by
            their IDs. None goes on where the graph stopped at a breakpoint.
        context: Fields of the graph's runtime context.
        configurable: Keys of the `configurable` of the run's config.
        input: Keys of the graph's input beside the question.
        input_key: The key of the input that takes the question, where the graph's schema does not say.
        output_key: The key of the output that is the answer, likewise.
        store: Where threads are kept, as `sqlite:///PATH`, `postgresql://...` or `memory:`, which lasts as long as the
            process; by default where `chat` keeps them.

    Raises:
        TypeError: `graph` is no graph, or an argument is of another type.
        ValueError: The graph can't be used, its factory failed, or an argument can't be what it is.
        RuntimeError: The turn failed; see `TurnError` for what the exception has.

    """
    approvals = []
    async with aclosing(stream(graph, question, **arguments)) as shown:
        async for event in shown:
            match event:
                case events.ApprovalRequested():
                    approvals.append(event)
                case events.TurnFailed():
                    raise _failure(event.error, event.thread_id, event.content) from event.error
                case events.TurnInterrupted():
                    raise _failure(InterruptedTurnError("the turn was stopped"), event.thread_id, event.content)
                case events.TurnFinished():
                    shared = {each.name for each in fields(Answer)} & {
                        each.name for each in fields(events.TurnFinished)
                    }
                    return Answer(**{name: getattr(event, name) for name in shared}, approvals=tuple(approvals))
                case _:
                    pass
    raise AssertionError("a turn has an end")


def stream(
    graph: object = None,
    question: str | None = None,
    *,
    model: str | None = None,
    thread: str | None = None,
    name: str | None = None,
    files: Sequence[str | Path] = (),
    resume: Any = _NOT_GIVEN,
    store: str | None = None,
    **given: Unpack[GraphArguments],
) -> AsyncGenerator[StreamEvent, None]:
    """Ask `question` on a thread, and yield what happens as it happens; the arguments are those of `ask`.

    The events are those of `--format jsonl`, with the same fields; `event.type` is `text_delta` and so on. The last one
    is always `turn_finished`, `turn_failed` or `turn_interrupted`: a turn that fails raises nothing. A consumer that
    gives up (`aclose`), or is cancelled, stops the turn.

    Raises:
        TypeError: `graph` is no graph, or an argument is of another type.
        ValueError: The graph can't be used, its factory failed (with the first event), or an argument can't be what it
            is.

    """
    values = plain_values(**given)
    spec = spec_of(graph, model, name, values, thread)
    options = options_of(model, thread, store, values)
    if (question is None) == (resume is _NOT_GIVEN):
        raise TypeError("give a question, or resume for a thread that waits")
    if not isinstance(question, str | None):
        raise TypeError(f"the question must be a text, not {type(question).__name__}")
    if question is not None and not question.strip():
        raise ValueError("the question is empty")
    if resume is not _NOT_GIVEN and thread is None:
        raise ValueError("resume needs the thread that waits")
    claim_name(spec, store, given=name is not None)
    return _events(options, spec, question, resume, tuple(str(file) for file in files))


async def _events(
    options: Mapping[str, Any], spec: GraphSpec | None, question: str | None, resume: Any, files: tuple[str, ...]
) -> AsyncGenerator[StreamEvent, None]:
    conversation = await _open(options, spec)
    try:
        attachments = await in_background(lambda: _read_files(files))
        if spec is not None:
            await conversation.open()
        turn = conversation.run(Ask(question, attachments) if question is not None else Resume(resume))
        async with aclosing(turn) as shown:
            async for event in shown:
                if isinstance(event, StreamEvent):
                    yield event
    except BadGraphError as error:
        raise as_python_error(error.failure) from error.failure
    except ChatcliError as error:
        raise _failure(error, conversation.thread_id) from error
    except SystemExit as end:  # of the graph's code
        raise _failure(ExitCallError(end), conversation.thread_id) from end
    finally:
        await conversation.close()


async def _open(options: Mapping[str, Any], spec: GraphSpec | None) -> "Conversation":
    """Return a conversation; what it takes is imported in a thread, so that the caller's loop goes on."""

    def build() -> "Conversation":
        from chatcli.config.settings import Settings
        from chatcli.conversation.backend import choose_backend
        from chatcli.conversation.compose import compose

        settings = Settings.load(dict(options), program_of(spec, ""))
        backend = choose_backend(settings, shared=True)
        composed = compose(settings, settings.thread, backend=backend, graph=spec)
        return replace(composed, embedded=True).conversation()

    try:
        return await asyncio.to_thread(build)
    except ChatcliError as error:
        raise _failure(error) from error


def _read_files(files: tuple[str, ...]) -> "list[Attachment]":
    if not files:
        return []
    from chatcli.attachments.attachment import read_attachment

    return [read_attachment(file) for file in files]


def spec_of(
    graph: object, model: str | None, name: str | None, values: GraphValues, thread: str | None = None
) -> GraphSpec | None:
    """Return `graph`, checked as far as that needs no code of its factory; None for a plain chat with `model`."""
    if (graph is None) == (model is None):
        raise TypeError(f"give a graph, or model='provider:model' in its place; a graph is {WANTED}")
    if graph is None:
        if not isinstance(model, str):
            raise TypeError(f"model must be a text, not {type(model).__name__}")
        if name is not None:
            raise TypeError("a name is for a graph; a model has its own")
        if values:
            raise TypeError("context, configurable and input are for a graph; a model takes none")
        return None
    try:
        kind = kind_of(graph, "the given object")
        label = _checked_name(name if name is not None else name_of(graph), own=name is None)
        spec = GraphSpec(label, label, target=graph)
        if kind is Kind.GRAPH or (kind is not Kind.FACTORY and any(map(values.of, KINDS))):
            from chatcli.graphs.user.load import as_graph
            from chatcli.graphs.user.schemas import check_values, find_shape

            compiled = as_graph(graph, kind, spec)
            # One that exists may remember what is missing here.
            shape = find_shape(compiled, label, values) if thread is None else None
            check_values(compiled, values, shape.question if shape is not None else values.input_key)
    except UsageError as error:
        raise as_python_error(error) from None
    return spec


def _checked_name(name: str, *, own: bool) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the name must be a text, not {type(name).__name__}")
    if own:  # the graph's author did not know of our rules
        name = re.sub(r"\s+", " ", name.replace(":", "-")).strip()[:_MAX_NAME] or "graph"
    if not 1 <= len(name) <= _MAX_NAME or not name.isprintable() or ":" in name or name != name.strip():
        raise ValueError(f"the name {name!r:.120} can't be used: give 1 to {_MAX_NAME} printable characters, no colon")
    return name


def claim_name(spec: GraphSpec | None, store: str | None, *, given: bool) -> None:
    """Refuse a name that was `given` to another graph in the same store: their threads would mix.

    The same graph may be made again and again, so that only one with other nodes counts as another.
    """
    if spec is None or not given:
        return
    key = spec.label, store or ""
    before = _names.get(key, lambda: None)()
    if before is not None and before is not spec.target and _nodes(before) != _nodes(spec.target):
        del before
        gc.collect()  # it may be garbage
        if _names[key]() is not None:
            raise ValueError(f"the name {spec.label!r} is taken: another graph in this process has it")
    try:
        _names[key] = weakref.ref(spec.target)
    except TypeError:
        _names[key] = lambda: spec.target


def _nodes(target: Any) -> object:
    """Return the parts of a graph that stay the same when it is made again: its nodes and their code."""
    nodes = getattr(getattr(target, "builder", target), "nodes", None)
    return {name: _code(node) for name, node in nodes.items()} if isinstance(nodes, Mapping) else _code(target)


def _code(part: Any) -> object:
    part = getattr(part, "runnable", None) or getattr(part, "bound", None) or part
    function = getattr(part, "func", None) or getattr(part, "afunc", None) or part
    return getattr(function, "__code__", type(function))


def options_of(model: str | None, thread: str | None, store: str | None, values: GraphValues) -> dict[str, Any]:
    """Return the arguments as options, checked; what was not given is left out."""
    from chatcli.config.settings import Settings
    from chatcli.conversation.backend import choose_backend

    options = {"model": model, "thread": thread, "store": store}
    for option, value in options.items():
        if not isinstance(value, str | None):
            raise TypeError(f"{option} must be a text, not {type(value).__name__}")
    if thread is not None:
        check_thread_id(thread)
    try:
        choose_backend(Settings().with_options({"store": store}))
    except UsageError as error:
        raise as_python_error(error) from None
    return {option: value for option, value in options.items() if value is not None} | values.as_json()


def program_of(spec: GraphSpec | None, name: str) -> Program:
    """Return the program `name` with the graph of `spec`, or with a model: what it takes of the user's settings."""
    from chatcli.config.settings import NOT_OF_A_PROGRAM, OF_ONE_RUN

    if spec is None:
        return Program(name, without=frozenset(("graph", "url", "assistant", "helper")), not_from_user=OF_ONE_RUN)
    own_store = frozenset(("store",)) if name else frozenset()
    return Program(name, graph=spec, without=NOT_OF_A_PROGRAM, not_from_user=OF_ONE_RUN | own_store)


def as_python_error(error: UsageError) -> Exception:
    """Return `error` as Python's own exception, in one sentence."""
    from chatcli.graphs.user.kinds import NotAGraphError

    text = _in_python(f"{error.message}. {error.remedy}" if error.remedy else error.message)
    return TypeError(text) if isinstance(error, NotAGraphError) else ValueError(text)


def _in_python(text: str) -> str:
    """Return `text` with the names of arguments in place of options."""
    text = text.replace("--resume-with null", "resume=None").replace("--resume-with", "the argument resume")
    return re.sub(r"--([a-z][a-z-]*)", lambda option: f"the argument {option[1].replace('-', '_')}", text)


def _failure(error: ChatcliError, thread_id: str = "", content: str = "") -> TurnError:
    kind = BadTurnError if isinstance(error, UsageError) else TurnError
    return kind(error, thread_id, content)
