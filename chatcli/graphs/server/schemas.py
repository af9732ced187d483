"""The schemas of an app on a LangGraph server: how it is asked, and which values it takes beside the question."""

import json
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Any, cast

from jsonschema.validators import Draft202012Validator
from langchain_core.messages import BaseMessage

from chatcli.errors import UsageError
from chatcli.graphs.shape import GraphShape, shape_of_entrypoint, shape_of_state
from chatcli.graphs.values import GraphValues
from chatcli.graphs.values_session import Schemas
from chatcli.sessions.state import MESSAGES

TYPES: dict[Any, Any] = {"integer": int, "number": float, "string": str, "boolean": bool, "array": list, "object": dict}
"""The types of JSON Schema."""
_RETURNED = "__end__"
"""The only field in the state of a functional entrypoint."""


class JsonFields:
    """The fields of a JSON Schema, which a server may not have; `known` has the schema of each."""

    def __init__(self, schema: Any) -> None:
        self._schema = _resolved(schema)
        fields = self._schema.get("properties")
        self.known: Mapping[str, Any] = fields if isinstance(fields, Mapping) else {}
        self.is_open = not self.known or bool(self._schema.get("additionalProperties"))

    def type_name(self, name: str) -> str:
        """Return the type of the field `name` for people."""
        return _type_name(self.known[name])

    def problems(self, name: str, readings: Sequence[Any]) -> list[str | None]:
        """Return "" for each of `readings` that is not valid; None for one that is, or that can't be checked."""
        schema = {"$defs": self._schema.get("$defs", {}), "allOf": [self.known[name]]}
        problems: list[str | None] = []
        for reading in readings:
            try:
                problems.append(None if Draft202012Validator(schema).is_valid(reading) else "")
            except Exception:  # noqa: BLE001 - a server's schema may be anything
                problems.append(None)
        return problems


class ServerSchemas(Schemas):
    """The values that an app takes beside the question, by the JSON Schemas that the server has of it."""

    # A server can't describe every schema, and whether a field that has no default is required is the app's affair: of
    # a TypedDict it is not.
    def __init__(self, schemas: Mapping[str, Any], question_key: str = MESSAGES) -> None:
        context = schemas.get("context_schema") or schemas.get("config_schema")
        taken = schemas.get("input_schema") or schemas.get("state_schema")
        super().__init__(JsonFields(context), JsonFields(taken), question_key)
        self.state: Mapping[str, Any] = (schemas.get("state_schema") or {}).get("properties") or {}
        """The schema of each key of the state, as far as the server has it."""

    def run(self, values: GraphValues) -> tuple[Any, Mapping[str, Any]]:
        """Return the values for a run: the context or the configurable ones, which the server copies over."""
        if not values.configurable:
            return dict(values.context) or None, {}
        for key in values.context.keys() & values.configurable.keys():
            if values.context[key] != values.configurable[key]:
                raise UsageError(
                    f"a LangGraph server takes one value of {key}, and --context and --configurable give two",
                    remedy="Leave one of them out.",
                )
        return None, {**values.context, **values.configurable}


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
