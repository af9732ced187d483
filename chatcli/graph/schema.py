"""The JSON Schema that an answer must follow."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatcli.errors import UsageError
from chatcli.nested import read_json

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

MAX_REASON = 300
"""Characters of a validator's words that an error message repeats."""
_FENCE = re.compile(r"^```\w*\n(.*?)\n?```$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class AnswerSchema:
    """A JSON Schema that was checked; `name` is what providers are told that it is called."""

    name: str
    schema: dict[str, Any]
    validator: "Validator"

    def problem(self, text: str) -> str | None:
        """Return why `text` does not validate, in one line, or None when it does."""
        from jsonschema.exceptions import best_match
        from referencing.exceptions import Unresolvable

        try:
            value = read_json(text, parse_constant=_refuse_constant)
        except ValueError as error:
            return f"it is not JSON: {error}"
        try:
            error_found = best_match(self.validator.iter_errors(value))
        except Unresolvable as error:
            return f"the schema refers to what is not in it: {_line(str(error))}"
        if error_found is None:
            return None
        return f"{_line(error_found.message)} (at {error_found.json_path})"


def load_schema(path: Path) -> AnswerSchema:
    """Read the JSON Schema in the file `path`.

    Raises:
        UsageError: It can't be read, or it is no valid schema.

    """
    # Imported here: most runs have no schema.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry

    try:
        schema = read_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the schema {path} can't be read: {(error.strerror or '').lower()}") from None
    except ValueError as error:
        raise UsageError(f"the schema {path} is not JSON: {error}") from None
    if not isinstance(schema, dict):
        raise UsageError(f"the schema {path} is not a JSON object")
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise UsageError(f"{path} is no valid JSON Schema: {_line(error.message)} (at {error.json_path})") from None
    name = re.sub(r"\W+", "_", str(schema.get("title") or path.stem))[:64] or "answer"
    # An empty registry: a reference never makes chatcli fetch something.
    return AnswerSchema(name, schema, kind(schema, registry=Registry()))


def without_fence(text: str) -> str:
    """Return `text` without the Markdown fence that some models put around JSON."""
    text = text.strip()
    fenced = _FENCE.match(text)
    return fenced.group(1).strip() if fenced else text


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_REASON else f"{line[: MAX_REASON - 3]}..."
