"""The JSON Schema that an answer must follow."""

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chatcli.errors import UsageError
from chatcli.runtime.parse import read_json
from chatcli.text_lines import one_line

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

MAX_REASON = 300
"""Characters of a validator's words that an error message repeats."""
MAX_SECONDS = 5
"""How long a schema or an answer is checked at most: a pattern, or references to references, may take for ever."""
_FENCE = re.compile(r"^```\w*\n(.*?)\n?```$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class AnswerSchema:
    """A JSON Schema that was checked; `name` is what providers are told that it is called."""

    name: str
    schema: dict[str, Any]
    validator: "Validator"

    def problem(self, text: str) -> str | None:
        """Return why `text` does not validate, in one line, or None when it does.

        Raises:
            UsageError: The schema is none that can be followed: it refers to itself without end, or takes too long.

        """
        from jsonschema.exceptions import best_match

        try:
            value = read_json(text, parse_constant=_refuse_constant)
        except ValueError as error:
            return f"it is not JSON: {error}"
        try:
            with _time_limit():
                error_found = best_match(self.validator.iter_errors(value))
        except TimeoutError:
            raise UsageError(
                f"the answer was not checked within {MAX_SECONDS} seconds: the schema {self.name} takes too long",
                remedy="Simplify its patterns and references.",
            ) from None
        except RecursionError:
            raise UsageError(
                f"the schema {self.name} refers to itself without end, or the answer is too deep"
            ) from None
        except Exception as error:  # noqa: BLE001 - what the validator's arithmetic makes of odd numbers, say
            return f"it can't be checked: {one_line(str(error), MAX_REASON)}"
        if error_found is None:
            return None
        return f"{one_line(error_found.message, MAX_REASON)} (at {error_found.json_path})"


def load_schema(path: Path) -> AnswerSchema:
    """Read the JSON Schema in the file `path`.

    Raises:
        UsageError: It can't be read, or it is no valid schema.

    """
    try:
        schema = read_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the schema {path} can't be read: {(error.strerror or '').lower()}") from None
    except ValueError as error:
        raise UsageError(f"the schema {path} is not JSON: {error}") from None
    if not isinstance(schema, dict):
        raise UsageError(f"the schema {path} is not a JSON object")
    name = re.sub(r"\W+", "_", str(schema.get("title") or path.stem))[:64] or "answer"
    try:
        with _time_limit():
            return AnswerSchema(name, schema, _validator(schema))
    except TimeoutError:
        reason = f"it was not checked within {MAX_SECONDS} seconds"
    except RecursionError:
        reason = "it refers to itself without end, or a pattern of it is too deep"
    except Exception as error:  # noqa: BLE001 - a hostile schema meets whatever the library's parts raise
        reason = one_line(str(error), MAX_REASON)
    raise UsageError(f"{path} is no valid JSON Schema: {reason}")


def _validator(schema: dict[str, Any]) -> "Validator":
    """Return what validates by `schema`, once the schema itself is known to be sound; else raise any exception."""
    # Imported here: most runs have no schema.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry

    if not isinstance(schema.get("$schema", ""), str):
        raise ValueError("$schema is not a text")
    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"{one_line(error.message, MAX_REASON)} (at {error.json_path})") from None
    _check_references(schema, kind.META_SCHEMA)
    # An empty registry, which fetches nothing: no reference leads to the network or to a file.
    validator = kind(schema, registry=Registry())
    any(validator.iter_errors(None))  # what never ends for this never does
    return validator


def _check_references(schema: dict[str, Any], meta_schema: Any) -> None:
    """Raise ValueError unless every reference in `schema` leads to a schema in it, and every `$id` is a URI."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import specification_with

    registry: Registry[Any] = Registry()
    root = specification_with(meta_schema["$schema"]).create_resource(schema)
    pending = [(root, registry.resolver_with_root(root))]
    while pending:
        resource, resolver = pending.pop()
        contents = resource.contents
        urlsplit(resource.id() or "")  # which raises ValueError
        reference = contents.get("$ref") if isinstance(contents, dict) else None
        if isinstance(reference, str):
            try:
                found = resolver.lookup(reference).contents
            except (Unresolvable, ValueError):  # not there, or no URI at all
                found = None
            if not isinstance(found, dict | bool):
                raise ValueError(f"the reference {one_line(reference, MAX_REASON)} leads to no schema in it")
        pending += [(part, resolver.in_subresource(part)) for part in resource.subresources()]


@contextmanager
def _time_limit() -> Iterator[None]:
    """Raise TimeoutError inside after MAX_SECONDS, in the middle of a regular expression too.

    By a signal: the matcher lets no other thread run, and so no event loop. Outside of the main thread there is none.
    """

    def stop(*_: object) -> None:
        raise TimeoutError

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, MAX_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def without_fence(text: str) -> str:
    """Return `text` without the Markdown fence that some models put around JSON."""
    text = text.strip()
    fenced = _FENCE.match(text)
    return fenced.group(1).strip() if fenced else text


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
