"""Asks the user of an editor what a graph waits for: by a form, by options, or in words.

What asks for decisions on tool calls becomes a permission request. Anything else becomes a form where the editor has
forms, else a choice where the request offers some, else a text, which the next prompt answers. Nothing is refused.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from acp.exceptions import RequestError

from chatcli.errors import UsageError
from chatcli.events import ApprovalRequested
from chatcli.message import is_review, reviewed_actions
from chatcli.rendering.display import diff_lines
from chatcli.rendering.plain import action_lines, answer_forms
from chatcli.sanitize import reveal, reveal_lines
from chatcli.serve.acp.client import Client, DismissedError, Fields, StoppedError
from chatcli.serve.acp.updates import Updates, diff, shown_text, status_update, text_chunk
from chatcli.sessions.interrupt_answers import decide, read_answer
from chatcli.sessions.state import as_json, in_full, in_one_line
from chatcli.text import one_line
from chatcli.tools.toolbox import Toolbox

MAX_CHOICES = 20
MAX_LABEL = 200
"""Characters of a choice; a list of longer texts is something to read."""
MAX_PART = 10_000
"""Characters of a part of what a graph asks."""
_CHOICES = ("options", "choices", "suggestions", "answers", "alternatives")
_QUESTIONS = ("question", "message", "prompt", "title", "description", "text")
_LABELS, _VALUES = ("label", "title", "name", "text"), ("value", "id", "key")
_FIELD = "answer"
_IN_WORDS = "in words"
_ASK_OUTSIDE = "ask outside"
_DECISIONS = {"approve": ("approve", "yes", "y", "ok"), "reject": ("reject", "no", "n")}
_SIMPLE = ("string", "number", "integer", "boolean")


class InWordsError(Exception):
    """The user would rather answer in words: the next prompt answers."""


class UnableError(InWordsError):
    """The editor has no way to ask this."""


@dataclass(eq=False)
class Asker:
    """Asks for one session. `StoppedError` ends a question where the user stops the turn, or the editor is gone."""

    _client: Client
    _session_id: str
    _updates: Updates

    async def ask(self, request: ApprovalRequested, toolbox: Toolbox | None) -> Any:
        """Return the user's answer to `request`, for the graph; raise InWordsError if the next prompt answers it."""
        if is_review(request.payload):
            return await self._review(request, toolbox)
        for way in (self._form, self._choice):
            try:
                return await way(request)
            except UnableError:
                continue
            except InWordsError:
                break
        await self.show(request)
        raise InWordsError

    async def show(self, request: ApprovalRequested) -> None:
        """Show `request` as a text, and how the next prompt answers it."""
        if is_review(request.payload):
            actions = reviewed_actions(request.payload)
            text = "\n".join(line for action in actions for line, _ in action_lines(action))
            how = f"With your next message: {answer_forms(actions)}"
        else:
            text, how = payload_text(request.payload), "Answer with your next message."
        await self._update(text_chunk(f"\n\n{text}\n\n*{how}*\n"))

    async def confirm(self, question: str, yes: str, no: str) -> bool:
        """Return whether the user says yes. Raises `UnableError` if the editor can't ask."""
        options = [_option("yes", yes, "allow_once"), _option("no", no, "reject_once")]
        call: Fields = {"toolCallId": f"question-{id(options):x}", "title": question, "kind": "other"}
        return await self._permission(call, options) == "yes"

    async def _review(self, request: ApprovalRequested, toolbox: Toolbox | None) -> Any:
        actions = reviewed_actions(request.payload)
        if problem := request.payload.get("problem"):
            await self._update(text_chunk(f"{problem}\n"))
        decisions = []
        for number, action in enumerate(actions):
            try:
                decisions.append(await self._decision(request, number, action, toolbox))
            except InWordsError:
                await self.show(request)
                raise
        return {"decisions": decisions} if "action_requests" in request.payload else decisions[0]

    async def _decision(
        self, request: ApprovalRequested, number: int, action: Mapping[str, Any], toolbox: Toolbox | None
    ) -> dict[str, Any]:
        """Return the user's decision on a call, in langchain's form."""
        name = str(action.get("name", ""))
        arguments = action["args"] if isinstance(action.get("args"), Mapping) else {}
        content = await self._content(action, name, arguments, toolbox)
        call_id = str(action.get("id") or "")
        call = self._updates.waiting(call_id, name, arguments)
        if call is None:
            call_id = call_id or f"{request.interrupt_id}-{number}"
            await self._update(self._updates.start(call_id, name, arguments, content))
            call = self._updates.calls[self._updates.shown[call_id]]
        call.asked = True
        call.has_diff = call.has_diff or any(each["type"] == "diff" for each in content)
        options = _options_of(action)
        if not options:  # an edit, or a reply in place of the call's result
            raise UnableError
        shown = {**self._updates.call(call, content), "status": "pending"}
        chosen = await self._permission(shown, options)
        if chosen == _ASK_OUTSIDE:
            shown["content"] = [*content, shown_text("Outside of the sandbox it can do all that you can.")]
            outside = _option("outside", "Run once outside of the sandbox", "allow_once")
            chosen = await self._permission(shown, [outside, _REJECT])
        decision = decide({"once": "y", "thread": "t", "outside": "o", "reject": "n"}[chosen], action)
        if decision["type"] == "approve":
            await self._update(status_update(call.call_id, "in_progress"))
        return decision

    async def _content(
        self, action: Mapping[str, Any], name: str, arguments: Mapping[str, Any], toolbox: Toolbox | None
    ) -> list[Fields]:
        """Return the parts of a call that the user has to see: its change of a file, or its server's description."""
        tool = toolbox.tools.get(name) if toolbox is not None else None
        if toolbox is not None and tool is not None and tool.changes and action.get("diff"):
            # The tool runs only if the file is as it is now: see `Toolbox.approve`.
            change = await asyncio.to_thread(toolbox.plan, tool, arguments)
            is_shown = change.digest == action.get("file_sha256") and change.diff() == action["diff"]
            if is_shown and change.after is not None:
                return [diff(str(change.file), change.before, change.after)]
            shown = "\n".join(line for line, _ in diff_lines(str(action["diff"])))
            return [shown_text(f"```diff\n{shown}\n```")]
        description = "\n".join(reveal_lines(str(action.get("description") or "")))
        return [shown_text(description)] if description else []

    async def _form(self, request: ApprovalRequested) -> Any:
        offered = self._client.capabilities.get("elicitation")
        if not isinstance(offered, Mapping) or (offered and not self._client.offers("elicitation", "form")):
            raise UnableError
        schema, choices = form_of(request)
        message = payload_text(request.payload)
        answer = await self._request("elicitation/create", mode="form", message=message, requestedSchema=schema)
        content = answer.get("content")
        if answer.get("action") != "accept" or not isinstance(content, Mapping):
            raise InWordsError
        if schema["properties"].keys() != {_FIELD} or (request.response_schema or {}).get("properties"):
            return dict(content)
        if _FIELD not in content:
            raise InWordsError
        value = content[_FIELD]
        if choices:
            return choices.get(value, value)
        return _in_words(request, value) if isinstance(value, str) else value

    async def _choice(self, request: ApprovalRequested) -> Any:
        choices = choices_of(request)
        if not choices:
            raise UnableError
        options = [_option(f"choice-{number}", label, "allow_once") for number, label in enumerate(choices)]
        options.append(_option(_IN_WORDS, "Answer in words", "reject_once"))
        payload = request.payload
        asked = next(filter(None, map(payload.get, _QUESTIONS)), None) if isinstance(payload, Mapping) else None
        title = one_line(asked, MAX_LABEL) if isinstance(asked, str) else "Choose an answer"
        call: Fields = {"toolCallId": f"interrupt-{request.interrupt_id}", "title": title, "kind": "other"}
        content = [shown_text(payload_text(payload))]
        chosen = await self._permission({**call, "content": content}, options)
        if chosen == _IN_WORDS:
            raise InWordsError
        return [*choices.values()][int(chosen.removeprefix("choice-"))]

    async def _permission(self, call: Fields, options: Sequence[Fields]) -> str:
        own = call["toolCallId"] not in self._updates.calls  # a question, which is no call of a tool
        if own:
            await self._update({"sessionUpdate": "tool_call", **call, "status": "pending"})
        status = "failed"
        try:
            answer = await self._request("session/request_permission", toolCall=call, options=list(options))
            outcome = answer.get("outcome")
            if not isinstance(outcome, Mapping) or outcome.get("outcome") != "selected":
                raise DismissedError
            chosen = outcome.get("optionId")
            if chosen not in [option["optionId"] for option in options]:
                raise UnableError
            status = "completed"
        finally:
            if own:
                await self._update(status_update(call["toolCallId"], status))
        return str(chosen)

    async def _request(self, method: str, **params: Any) -> Mapping[str, Any]:
        """Return the editor's answer, an empty one in place of what is no object."""
        try:
            answer = await self._client.request(method, sessionId=self._session_id, **params)
        except RequestError:
            raise UnableError from None
        except ConnectionError:
            raise StoppedError from None
        return answer if isinstance(answer, Mapping) else {}

    async def _update(self, update: Fields) -> None:
        await self._client.update(self._session_id, update)


