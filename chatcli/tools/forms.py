"""The forms of MCP servers: the fields of a flat JSON Schema, and what the user types into them."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal, cast

from chatcli.text import one_line

MAX_FIELDS = 50
MAX_CHOICES = 200
MAX_LABEL = 300
"""The most characters of a name, a description or a value to choose."""
MAX_ANSWER = 20_000
"""The most characters of an answer."""
DECLINE = ("decline", "reject", "refuse", "no", "n")
_ANSWERS = "the answer is a JSON object with the fields, or decline"
_YES, _NO = ("y", "yes", "true"), ("n", "no", "false")
_FORMATS: dict[str, Callable[[str], object]] = {
    "email": re.compile(r"[^@\s]+@[^@\s]+").fullmatch,
    "uri": re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+").fullmatch,
    "date": date.fromisoformat,
    "date-time": datetime.fromisoformat,
}
"""What reads a text of each form: it returns None, or raises ValueError, for any other text."""
_BOUNDS = ("minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems")
_WORDS = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "yes or no"}

Kind = Literal["string", "integer", "number", "boolean", "array"]


@dataclass(frozen=True, slots=True)
class FormField:
    """A field. All of its texts are the server's, untrusted."""

    name: str
    kind: Kind
    """The JSON type of its value; an array holds some of the `choices`."""
    label: str = ""
    """What the user is asked for."""
    about: str = ""
    choices: Mapping[str, str] | None = None
    """The values that it may have, each with its name; none if it may have any."""
    default: Any = None
    """Its value if the user gives none; None for no default."""
    needed: bool = False
    bounds: Mapping[str, float] | None = None
    """The schema's own limits of a length, a number or a count."""
    form: str = ""
    """The schema's `format`."""

    def question(self) -> str:
        """Return the question, on one line: `Full name (text, needed)`."""
        if self.choices:
            named = [value if value == name else f"{value}: {name}" for value, name in self.choices.items()]
            what = f"{'some' if self.kind == 'array' else 'one'} of {', '.join(named)}"
        else:
            what = _WORDS.get(self.kind, self.kind)
        hints = [what, *(f"{name} {bound:g}" for name, bound in (self.bounds or {}).items())]
        hints += [self.form] if self.form else []
        default = ", ".join(self.default) if isinstance(self.default, list) else self.default
        default = {True: "yes", False: "no"}.get(default, default) if isinstance(default, bool) else default
        hints.append(f"Enter for {default}" if default is not None else "needed" if self.needed else "may be empty")
        about = f", {self.about}" if self.about else ""
        return f"{self.label or self.name}{about} ({'; '.join(hints)})"

    def parse(self, text: str) -> Any:
        """Return the value that the user means by `text`. Raises `ValueError` if the field takes no such value."""
        value: Any = text
        if self.kind == "array":
            value = [self._choice(part.strip()) for part in text.split(",") if part.strip()]
        elif self.choices:
            value = self._choice(text)
        elif self.kind == "boolean":
            value = {**dict.fromkeys(_YES, True), **dict.fromkeys(_NO, False)}.get(text.lower(), text)
        elif self.kind in ("integer", "number"):
            try:
                value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else float(text)
            except ValueError:
                value = text
        self.check(value)
        return value

    def check(self, value: Any) -> None:
        """Refuse a `value` that the field does not take. Raises `ValueError`, whose message says why."""
        if self.choices:
            values = value if self.kind == "array" and isinstance(value, list) else [value]
            known = all(isinstance(each, str) and each in self.choices for each in values)
            if (self.kind == "array") != isinstance(value, list) or not known:
                raise ValueError(f"{self.label or self.name} takes {', '.join(self.choices)}")
        elif not _is_of(self.kind, value):
            raise ValueError(f"{self.label or self.name} takes {_WORDS[self.kind]}")
        size = len(value) if isinstance(value, str | list) else value
        for name, bound in (self.bounds or {}).items():
            if (name.startswith("min") and size < bound) or (name.startswith("max") and size > bound):
                raise ValueError(f"{self.label or self.name} has {name} {bound:g}")
        if self.form and isinstance(value, str) and not _has_form(self.form, value):
            raise ValueError(f"{self.label or self.name} takes a text of the form {self.form}")

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the field, without what this program does not use."""
        described = {"title": self.label, "description": self.about, "format": self.form}
        schema: dict[str, Any] = {"type": self.kind, **{key: text for key, text in described.items() if text}}
        if self.choices:
            listed = [{"const": value, "title": name} for value, name in self.choices.items()]
            schema |= {"items": {"anyOf": listed}} if self.kind == "array" else {"oneOf": listed}
        default = {} if self.default is None else {"default": self.default}
        return {**schema, **(self.bounds or {}), **default}

    def _choice(self, text: str) -> str:
        folded = text.casefold()
        for value, name in (self.choices or {}).items():
            if folded in (value.casefold(), name.casefold()):
                return value
        return text


def read_form(schema: Any) -> list[FormField]:
    """Return the fields of a form. Raises `ValueError` if it is none: a field is nested, or there are too many."""
    properties = schema.get("properties", {}) if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping) or len(properties) > MAX_FIELDS:
        raise ValueError(f"it is no flat form of at most {MAX_FIELDS} fields")
    needed = schema.get("required")
    return [
        _read_field(str(name), part, needed=isinstance(needed, list) and name in needed)
        for name, part in properties.items()
    ]


def form_schema(fields: Iterable[FormField]) -> dict[str, Any]:
    """Return the JSON Schema of the answer to a form."""
    listed = list(fields)
    needed = [each.name for each in listed if each.needed]
    return {"type": "object", "properties": {each.name: each.schema() for each in listed}, "required": needed}


def read_reply(fields: list[FormField], reply: Any) -> dict[str, Any]:
    """Return the meaning of the user's `reply` to a form: its `action` (accept, decline, cancel), and its `content`.

    A reply is such an object, the content alone, a word that declines, or the text for the only field. Raises
    `ValueError` if it is none of these, or does not fit the form.
    """
    if isinstance(reply, str):
        word = reply.strip()
        if word.lower() in (*DECLINE, "cancel"):
            return {"action": "cancel" if word.lower() == "cancel" else "decline"}
        if not fields and word.lower() in (*_YES, "accept", "approve"):
            return {"action": "accept", "content": {}}
        if len(fields) != 1:
            raise ValueError(_ANSWERS)
        return {"action": "accept", "content": {fields[0].name: fields[0].parse(word)}}
    if not isinstance(reply, Mapping):
        raise ValueError(_ANSWERS)
    whole = reply.get("action") in ("accept", "decline", "cancel") and set(reply) <= {"action", "content"}
    if whole and reply["action"] != "accept":
        return {"action": reply["action"]}
    content = (reply.get("content") or {}) if whole else reply
    if not isinstance(content, Mapping):
        raise ValueError("the content is a JSON object with the fields")
    return {"action": "accept", "content": _checked(fields, content)}


def _checked(fields: list[FormField], content: Mapping[Any, Any]) -> dict[str, Any]:
    """Return `content` with the defaults of what it leaves out; raise ValueError if it does not fit the form."""
    if unknown := [str(name) for name in content if name not in {each.name for each in fields}]:
        raise ValueError(f"the form has no field {unknown[0]}")
    defaults = {each.name: each.default for each in fields if each.default is not None}
    values = {**defaults, **{str(name): value for name, value in content.items() if value is not None}}
    for each in fields:
        if each.name in values:
            each.check(values[each.name])
        elif each.needed:
            raise ValueError(f"{each.label or each.name} is needed")
    return values


def _read_field(name: str, part: Any, *, needed: bool) -> FormField:
    if not isinstance(part, Mapping) or len(name) > MAX_LABEL:
        raise ValueError("a field of it is no field")
    kind, choices = part.get("type", "string"), None
    if kind == "array":
        items = part.get("items")
        choices = _choices(items) if isinstance(items, Mapping) else None
        if not choices:
            raise ValueError(f"its field {name} is a list of anything")
    elif kind == "string":
        choices = _choices(part)
    elif kind not in ("integer", "number", "boolean"):
        raise ValueError(f"its field {name} is not flat")
    bounds = {key: part[key] for key in _BOUNDS if _is_of("number", part.get(key))}
    read = FormField(
        name,
        cast("Kind", kind),
        _short(part.get("title")),
        _short(part.get("description")),
        choices,
        None,
        needed,
        bounds,
        str(part["format"]) if part.get("format") in tuple(_FORMATS) else "",
    )
    try:
        read.check(part.get("default"))
    except ValueError:  # none, or one that the form itself would refuse
        return read
    return replace(read, default=part["default"])


def _choices(part: Mapping[str, Any]) -> dict[str, str] | None:
    listed = next((part[key] for key in ("oneOf", "anyOf", "enum") if isinstance(part.get(key), list)), None)
    if listed is None:
        return None
    names = part.get("enumNames")
    found: dict[str, str] = {}
    for index, each in enumerate(listed):
        value = each.get("const") if isinstance(each, Mapping) else each
        name = each.get("title") if isinstance(each, Mapping) else None
        if name is None and isinstance(names, list) and index < len(names):
            name = names[index]
        if not isinstance(value, str) or len(value) > MAX_LABEL or index >= MAX_CHOICES:
            raise ValueError("it offers values that can't be chosen from")
        found[value] = _short(name) or value
    return found


def _is_of(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "string":
        return isinstance(value, str) and len(value) <= MAX_ANSWER
    if kind == "integer":
        return isinstance(value, int) and abs(value) < 2**63
    return kind == "number" and isinstance(value, int | float) and math.isfinite(value) and abs(value) < 2**63


def _has_form(form: str, text: str) -> bool:
    try:
        return _FORMATS[form](text) is not None
    except ValueError:
        return False


def _short(text: Any) -> str:
    return one_line(text, MAX_LABEL) if isinstance(text, str) else ""
