"""The JSON Schema that an answer must follow."""

# It is imported only for an answer that has a schema: the validator is slow to import.

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import specification_with

from chatcli.errors import UsageError
from chatcli.runtime.files import read_file
from chatcli.runtime.parse import read_json
from chatcli.text import one_line

MAX_REASON = 300
"""Characters of a validator's message that an error repeats."""
MAX_SECONDS = 5
"""The time limit for checking a schema or an answer: a pattern or nested references may never end."""
_FORMATS = FormatChecker(["regex"])
"""The only format of the metaschemas that is checked without optional packages: what is found depends on none."""


@dataclass(frozen=True, slots=True)
class AnswerSchema:
    """A JSON Schema that was checked; `name` is its name in requests to providers."""

    name: str
    schema: dict[str, Any]
    validator: Validator

    def problem(self, text: str) -> str | None:
        """Return why `text` does not validate, in one line, or None when it does."""
        try:
            value = read_json(text, strict=True)
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
        except Exception as error:  # noqa: BLE001 - the validator raises anything, for instance on extreme numbers
            return f"it can't be checked: {one_line(str(error), MAX_REASON)}"
        if error_found is None:
            return None
        return f"{one_line(error_found.message, MAX_REASON)} (at {error_found.json_path})"


def load_schema(path: Path) -> AnswerSchema:
    """Read the JSON Schema in the file `path`."""
    try:
        schema = read_json(read_file(path, pipe=True).decode())
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
    except Exception as error:  # noqa: BLE001 - the library raises anything on a hostile schema
        reason = one_line(str(error), MAX_REASON)
    raise UsageError(f"{path} is not a valid JSON Schema: {reason}")


def _validator(schema: dict[str, Any]) -> Validator:
    """Return a validator for `schema` after checking the schema itself; raise any exception if it is invalid."""
    if not isinstance(schema.get("$schema", ""), str):
        raise ValueError("$schema is not a string")
    kind: Any = validator_for(schema, default=Draft202012Validator)  # the protocol's `check_schema` takes no checker
    try:
        kind.check_schema(schema, format_checker=_FORMATS)
    except SchemaError as error:
        raise ValueError(f"{one_line(error.message, MAX_REASON)} (at {error.json_path})") from None
    _check_references(schema, kind.META_SCHEMA)
    # An empty registry fetches nothing: no reference leads to the network or to a file.
    validator: Validator = kind(schema, registry=Registry())
    any(validator.iter_errors(None))  # a schema that never ends shows that here
    return validator


def _check_references(schema: dict[str, Any], meta_schema: Any) -> None:
    """Raise ValueError unless every reference in `schema` leads to a schema in it, and every `$id` is a URI."""
    registry: Registry[Any] = Registry()
    root = specification_with(meta_schema["$schema"]).create_resource(schema)
    pending = [(root, registry.resolver_with_root(root))]
    while pending:
        resource, resolver = pending.pop()
        contents = resource.contents
        urlsplit(resource.id() or "")  # raises ValueError if the `$id` is invalid
        reference = contents.get("$ref") if isinstance(contents, dict) else None
        if isinstance(reference, str):
            try:
                found = resolver.lookup(reference).contents
            except (Unresolvable, ValueError):  # not found, or not a URI
                found = None
            if not isinstance(found, dict | bool):
                raise ValueError(f"the reference {one_line(reference, MAX_REASON)} leads to no schema in it")
        pending += [(part, resolver.in_subresource(part)) for part in resource.subresources()]


@contextmanager
def _time_limit() -> Iterator[None]:
    """Raise TimeoutError in the block after MAX_SECONDS, even inside a regular expression."""

    # It needs a signal, since the matcher lets no other thread or event loop run. Outside of the main thread, where
    # signals are not available, there is no limit.
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