def words_decide(request: ApprovalRequested, text: str) -> Any:
    """Return the decisions on the calls of `request` that the whole of `text` is the word for; None for none.

    A question may begin with the same word, so only the word alone counts.
    """
    for kind, words in _DECISIONS.items():
        if text.strip().lower() in words:
            with suppress(UsageError):  # it is not allowed here
                return read_answer(request, kind)
    return None


def read_words(request: ApprovalRequested, text: str) -> Any:
    """Return the value that `text`, a prompt, gives as the answer to `request`."""
    for label, value in choices_of(request).items():
        if label.casefold() == text.strip().casefold():
            return value
    return _in_words(request, text)


def form_of(request: ApprovalRequested) -> tuple[Fields, dict[str, Any]]:
    """Return the schema of the form that answers `request`, and the choices in it, by their labels."""
    schema = request.response_schema or {}
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and properties and all(map(_is_simple, properties.values())):
        required = [name for name in schema.get("required", ()) if name in properties]
        return {"type": "object", "properties": dict(properties), "required": required}, {}
    choices = choices_of(request)
    field: Fields
    if choices and schema.get("type") != "boolean":
        field = {"type": "string", "title": "Answer", "enum": [*choices]}
    elif _is_simple(schema):
        field, choices = {"title": "Answer", **schema}, {}
    else:
        field, choices = {"type": "string", "title": "Answer"}, {}
    return {"type": "object", "properties": {_FIELD: field}, "required": [_FIELD]}, choices


