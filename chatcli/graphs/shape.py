"""How a question becomes the input of an app, and its output the answer: found once, in the app's schemas."""

import inspect
import json
import types
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Union, get_args, get_origin
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import to_json

from chatcli.errors import UsageError
from chatcli.graphs.values import GraphValues
from chatcli.runtime.parse import read_json
from chatcli.runtime.type_hints import type_adapter, type_name, without_annotation
from chatcli.sessions.state import MESSAGES
from chatcli.sessions.stream import GraphAnswer
from chatcli.text import one_line

ANSWERS = ("answer", "final_answer", "response", "output", "result", "reply", "generation", "completion")
"""The usual names of the field that is the answer."""
_OBJECTS = ("structured_response", "responses")
"""Where langchain's agents and trustcall's extractors put an answer that is no text."""


def read_answer(value: Any) -> GraphAnswer:
    """Return the answer that is in `value`, whatever a graph, an entrypoint or a Runnable has returned."""
    # Text, and the text of messages, is the answer as it is. An object's answer is the field with a usual name, its
    # only text, or its newest message. If it has none of these, the whole object is the answer, as JSON.
    held = _as_fields(value)
    if held is None:
        text = text_of(value)
        output = None if isinstance(value, str | BaseMessage) or _is_messages(value) else _plain(value)
        return GraphAnswer(text, output, new_messages(value))
    texts = [key for key, one in held.items() if isinstance(one, str)]
    choices = (
        [key for key in ANSWERS if key in held][:1],
        texts,
        [MESSAGES] if _text_of_messages(held.get(MESSAGES)) else [],
        [key for key in _OBJECTS if held.get(key) is not None][:1],
    )
    key = next((choice[0] for choice in choices if len(choice) == 1), None)
    if key is not None:
        return _answer_in(held, key)
    output = _output(held)
    return GraphAnswer(text_of(output) if output else "", output)


def _as_fields(value: Any) -> dict[str, Any] | None:
    """Return the fields of an object, None for what has none: text, a number, a list, a message."""
    if isinstance(value, BaseMessage):
        return None
    if isinstance(value, Mapping):
        return {str(key): one for key, one in value.items()}
    if isinstance(value, BaseModel):
        return {key: getattr(value, key) for key in type(value).model_fields}
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    return None


def new_messages(value: Any) -> tuple[BaseMessage, ...]:
    """Return the answers and results among the messages that `value` is."""
    found = [value] if isinstance(value, BaseMessage) else value if _is_messages(value) else []
    return tuple(message for message in found if isinstance(message, AIMessage | ToolMessage))


def _answer_in(held: Mapping[str, Any], key: str) -> GraphAnswer:
    return GraphAnswer(text_of(held[key]), _output(held), new_messages(held[key]))


def _output(held: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return all fields but the messages, as JSON; None where there are no others."""
    return {key: _plain(value) for key, value in held.items() if key != MESSAGES} or None


def text_of(value: Any) -> str:
    """Return `value` as an answer: text as it is, of messages the newest answer, anything else as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, BaseMessage):
        return value.text
    if _is_messages(value):
        return _text_of_messages(value)
    return json.dumps(_plain(value), ensure_ascii=False)


def _text_of_messages(value: Any) -> str:
    newest = value[-1] if _is_messages(value) else None
    return newest.text if isinstance(newest, AIMessage) else ""


def _plain(value: Any) -> Any:
    """Return `value` as JSON has it; an object of a class that can't be written becomes its text."""
    return json.loads(to_json(value, fallback=str, inf_nan_mode="strings", bytes_mode="base64"))


def _is_messages(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, BaseMessage) for one in value)


QUESTIONS = (
    *("question", "query", "input", "user_input", "prompt"),
    *("message", "user_message", "text", "request", "topic"),
)
"""The usual names of the field that takes the question, the most usual first."""
_MAX_REASON = 200


