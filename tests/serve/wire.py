"""An editor for units: it answers the requests of an agent in this process by a script."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from chatcli.serve.acp.client import Client


class Wire:
    """The connection to an editor that answers requests from `answers` and keeps what it was sent."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.requests: list[tuple[str, Mapping[str, Any]]] = []
        self.updates: list[Mapping[str, Any]] = []
        self.gone = False

    async def send_request(self, method: str, params: Mapping[str, Any]) -> Any:
        self.requests.append((method, params))
        answer = self.answers.get(method.rpartition("/")[2])
        if callable(answer):
            answer = answer(params)
        if isinstance(answer, asyncio.Event):
            await answer.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def send_notification(self, method: str, params: Mapping[str, Any]) -> None:
        if self.gone:
            raise ConnectionError
        self.updates.append(params["update"])


def client_of(wire: Wire, **capabilities: Any) -> Client:
    """Return an editor with these capabilities at the other end of `wire`."""
    client = Client()
    client.wire = cast("Any", wire)
    client.capabilities = capabilities
    return client
