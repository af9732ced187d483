"""A Langflow server's own API, as far as chatcli speaks it: which flows there are, and what it says of failures.

https://docs.langflow.org/api-reference-api-examples
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2

from chatcli.config.secrets import Secret, redact
from chatcli.config.settings import Settings
from chatcli.errors import AuthError, ChatcliError, MissingKeyError, NetworkError, RefusedError
from chatcli.providers import LANGFLOW, LANGFLOW_URL
from chatcli.runtime.parse import read_json
from chatcli.text_lines import one_line

LIST_TIMEOUT = 5.0
"""Seconds within which a server lists its flows."""
MAX_REASON = 300
"""Characters of the server's own words that an error message repeats."""
_WORDS_KEYS = ("message", "detail", "msg", "error", "text", "reason")
_KEY_REMEDY = "Set LANGFLOW_API_KEY to a key from the server's settings, or keep it: chat keys set langflow"


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow of a server; `endpoint` names it where its maker gave it such a name, else it goes by `id`."""

    id: str
    name: str
    endpoint: str = ""
    description: str = ""

    @property
    def handle(self) -> str:
        """What stands after `langflow:` to mean this flow."""
        return self.endpoint or self.id


@dataclass(frozen=True, slots=True)
class LangflowServer:
    """Where requests to Langflow go, and the key that goes with them, if any."""

    url: str
    key: Secret | None = None

    @classmethod
    def of(cls, settings: Settings) -> "LangflowServer":
        """Return the server that `settings` name.

        Raises:
            UsageError: A `.env` would send a key that is not its own to a server that it names itself.

        """
        credentials = settings.credentials.access(LANGFLOW)
        return cls(credentials.base_url or LANGFLOW_URL, credentials.key)

    @property
    def place(self) -> str:
        """The URL as messages show it: it may hold a password."""
        return redact(self.url, [])

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries; Langflow takes no Bearer token."""
        return {} if self.key is None else {"x-api-key": self.key.get_secret_value()}

    def flows(self, timeout: float = LIST_TIMEOUT) -> list[Flow]:
        """Return the user's flows, without Langflow's own examples, within `timeout` seconds.

        Raises:
            AuthError: The key is missing or refused.
            NetworkError: The server can't be reached, fails, or is no Langflow.
            RefusedError: It refused for another reason.

        """
        options = {"remove_example_flows": "true", "header_flows": "true"}
        listed = self._get("", "the list of flows", timeout, options)
        try:
            return [_flow(entry) for entry in listed if not entry.get("is_component")]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self.stranger() from None

    def fields(self, handle: str, timeout: float = LIST_TIMEOUT) -> dict[str, list[str]] | None:
        """Return what a tweak of the flow `handle` can set: the fields of each component, by its title and by its ID.

        None where the server shows no such flow to this user. The titles come first.

        Raises:
            AuthError: The key is missing or refused.
            NetworkError: The server can't be reached, fails, or is no Langflow.
            RefusedError: It refused for another reason.

        """
        found = next((flow for flow in self.flows(timeout) if handle in (flow.endpoint, flow.id)), None)
        if found is None:
            return None
        flow = self._get(quote(found.id, safe=""), f"the flow {handle}", timeout)
        try:
            nodes = {str(node["id"]): node["data"].get("node") or {} for node in (flow["data"] or {}).get("nodes", ())}
            fields = {number: _fields(node.get("template") or {}) for number, node in nodes.items()}
            titles = {
                str(node["display_name"]): fields[number] for number, node in nodes.items() if "display_name" in node
            }
        except (KeyError, TypeError, AttributeError):
            raise self.stranger() from None
        return titles | fields

    def _get(self, what: str, name: str, timeout: float, options: Mapping[str, str] | None = None) -> Any:
        """Return the JSON at `what` among the flows; messages call it `name`."""
        try:
            address = f"{self.url}/api/v1/flows/{what}"
            reply = httpx2.get(address, params=options, headers=self.headers, timeout=timeout)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None
        except httpx2.InvalidURL as error:
            raise RefusedError(f"{self.place} is no URL: {error}", remedy="Check LANGFLOW_URL.") from None
        if not reply.is_success:
            raise self.failure(reply, name)
        try:
            return read_json(reply.content)
        except ValueError:
            raise self.stranger() from None

    def failure(self, reply: httpx2.Response, what: str) -> ChatcliError:
        """Return what the user is told of `reply`, which is no success, to the request for `what`."""
        said = self.say(_body(reply)) or reply.reason_phrase
        status = reply.status_code
        if status in (401, 403) and self.key is None:
            return MissingKeyError(
                f"Langflow at {self.place} wants a key: {said}", remedy=_KEY_REMEDY, provider=LANGFLOW
            )
        if status in (401, 403):
            return AuthError(f"Langflow at {self.place} refused the key: {said}", remedy=_KEY_REMEDY)
        if status == 404:
            return RefusedError(
                f"{what} is not known to Langflow at {self.place}: {said}", remedy="See `chat models langflow`."
            )
        if status in (408, 429) or status >= 500:
            return NetworkError(
                f"Langflow at {self.place} failed with status {status}: {said}", remedy="Try again later."
            )
        return RefusedError(f"Langflow at {self.place} refused {what}: {said}")

    def stranger(self) -> NetworkError:
        """Return what the user is told where a server's answer is not Langflow's."""
        return NetworkError(f"{self.place} sent what is no answer of Langflow's", remedy="Check LANGFLOW_URL.")

    def say(self, value: object) -> str:
        """Return what `value`, an error of the server's, says in one line, without the key."""
        return one_line(redact(one_line(words_of(value)), [self.key] if self.key else []), MAX_REASON)

    def _unreachable(self, error: httpx2.HTTPError) -> NetworkError:
        if isinstance(error, httpx2.TimeoutException):
            return NetworkError(f"Langflow at {self.place} did not answer in time", remedy="Try again.")
        return NetworkError(f"Langflow at {self.place} can't be reached: {error}", remedy="Check LANGFLOW_URL.")


def words_of(value: object) -> str:
    """Return what an error says, wherever Langflow keeps it: in an object, or in JSON inside a string."""
    if isinstance(value, str):
        start = value.find("{")
        if start < 0:
            return value
        try:
            inner, end = json.JSONDecoder().raw_decode(value, start)
        except ValueError:
            return value
        return f"{value[:start]}{words_of(inner)}{value[end:]}"
    if isinstance(value, Mapping):
        for key in _WORDS_KEYS:
            if isinstance(inner := value.get(key), str | Mapping | list) and inner:
                return words_of(inner)
        return json.dumps(value, default=str)
    if isinstance(value, list):
        return "; ".join(map(words_of, value))
    return "" if value is None else str(value)


def _fields(template: Mapping[str, Any]) -> list[str]:
    """Return the fields that a tweak may set; the code of a component is none, Langflow refuses it."""
    return [name for name, field in template.items() if isinstance(field, Mapping) and name != "code"]


def _body(reply: httpx2.Response) -> object:
    try:
        return read_json(reply.content)
    except ValueError:
        return ""  # a proxy's page says less than its status


def _flow(entry: Mapping[str, Any]) -> Flow:
    return Flow(
        str(entry["id"]), str(entry["name"]), str(entry.get("endpoint_name") or ""), str(entry.get("description") or "")
    )