@dataclass(frozen=True)
class GraphShape:
    """What a graph takes and gives."""

    name: str  # the graph's name, for messages
    taken: Any  # the type of what takes the question: the field `question`, or the whole input
    question: str | None = None  # the field of the input that takes the question; None where the input is it
    answer: str | None = None  # the field of the output that is the answer; None where each output shows it
    is_fallback: bool = False  # whether `answer` counts only where the messages have no text
    whole: type | None = None  # the type of the whole input, if it is an object of a class that is to be built
    whole_thread: bool = False  # whether a list of messages is the whole thread: the graph remembers none of them
    is_chat: bool = False  # whether the state's own messages hold the question

    def build(self, messages: Sequence[BaseMessage], other_input: Mapping[str, Any]) -> Any:
        """Return the graph's input: the last of `messages` is the question, `other_input` are its other fields."""
        *_, question = messages
        value = self._as_taken(messages if self.whole_thread else [question])
        if self.question is None:
            if other_input:
                raise UsageError(
                    f"the graph {self.name!r} takes the question alone:"
                    f" {', '.join(other_input)} has no place in its input",
                    remedy="Leave --input out, or name the question's key: --input-key KEY.",
                )
            return value
        given = {**other_input, self.question: value}
        if self.whole is not None:
            try:
                TypeAdapter(self.whole).validate_python(given)
            except ValidationError as error:
                problem = error.errors(include_url=False)[0]
                field = ".".join(map(str, problem["loc"]))
                raise UsageError(
                    f"the input of the graph {self.name!r}: {field}: {one_line(problem['msg'])[:_MAX_REASON]}",
                    remedy=f"Give it: --input {field}=VALUE.",
                ) from None
        return given

    def _as_taken(self, messages: Sequence[BaseMessage]) -> Any:
        """Return the question in the type that takes it: messages, text, or what its text is as JSON."""
        question = messages[-1]
        if self.question == MESSAGES or _is_message_list(self.taken):
            return list(messages)
        if _is_message(self.taken):
            return question
        blocks = question.content if isinstance(question.content, list) else []
        if any(isinstance(block, dict) and block.get("type") != "text" for block in blocks):
            raise UsageError(f"the graph {self.name!r} takes text, not an image or a file", remedy="Leave it out.")
        if any(part in (str, Any, object, inspect.Parameter.empty) for part in _parts(self.taken)):
            return question.text
        return self._parsed(question.text)

    def _parsed(self, text: str) -> Any:
        where = f"field {self.question}" if self.question is not None else "input"
        try:
            value: Any = read_json(text)
        except ValueError:
            value = text
        try:
            if (adapter := type_adapter(self.taken)) is not None:
                adapter.validate_python(value)
        except ValidationError as error:
            reason = one_line(error.errors(include_url=False)[0]["msg"])[:_MAX_REASON]
            raise UsageError(
                f"the {where} of the graph {self.name!r} takes {type_name(self.taken)}: {reason}",
                remedy="Ask with that as JSON, or name another field: --input-key KEY.",
            ) from None
        return value

    def read(self, value: Any) -> GraphAnswer:
        """Return the answer that is in `value`, the graph's output."""
        held = _as_fields(value)
        if self.answer is None or held is None:
            return read_answer(value)
        if self.answer not in held:
            if self.is_fallback:
                return GraphAnswer(None, None)
            raise UsageError(
                f"the output of the graph {self.name!r} has no field {self.answer}; it has: {listed(held)}",
                remedy="Name the field that is the answer: --output-key KEY.",
            )
        return _answer_in(held, self.answer)

    def read_turn(self, value: Any, since: Sequence[BaseMessage], *, is_new: bool) -> GraphAnswer:
        """Return a turn's answer: in the output `value`, if it `is_new`, or in the messages `since` the question."""
        if not is_new:
            return GraphAnswer(None, None)
        answer = self.read(value)
        if self.is_fallback and since and isinstance(since[-1], AIMessage) and since[-1].text:
            return GraphAnswer(None, answer.output)
        return answer


def new_answers(
    answer: GraphAnswer, messages: Sequence[BaseMessage], since: Sequence[BaseMessage]
) -> list[BaseMessage]:
    """Return the messages with which `answer` is kept; none if the newest of `messages`, those `since`, have it."""
    if not answer.text or answer.text in [message.text for message in since if isinstance(message, AIMessage)]:
        return []
    known = {message.id for message in messages}
    new = [message for message in answer.messages if message.id is None or message.id not in known]
    return [*new] or [AIMessage(answer.text, id=str(uuid4()))]


def shape_of_state(
    name: str, taken: Mapping[str, Any], given: Mapping[str, Any], values: GraphValues, required: Collection[str]
) -> GraphShape | None:
    """Return the shape of the graph `name`; None for one of messages alone."""
    # `taken` and `given` are the types of the fields of its input and output, `required` the fields of the input that
    # have no default, `values` what the user has chosen.
    fields_in, fields_out = _public(taken), _public(given)
    question = _choose_question(name, fields_in, values, required=required)
    is_chat = question == MESSAGES
    if is_chat and values.output_key is None:
        if "structured_response" in fields_out:
            return GraphShape(
                name, fields_in[question], question, "structured_response", is_fallback=True, is_chat=True
            )
        if MESSAGES in fields_out or not fields_out:
            return None
    answer = _choose_answer(name, fields_out, question, values, is_needed=not is_chat)
    if is_chat and answer in (None, MESSAGES):
        return None
    return GraphShape(name, fields_in.get(question, Any), question, answer, is_chat=is_chat)


