"""A Langflow server's API (https://docs.langflow.org/api-reference-api-examples): flows, fields and errors."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2

from chatcli.config.credentials import Credentials
from chatcli.config.providers import LANGFLOW, LANGFLOW_URL
from chatcli.config.secrets import Secret, redact
from chatcli.errors import AuthError, ChatcliError, MissingKeyError, NetworkError, RefusedError
from chatcli.runtime.http import request
from chatcli.runtime.parse import read_json
from chatcli.text import one_line

LIST_SECONDS = 5.0
MAX_REASON = 300
"""The most characters of a server's message that an error repeats."""
_TEXT_KEYS = ("message", "detail", "msg", "error", "text", "reason")
_KEY_REMEDY = "Create a key in the server's settings, and set LANGFLOW_API_KEY, or keep it: chat keys set langflow"


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow of a server; `endpoint` is its endpoint name, if its author gave it one."""

    id: str
    name: str
    endpoint: str = ""
    description: str = ""

    @property
    def handle(self) -> str:
        """The name of this flow after `langflow:`."""
        return self.endpoint or self.id


@dataclass(frozen=True, slots=True)
class LangflowServer:
    """Where requests to Langflow go, and the key that goes with them, if any."""

    url: str
    key: Secret | None = None

    @classmethod
    def of(cls, credentials: Credentials) -> "LangflowServer":
        """Return the server that the user chose, with its key."""
        access = credentials.access(LANGFLOW)
        return cls(access.base_url or LANGFLOW_URL, access.key)

    @property
    def shown_url(self) -> str:
        """The URL for messages, without the password that it may have."""
        return redact(self.url, [])

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request; Langflow accepts no Bearer token."""
        return {} if self.key is None else {"x-api-key": self.key.get_secret_value()}

    def flows(self, timeout: float = LIST_SECONDS) -> list[Flow]:
        """Return the user's flows, without Langflow's own examples, within `timeout` seconds."""
        options = {"remove_example_flows": "true", "header_flows": "true"}
        listed = self._get("", "the list of flows", timeout, options)
        with self.reading():
            return [_flow(entry) for entry in listed if not entry.get("is_component")]

    def fields(self, handle: str) -> dict[str, list[str]] | None:
        """Return the fields of the flow `handle` that tweaks can set, by the title and by the ID of their component.

        The titles come first. The result is None if the server does not show this flow to the user.
        """
        found = next((flow for flow in self.flows() if handle in (flow.endpoint, flow.id)), None)
        if found is None:
            return None
        flow = self._get(quote(found.id, safe=""), f"the flow {handle}", LIST_SECONDS)
        with self.reading():
            nodes = {str(node["id"]): node["data"].get("node") or {} for node in (flow["data"] or {}).get("nodes", ())}
            fields = {number: _fields(node.get("template") or {}) for number, node in nodes.items()}
            titles = {str(node["display_name"]): fields[key] for key, node in nodes.items() if "display_name" in node}
            return titles | fields

    def _get(self, what: str, name: str, timeout: float, options: Mapping[str, str] | None = None) -> Any:
        """Return the JSON at the path `what` below the flows; errors call it `name`."""
        try:
            address = f"{self.url}/api/v1/flows/{what}"
            reply = request("GET", address, seconds=timeout, params=options, headers=self.headers)
        except httpx2.TimeoutException:
            message = f"Langflow at {self.shown_url} did not answer in time"
            raise NetworkError(message, remedy="Try again later.") from None
        except httpx2.HTTPError as error:
            message = f"Langflow at {self.shown_url} can't be reached: {error}"
            raise NetworkError(message, remedy="Start it, or check LANGFLOW_URL.") from None
        except httpx2.InvalidURL as error:
            raise RefusedError(f"{self.shown_url} is not a URL: {error}", remedy="Check LANGFLOW_URL.") from None
        if not reply.is_success:
            raise self.failure(reply, name)
        with self.reading():
            return read_json(reply.content)

    def failure(self, reply: httpx2.Response, what: str) -> ChatcliError:
        """Return the error for `reply`, a failure, to the request for `what`."""
        try:
            body = read_json(reply.content)
        except ValueError:
            body = ""  # the page of a proxy is less useful than its status
        reason = self.one_line(body) or reply.reason_phrase
        status = reply.status_code
        where = f"Langflow at {self.shown_url}"
        if status in (401, 403) and self.key is None:
            return MissingKeyError(f"{where} requires a key: {reason}", remedy=_KEY_REMEDY, provider=LANGFLOW)
        if status in (401, 403):
            return AuthError(f"{where} refused the key: {reason}", remedy=_KEY_REMEDY)
        if status == 404:
            return RefusedError(
                f"{what} is not known to {where}: {reason}",
                remedy="Choose one of the flows that `chat models langflow` lists.",
            )
        if status in (408, 429) or status >= 500:
            return NetworkError(f"{where} failed with status {status}: {reason}", remedy="Try again later.")
        return RefusedError(f"{where} refused {what}: {reason}")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Raise NetworkError where the block can't read an answer, which is another server's then."""
        try:
            yield
        except (ValueError, LookupError, TypeError, AttributeError):
            message = f"{self.shown_url} sent what is not an answer of Langflow"
            raise NetworkError(message, remedy="Check LANGFLOW_URL.") from None

    def one_line(self, value: object) -> str:
        """Return the text of `value`, an error of the server, in one line and without the key."""
        return one_line(redact(one_line(text_of(value)), [self.key] if self.key else []), MAX_REASON)


def text_of(value: object) -> str:
    """Return the text of an error, wherever Langflow keeps it: in an object, or in JSON inside a string."""
    if isinstance(value, str):
        start = value.find("{")
        if start < 0:
            return value
        try:
            inner, end = json.JSONDecoder().raw_decode(value, start)
        except ValueError:
            return value
        return f"{value[:start]}{text_of(inner)}{value[end:]}"
    if isinstance(value, Mapping):
        for key in _TEXT_KEYS:
            if isinstance(inner := value.get(key), str | Mapping | list) and inner:
                return text_of(inner)
        return json.dumps(value, default=str)
    if isinstance(value, list):
        return "; ".join(map(text_of, value))
    return "" if value is None else str(value)


def _fields(template: Mapping[str, Any]) -> list[str]:
    """Return the fields that a tweak may set; a component's code is not one of them, as Langflow refuses it."""
    return [name for name, field in template.items() if isinstance(field, Mapping) and name != "code"]


def _flow(entry: Mapping[str, Any]) -> Flow:
    return Flow(
        str(entry["id"]), str(entry["name"]), str(entry.get("endpoint_name") or ""), str(entry.get("description") or "")
    )