def choices_of(request: ApprovalRequested) -> dict[str, Any]:
    """Return the answers that `request` offers, by label: a list, or that in an object's `options`; empty for none."""
    schema, payload = request.response_schema or {}, request.payload
    if schema.get("type") == "boolean":
        return {"Yes": True, "No": False}
    listed: Any = schema.get("enum")
    if listed is None and isinstance(payload, Mapping):
        listed = next((payload[key] for key in _CHOICES if isinstance(payload.get(key), list)), None)
    elif listed is None:
        listed = payload
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_CHOICES:
        return {}
    choices = dict(choice for each in listed if (choice := _choice_of(each)) is not None)
    return choices if len(choices) == len(listed) else {}


def payload_text(payload: Any) -> str:
    """Return the question of a graph in Markdown: a text as it is, an object or a list with a line for each part."""
    match payload:
        case str():
            return payload
        case Mapping():
            return "\n".join(f"- {key}: {in_one_line(as_json(value), MAX_PART)}" for key, value in payload.items())
        case list() | tuple():
            return "\n".join(f"- {in_one_line(as_json(value), MAX_PART)}" for value in payload)
        case _:
            return in_full(as_json(payload))


def _choice_of(item: Any) -> tuple[str, Any] | None:
    """Return the label and the value of `item`, None if it is no choice."""
    value: Any
    if isinstance(item, str | int | float):
        label, value = str(item), item
    elif isinstance(item, Mapping):
        found = next((item[key] for key in _LABELS if isinstance(item.get(key), str)), None)
        value = next((item[key] for key in _VALUES if key in item), item if found is None else found)
        label = str(value) if found is None and not isinstance(value, Mapping) else found or ""
    else:
        return None
    fits = 1 <= len(label) <= MAX_LABEL and "\n" not in label
    return (label, value) if fits else None


def _is_simple(schema: Any) -> bool:
    """Return whether a form has a field for `schema`."""
    if not isinstance(schema, Mapping):
        return False
    if schema.get("type") == "array":
        items = schema.get("items")
        return isinstance(items, Mapping) and items.get("type") == "string" and isinstance(items.get("enum"), list)
    return schema.get("type") in _SIMPLE


def _in_words(request: ApprovalRequested, text: str) -> Any:
    with suppress(UsageError):  # nested too deeply to be JSON
        return read_answer(request, text)
    return text


def _option(option_id: str, name: str, kind: str) -> Fields:
    return {"optionId": option_id, "name": name, "kind": kind}


_REJECT = _option("reject", "Reject", "reject_once")


def _options_of(action: Mapping[str, Any]) -> list[Fields]:
    """Return how the user may decide on the call `action`: once, for the thread, outside of the sandbox, or not."""
    # Editors bind a key, and some a label, to a kind: no two options have the same one. So the rule is for the thread
    # only, and what leads outside has the kind that grants nothing if chosen by mistake: another question follows.
    allowed, scopes = action.get("allowed") or ("approve", "reject"), action.get("scopes") or ()
    rule = reveal(str(action.get("rule") or ""))
    options = []
    if "approve" in allowed:
        options.append(_option("once", "Allow once", "allow_once"))
        if rule and "thread" in scopes:
            options.append(_option("thread", f"Allow in this thread: {rule}", "allow_always"))
    if "reject" in allowed:
        options.append(_REJECT)
    if "outside" in scopes:
        options.append(_option(_ASK_OUTSIDE, "Run outside of the sandbox...", "reject_always"))
    return options