def shape_of_entrypoint(
    name: str,
    hint: Any,
    taken: Mapping[str, Any],
    given: Mapping[str, Any],
    values: GraphValues,
    required: Collection[str],
) -> GraphShape:
    """Return the shape of the functional entrypoint `name`, whose parameter is of the type `hint`."""
    # `hint` is Any where it does not say; `taken` are the types of its fields, `required` those without a default,
    # `given` the fields of what it returns, `values` what the user has chosen.
    answer = values.output_key
    if answer is not None:
        _check_known(name, "output", answer, _public(given), "--output-key")
    if fields_in := _public(taken):
        question = _choose_question(name, fields_in, values, required=required)
        return GraphShape(name, fields_in[question], question, answer)
    if values.input_key is not None and (_is_mapping(hint) or hint is Any):
        return GraphShape(name, Any, values.input_key, answer)
    if _is_mapping(hint):
        raise UsageError(
            f"the graph {name!r} takes a dictionary, and its type hint does not say which key takes the question",
            remedy="Name it: --input-key KEY.",
        )
    if values.input_key is not None:
        raise UsageError(
            f"the graph {name!r} takes {type_name(hint)}, which has no key {values.input_key}",
            remedy="Leave --input-key out.",
        )
    return GraphShape(name, hint, None, answer)


def _choose_question(name: str, known: Mapping[str, Any], values: GraphValues, *, required: Collection[str]) -> str:
    if values.input_key is not None:
        _check_known(name, "input", values.input_key, known, "--input-key")
        return values.input_key
    if MESSAGES in known:
        return MESSAGES
    texts = [field for field, hint in known.items() if _inner(hint) is str and field not in values.input]
    choices = (
        texts,
        [field for field in texts if field in required],
        [field for field in QUESTIONS if field in texts][:1],
        [field for field in texts if field not in ANSWERS],
        [field for field in known if field not in values.input] if len(known) - len(values.input) == 1 else [],
    )
    if (found := next((choice[0] for choice in choices if len(choice) == 1), None)) is not None:
        return found
    raise UsageError(
        f"the input of the graph {name!r} holds no `messages`; it holds: {listed(known)}",
        remedy="Name the field that takes the question: --input-key KEY (and give others by --input KEY=VALUE).",
    )


def _choose_answer(
    name: str, known: Mapping[str, Any], question: str, values: GraphValues, *, is_needed: bool
) -> str | None:
    """Return the field of the output that is the answer; None if it can't be found and is not needed."""
    if values.output_key is not None:
        _check_known(name, "output", values.output_key, known, "--output-key")
        return values.output_key
    texts = [field for field, hint in known.items() if _inner(hint) is str]
    others = [field for field in known if field != question and field not in values.input]
    choices = (
        [field for field in texts if field != question] if len(texts) == 1 else [],
        [field for field in ANSWERS if field in others][:1],
        [field for field in texts if field in others],
        [MESSAGES] if MESSAGES in known else [],
        others if is_needed else [],
        [question] if [*known] == [question] else [],
    )
    found = next((choice[0] for choice in choices if len(choice) == 1), None)
    if found is None and is_needed:
        raise UsageError(
            f"the output of the graph {name!r} holds no `messages`; it holds: {listed(known)}",
            remedy="Name the field that is the answer: --output-key KEY.",
        )
    return found


def _check_known(name: str, what: str, key: str, known: Mapping[str, Any], option: str) -> None:
    if known and key not in known:  # a schema need not name any
        raise UsageError(
            f"the {what} of the graph {name!r} has no field {key}; it has: {listed(known)}",
            remedy=f"Name another: {option} KEY.",
        )


def _public(known: Mapping[str, Any]) -> dict[str, Any]:
    return {key: hint for key, hint in known.items() if not key.startswith("__")}


def listed(names: Iterable[str]) -> str:
    """Return `names` for messages, without those that LangGraph keeps for itself."""
    return ", ".join(sorted(name for name in names if not name.startswith("__"))) or "nothing"


def _inner(hint: Any) -> Any:
    """Return the type in `Annotated[...]` and `X | None`."""
    hint = without_annotation(hint)
    if get_origin(hint) in (Union, types.UnionType):
        parts = [part for part in get_args(hint) if part is not type(None)]
        return _inner(parts[0]) if len(parts) == 1 else hint
    return hint


def _parts(hint: Any) -> tuple[Any, ...]:
    """Return the types of a union, or the only one."""
    inner = _inner(hint)
    return get_args(inner) if get_origin(inner) in (Union, types.UnionType) else (inner,)


def _is_message(hint: Any) -> bool:
    kinds = [_inner(part) for part in _parts(hint)]
    # langchain's AnyMessage is a union of all the kinds.
    return any(isinstance(kind, type) and issubclass(kind, BaseMessage) for kind in kinds)


def _is_message_list(hint: Any) -> bool:
    inner = _inner(hint)
    if (get_origin(inner) or inner) not in (list, Sequence, Iterable):
        return False
    return not get_args(inner) or any(map(_is_message, get_args(inner)))


def _is_mapping(hint: Any) -> bool:
    kind = get_origin(inner := _inner(hint)) or inner
    return isinstance(kind, type) and issubclass(kind, Mapping)
