"""Let the user fill in the form of an MCP server, field by field."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from chatcli.events import ApprovalRequested, Event, KeysOffered, Notice
from chatcli.repl.decisions import Keyboard, read_key
from chatcli.sanitize import reveal
from chatcli.tools.forms import FormField, read_form

_LEFT_OPEN = "the server still waits: answer by a JSON object with the fields, or decline"


async def read_form_answer(keyboard: Keyboard, show: Callable[[Event], None], request: ApprovalRequested) -> str | None:
    """Return the user's answer to the form that `request` asks for, as JSON; None for none yet.

    Ctrl-C and Ctrl-D leave it open. A form without fields, and one behind an address, is answered by a key.
    """
    payload: Mapping[str, Any] = request.payload
    try:
        fields = read_form(payload.get("requested_schema", {}))
    except ValueError:  # the store may come from anybody
        fields = []
    if not fields:
        key = await read_key(keyboard, show, KeysOffered({"y": "yes", "n": "no"}))
        return json.dumps({"action": {"y": "accept", "n": "decline"}[key]}) if key else None
    content: dict[str, Any] = {}
    for field in fields:
        text = await _read_field(keyboard, show, field)
        if text is None:
            show(Notice(_LEFT_OPEN))
            return None
        if text:
            content[field.name] = field.parse(text)
        elif field.default is not None:
            content[field.name] = field.default
    return json.dumps({"action": "accept", "content": content})


async def _read_field(keyboard: Keyboard, show: Callable[[Event], None], field: FormField) -> str | None:
    """Return a text that `field` takes; empty if it is left out, None if the user leaves."""
    while (text := await keyboard.line(f"{reveal(field.question())}: ")) is not None:
        try:
            if text:
                field.parse(text)
            elif field.needed and field.default is None:
                raise ValueError(f"{field.label or field.name} is needed")
        except ValueError as error:
            show(Notice(str(error), "error"))
        else:
            return text
    return None
