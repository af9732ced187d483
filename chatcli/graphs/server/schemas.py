"""The schemas of an app on a LangGraph server: how it is asked, and which values it takes beside the question."""

import json
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_
from typing import Any, cast

from jsonschema.exceptions import best_match
from jsonschema.validators import Draft202012Validator
from langchain_core.messages import BaseMessage

from chatcli.config.values import TypedText
from chatcli.errors import ChatcliError, UsageError
from chatcli.graphs.shape import GraphShape, shape_of_entrypoint, shape_of_state
from chatcli.graphs.values import GraphValues, Kind, reserved, unknown_key, wrong_value
from chatcli.graphs.values_session import RunValues
from chatcli.sessions.state import MESSAGES
from chatcli.text import one_line

MAX_REASON = 200
"""Characters of a validator's message that are shown."""
TYPES: dict[Any, Any] = {"integer": int, "number": float, "string": str, "boolean": bool, "array": list, "object": dict}
"""The types of JSON Schema."""
_RETURNED = "__end__"
"""The only field in the state of a functional entrypoint."""


class ServerSchemas:
    """The values that an app takes beside the question, by the JSON Schemas that the server has of it.

    A server can't describe every schema, and whether a field that has no default is required is the app's affair: of a
    TypedDict it is not. The field `question_key` of the input takes the question.
    """

    def __init__(self, schemas: Mapping[str, Any], question_key: str = MESSAGES) -> None:
        self._question_key = question_key
        context = schemas.get("context_schema") or schemas.get("config_schema") or {}
        self._schemas: dict[Kind, Mapping[str, Any]] = {
            "context": _resolved(context),
            "input": _resolved(schemas.get("input_schema") or schemas.get("state_schema") or {}),
        }
        self.state: Mapping[str, Any] = (schemas.get("state_schema") or {}).get("properties") or {}
        """The schema of each key of the state, as far as the server has it."""

    def types(self) -> dict[tuple[Kind, str], str]:
        """Return the type of each field that may be given."""
        return {
            (kind, name): _type_name(field)
            for kind in self._schemas
            for name, field in self._fields(kind).items()
            if kind != "input" or name != self._question_key
        }

    @property
    def input_names(self) -> list[str]:
        """The fields of the input beside the question."""
        return [name for name in self._fields("input") if name != self._question_key]

    def settle(self, kind: Kind, key: str, value: Any) -> Any:
        """Return `value`, or what a `TypedText` means, as JSON of the type of `key`; refuse other types and keys."""
        if kind == "configurable" and (problem := reserved(key)):
            raise UsageError(problem, remedy="Leave it out.")
        if kind == "input" and key == self._question_key:
            raise UsageError(f"the field {key} of the graph's input takes the question", remedy="Leave it out.")
        schema, fields = self._schema(kind), self._fields(kind)
        readings = value.readings() if isinstance(value, TypedText) else [value]
        if key not in fields:
            if kind != "configurable" and fields and not schema.get("additionalProperties"):
                raise unknown_key(kind, key, [name for of, name in self.types() if of == kind])
            return readings[0]
        problems = [self._problem(schema, fields[key], reading) for reading in readings]
        if "" in problems:
            return readings[problems.index("")]
        raise wrong_value(kind, key, readings[0], _type_name(fields[key]))

    def run(self, values: GraphValues) -> RunValues:
        """Return the values for a run: the context or the configurable ones, which the server copies over."""
        if not values.configurable:
            return RunValues(dict(values.context) or None)
        for key in values.context.keys() & values.configurable.keys():
            if values.context[key] != values.configurable[key]:
                raise UsageError(
                    f"a LangGraph server takes one value of {key}, and --context and --configurable give two",
                    remedy="Leave one of them out.",
                )
        return RunValues(None, {**values.context, **values.configurable})

    def input(self, given: Mapping[str, Any], state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the values `given` for the app's input; whether others are missing, the app itself says."""
        return given

    def missing_in(self, error: BaseException, lacking: Iterable[str]) -> ChatcliError | None:
        """Return None: `ServerGraph.failure` has found out."""
        return None

    def _schema(self, kind: Kind) -> Mapping[str, Any]:
        return self._schemas["context" if kind == "configurable" else kind]

    def _fields(self, kind: Kind) -> Mapping[str, Any]:
        fields = self._schema(kind).get("properties")
        return fields if isinstance(fields, Mapping) else {}

    def _problem(self, schema: Mapping[str, Any], field: Any, value: Any) -> str:
        """Return why `value` is not valid as `field` of `schema`; empty if it is, or can't be checked."""
        whole = {"$defs": schema.get("$defs", {}), "allOf": [field]}
        try:
            found = best_match(Draft202012Validator(whole).iter_errors(value))
        except Exception:  # noqa: BLE001 - a server's schema may be anything
            return ""
        return "" if found is None else one_line(found.message, MAX_REASON) or "it is not valid"


def find_shape(name: str, schemas: Mapping[str, Any], values: GraphValues) -> GraphShape | None:
    """Return the shape of the app `name`; None if it takes messages alone, or if the server can't describe it."""
    taken, given, state = (_resolved(schemas.get(f"{part}_schema")) for part in ("input", "output", "state"))
    required = taken.get("required") or ()
    if _RETURNED in (state.get("properties") or {}):
        hint = _hint(taken, taken.get("$defs") or {})
        return shape_of_entrypoint(name, hint, _hints(taken), _hints(given), values, required)
    # The server can't describe every input and output; the state has their fields, and perhaps others.
    fields = _hints(taken) or _hints(state)
    if not fields and values.input_key is None:
        return None
    return shape_of_state(name, fields, _hints(given) or _hints(state), values, required)


def _hints(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the types of the fields of a JSON Schema, as Python has them."""
    fields = schema.get("properties")
    definitions = schema.get("$defs") or {}
    return {name: _hint(field, definitions) for name, field in fields.items()} if isinstance(fields, Mapping) else {}


def _hint(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Return the type that a JSON Schema says, as Python has it; Any where it has none."""
    if not isinstance(schema, Mapping):
        return Any
    if isinstance(options := schema.get("anyOf") or schema.get("oneOf"), list):
        kinds = [_hint(option, definitions) for option in options if option != {"type": "null"}]
        return Any if not kinds or Any in kinds else reduce(or_, kinds)
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        if name.endswith(("Message", "MessageChunk")):
            return BaseMessage
        kind = TYPES.get((definitions.get(name) or {}).get("type"), Any)
        return Any if kind is str else kind  # an enum
    kind = TYPES.get(schema.get("type"), Any)
    if kind is list:
        return list[_hint(schema.get("items"), definitions)]  # type: ignore[misc]  # made from data
    return Any if kind is str and ({"enum", "const", "format"} & schema.keys()) else kind


def _resolved(schema: Any) -> Mapping[str, Any]:
    """Return `schema`, or the definition that it refers to as a whole."""
    if not isinstance(schema, Mapping):
        return {}
    definitions = schema.get("$defs")
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    if name and isinstance(definitions, Mapping) and isinstance(definitions.get(name), Mapping):
        return {**cast("Mapping[str, Any]", definitions[name]), "$defs": definitions}
    return schema


def _type_name(field: Any) -> str:
    """Return the type that a JSON Schema says, for people."""
    if not isinstance(field, Mapping):
        return "any"
    if "enum" in field:
        return " | ".join(json.dumps(value) for value in field["enum"])
    if "const" in field:
        return json.dumps(field["const"])
    if isinstance(options := field.get("anyOf"), list):
        return " | ".join(map(_type_name, options))
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    return str(field.get("type", "any"))
