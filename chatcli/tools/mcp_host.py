"""What this process offers an MCP server: the current folder, a log, and the user's answers."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from mcp import Client, MCPError, types
from pydantic import FileUrl

from chatcli.attachments.attachment import image_type
from chatcli.events import Notice, Progress
from chatcli.message import FORM
from chatcli.text import format_size, one_line
from chatcli.tools.forms import form_schema, read_form, read_reply
from chatcli.tools.questions import ANSWER_SECONDS, Inbox, Question, Sampled, read_consent

MAX_LOGGED = 200
"""The most lines that a server may log from one call to the next."""
MAX_LINE = 1000
MAX_MESSAGE = 4000
"""The most characters of a question that a server asks the user."""
MAX_URL = 2000
"""The most characters of an address that the user is asked to open."""
MAX_SAMPLED = 200_000
"""The most characters that a server may send to the model at a time, images included."""
MAX_WAITING = 20
"""The most questions of a server that wait for the user at the same time."""
ASKS_MODEL = "The MCP server gets the model's answer to these messages, and you pay for it."
_WARNINGS = ("warning", "error", "critical", "alert", "emergency")


@dataclass(eq=False)
class Host:
    """What the server `name` may ask this process for. All that it sends is untrusted.

    `announce` shows an event to the user, in the running turn or the next one. With `debug` the user sees the server's
    log. `can_ask` says that there is a user to ask; without one, every question is refused.
    """

    name: str
    announce: Callable[[Progress | Notice], None] = lambda event: None
    debug: bool = False
    can_ask: bool = False
    inbox: Inbox = field(default_factory=Inbox, init=False)
    """What the server asks the user."""
    logged: int = field(default=0, init=False)
    """How many lines the server has logged since the last call began."""

    @property
    def log_level(self) -> types.LoggingLevel | None:
        """What requests ask the server to log, since 2026-07-28: all of it, if the user wants to see that."""
        return "debug" if self.debug else None

    async def choose_log_level(self, client: Client) -> None:
        """Ask a server of an older version for its whole log, if the user wants to see it."""
        begun = client.session.initialize_result
        if self.debug and begun is not None and begun.capabilities.logging is not None:
            request = types.SetLevelRequest(params=types.SetLevelRequestParams(level="debug"))
            try:
                await client.session.send_request(request, types.EmptyResult)
            except MCPError as error:
                self.announce(Notice(f"{self.name} does not let its log be chosen: {one_line(str(error), MAX_LINE)}"))

    async def log(self, params: types.LoggingMessageNotificationParams) -> None:
        """Show what the server logs, with `--debug`."""
        self.logged += 1
        if not self.debug or self.logged > MAX_LOGGED:
            return
        text = params.data if isinstance(params.data, str) else repr(params.data)
        logger = f" {params.logger}" if params.logger else ""
        line = one_line(f"{self.name}{logger} [{params.level}]: {text[:MAX_LINE]}", MAX_LINE)
        self.announce(Notice(line, "warning" if params.level in _WARNINGS else "info"))
        if self.logged == MAX_LOGGED:
            self.announce(Notice(f"{self.name} logs more than {MAX_LOGGED} lines: the rest is left out"))

    async def elicit(self, context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        """Let the user fill in a form, or open an address; declined where nobody can be asked."""
        if not self.can_ask:
            return types.ElicitResult(action="decline")
        request: dict[str, Any] = {"type": FORM, "server": self.name, "message": params.message[:MAX_MESSAGE]}
        try:
            if isinstance(params, types.ElicitRequestURLParams):
                if not params.url.startswith(("https://", "http://")) or len(params.url) > MAX_URL:
                    raise ValueError("it names no web address")
                fields, request["url"] = [], params.url
            else:
                fields = read_form(params.requested_schema)
        except ValueError as error:
            self.announce(Notice(f"a form of the MCP server {self.name} was declined: {error}", "warning"))
            return types.ElicitResult(action="decline")
        schema = form_schema(fields)
        request |= {"requested_schema": schema, "id": token_hex(8)}  # no two are equal: a reply counts for one alone
        reply = await self._ask("a form", Question(request, partial(read_reply, fields), schema))
        if reply is None:
            return types.ElicitResult(action="cancel")
        content = None if "url" in request else reply.get("content")
        return types.ElicitResult(action=reply["action"], content=content)

    async def sample(
        self, context: Any, params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult | types.ErrorData:
        """Let the model answer what the server asks, if the user agrees; refused where nobody can be asked."""
        if not self.can_ask:
            return _refusal("nobody can be asked whether the model may answer")
        try:
            prompt = _sampled_messages(params)
        except ValueError as error:
            return _refusal(str(error))
        name = f"{self.name} asks the model"
        shown = [{message.type: _shown(message.content)} for message in prompt]
        action = {"name": name, "args": {"messages": shown}, "description": ASKS_MODEL}
        review = {"action_name": name, "allowed_decisions": ["approve", "reject"], "scopes": []}
        request = {"action_requests": [action], "review_configs": [review], "id": token_hex(8)}
        reply = await self._ask("a question to the model", Question(request, read_consent, prompt=prompt))
        if not isinstance(reply, Sampled):
            return _refusal(reply if isinstance(reply, str) else "the user refused")
        return types.CreateMessageResult(
            role="assistant",
            content=types.TextContent(type="text", text=reply.text),
            model=reply.model,
            stop_reason="endTurn",
        )

    async def _ask(self, what: str, question: Question) -> Any:
        """Return the answer to `question`; None for none, which a notice says if its time is over."""
        if len(self.inbox.waiting) >= MAX_WAITING:
            return None
        try:
            return await self.inbox.ask(question)
        except TimeoutError:
            limit = f"within {ANSWER_SECONDS / 60:g} minutes"
            text = f"{what} of the MCP server {self.name} was not answered {limit}: it was cancelled"
            self.announce(Notice(text, "warning"))
            return None

    async def list_roots(self, context: Any) -> types.ListRootsResult:
        """Return the current folder, where the built-in tools work too."""
        folder = Path.cwd()
        return types.ListRootsResult(roots=[types.Root(uri=FileUrl(folder.as_uri()), name=folder.name or None)])


def _refusal(reason: str) -> types.ErrorData:
    return types.ErrorData(code=-1, message=reason)


def _sampled_messages(params: types.CreateMessageRequestParams) -> list[BaseMessage]:
    """Return the messages that the model is to be asked. Raises `ValueError` if it can't take them."""
    messages: list[BaseMessage] = [SystemMessage(params.system_prompt)] if params.system_prompt else []
    size = len(params.system_prompt or "")
    for message in params.messages:
        parts: list[str | dict[str, Any]] = []
        for block in message.content_as_list:
            if isinstance(block, types.TextContent):
                size += len(block.text)
                parts.append({"type": "text", "text": block.text})
            elif isinstance(block, types.ImageContent) and message.role == "user":
                size += len(block.data)
                data = base64.b64decode(block.data, validate=True)
                if (media_type := image_type(data)) is None:
                    raise ValueError("an image is of no type that models take")
                parts.append({"type": "image", "base64": block.data, "mime_type": media_type})
            else:
                raise ValueError(f"{block.type} can't be sent to the model")
        kind = HumanMessage if message.role == "user" else AIMessage
        text = [part["text"] for part in parts if isinstance(part, dict) and part["type"] == "text"]
        messages.append(kind(parts if len(text) < len(parts) else "\n".join(text)))
    if size > MAX_SAMPLED or not params.messages:
        raise ValueError(f"it is empty, or longer than {MAX_SAMPLED} characters")
    return messages


def _shown(content: str | Sequence[str | dict[str, Any]]) -> str | list[str]:
    """Return what `_sampled_messages` has put into a message, with images named."""
    if isinstance(content, str):
        return content
    parts = [part for part in content if isinstance(part, dict)]
    return [
        part["text"]
        if part["type"] == "text"
        else f"[{part['mime_type']}, {format_size(len(part['base64']) * 3 // 4)}]"
        for part in parts
    ]
