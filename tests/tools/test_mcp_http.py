import asyncio
import gzip

import pytest

from chatcli.tools.mcp_http import AnsweringClient
from tests.fakes.raw_server import Send, reply, server

CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call"}
MOVED = "307 Temporary Redirect"
LIMITS: dict[str, tuple[Send, str]] = {
    "a redirect": (reply(b"", "Location: http://127.0.0.1:1/", status=MOVED), "it redirects to http://127.0.0.1:1/"),
    "two compressions": (reply(b"x", "Content-Encoding: gzip, gzip"), "gzip was asked for"),
    "a bomb": (
        reply(gzip.compress(b" " * 20_000_000), "Content-Encoding: gzip", "Content-Type: text/event-stream"),
        "an event of more than 16 MiB",
    ),
}


@pytest.mark.parametrize("case", LIMITS)
def test_a_response_over_a_limit_is_a_failure_of_the_call(case: str) -> None:
    answer, words = LIMITS[case]

    async def ask(url: str) -> bytes:
        async with AnsweringClient({"x-key": "secret"}) as client:
            return (await client.post(url, json=CALL)).content

    with server(answer) as url:
        answered = asyncio.run(ask(url)).strip()
    assert b'"id": 7' in answered
    assert words.encode() in answered
