"""The JSON Schemas of everything that chatcli prints as JSON; `chat config schema` prints them."""

import json
from importlib import resources
from typing import Any

NAMES = (
    *("answer", "failure", "event"),  # of a turn
    *("threads", "thread", "search", "export", "imported"),
    *("models", "flows", "roles", "role", "keys", "config", "trust", "doctor"),
    "usage",
    *("documents", "passages"),  # of `chat docs`
    "memory",
)


def read_schema(name: str) -> dict[str, Any]:
    """Return the schema `name`, one of NAMES."""
    text = resources.files(__package__).joinpath(f"{name}.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def read_all() -> dict[str, Any]:
    """Return one schema that accepts any of them; each is in `$defs` by its name."""
    schemas = {name: read_schema(name) for name in NAMES}
    dialect = {schema.pop("$schema") for schema in schemas.values()}
    return {
        "$schema": dialect.pop(),
        "title": "chat",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in NAMES],
        "$defs": schemas,
    }
