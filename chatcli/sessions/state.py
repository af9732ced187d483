"""The state of a thread beside its messages: as plain data, its changes in a turn, and the types of its keys."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python
from typing_extensions import is_typeddict

from chatcli.errors import UsageError
from chatcli.runtime.parse import TooDeepError, read_json
from chatcli.runtime.type_hints import type_adapter, type_hints, type_name, without_annotation, without_qualifier
from chatcli.text import one_line

MESSAGES = "messages"
EXCERPT = 100
"""Characters of a value in the overview."""
MAX_CHANGES = 200
"""Characters of the changes of a turn."""
_SHORT = 30
"""Characters of a value in the changes."""
_INTERNAL = ("__", "branch:", "join:", "chatcli_")
"""How the keys begin that LangGraph and chatcli keep for themselves."""


@dataclass(frozen=True, slots=True)
class StateKey:
    """A key of a graph's state; `hint` is the type of its values, Any where it is not known."""

    name: str
    hint: Any = Any

    @property
    def type_name(self) -> str:
        """The type, for people."""
        return type_name(self.hint)

    def read(self, text: str) -> Any:
        """Return the value that `text` gives, JSON or else the text; raise UsageError if it is not of the type."""
        try:
            readings = [read_json(text), text]
        except TooDeepError as error:
            raise UsageError(f"the value of {self.name} can't be used: {error}") from None
        except ValueError:
            readings = [text]
        reasons = []
        for value in readings:
            try:
                return self._checked(value)
            except ValidationError as error:
                [first, *_] = error.errors(include_url=False, include_input=False, include_context=False)
                where = ".".join(map(str, first["loc"]))
                reasons.append(f"{where}: {first['msg']}" if where else first["msg"])
        raise UsageError(
            f"the value does not fit the key {self.name}, which is of the type {self.type_name}",
            remedy=f"{one_line(reasons[0], EXCERPT)}. For example: /state {self.name}=JSON",
        )

    def _checked(self, value: Any) -> Any:
        adapter = type_adapter(self.hint)
        if adapter is None:
            hint = without_annotation(self.hint)
            kind = dict if is_typeddict(hint) else get_origin(hint) or hint
            adapter = TypeAdapter(kind if kind in (dict, list, set, tuple) else Any)
        return adapter.validate_json(json.dumps(value), strict=True)


def state_keys(graph: object) -> dict[str, StateKey]:
    """Return the keys of the state of `graph` beside the messages; none where no StateGraph made it."""
    builder = getattr(graph, "builder", None)
    hints: dict[str, Any] = {}
    for schema in getattr(builder, "schemas", ()):
        hints = {**(type_hints(schema) or {}), **hints}
    names = filter(_shown, getattr(builder, "channels", ()))
    return {name: StateKey(name, without_qualifier(hints.get(name, Any))) for name in names}


def plain_state(values: object) -> dict[str, Any]:
    """Return the keys of a state beside the messages, as JSON: objects of a graph's classes become their fields."""
    return {str(name): as_json(value) for name, value in fields_of(values).items() if _shown(name)}


def fields_of(values: object) -> Mapping[str, Any]:
    """Return the values of a state by key; a state may be an object, or a plain value that has none."""
    return values if isinstance(values, Mapping) else getattr(values, "__dict__", {})


def as_json(value: object) -> Any:
    """Return `value` as JSON; what JSON has no form for becomes a text."""
    try:
        made = to_jsonable_python(value, serialize_unknown=True, bytes_mode="base64")
        return json.loads(json.dumps(made), parse_constant=str)
    except (ValueError, TypeError, RecursionError):  # it contains itself, say
        return one_line(repr(value), EXCERPT)


def in_one_line(value: Any, limit: int = EXCERPT) -> str:
    """Return `value`, plain JSON, in one line of at most `limit` characters."""
    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), limit)


def in_full(value: Any) -> str:
    """Return the whole of `value`, plain JSON: a text as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return in one line what is different in the state `new`; empty if nothing is."""
    parts = [
        _change(name, old.get(name), new.get(name))
        for name in dict.fromkeys([*new, *old])
        if name not in old or name not in new or old[name] != new[name]
    ]
    return one_line(", ".join(parts), MAX_CHANGES)


def _change(name: str, old: Any, new: Any) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys([*new, *old])
        signs = {key: "+" if key not in old else "-" if key not in new else "~" for key in keys}
        different = [f"{signs[key]}{key}" for key in keys if old.get(key) != new.get(key) or signs[key] != "~"]
        return f"{name} {' '.join(different)}"
    if isinstance(new, list) and isinstance(old, list | None):
        count = len(old or [])
        return f"{name} {count} -> {len(new)} items" if count != len(new) else f"{name} changed, {count} items"
    if new is None or isinstance(new, dict):
        return f"{name} = {in_one_line(new, _SHORT)}"
    before = f"{in_one_line(old, _SHORT)} -> " if old is not None else "= "
    return f"{name} {before}{in_one_line(new, _SHORT)}"


def _shown(name: object) -> bool:
    return name != MESSAGES and not str(name).startswith(_INTERNAL)
