import asyncio
import time

import pytest

from chatcli.tools.fetch import fetch_tool
from tests.fakes.web import FakeWeb


async def fetch(url: str) -> str:
    tool = fetch_tool(5, allow_private=False).runnable
    call = {"name": "fetch_url", "args": {"url": url}, "id": "1", "type": "tool_call"}
    return str((await tool.ainvoke(call)).content)


def test_a_page_is_read_as_text_and_a_failure_is_told() -> None:
    with FakeWeb() as web:
        web.pages["/page"] = (200, {}, b"<!doctype html><html><script>x</script><p>Hello <b>you</b></p></html>")
        web.pages["/long"] = (200, {}, b"x" * 50_000)
        web.pages["/image"] = (200, {}, b"\0\1")
        web.pages["/away"] = (302, {"Location": "http://127.0.0.1:1/"}, b"")
        assert asyncio.run(fetch(f"{web.url}/page")) == "Hello you"
        assert asyncio.run(fetch(f"{web.url}/long")).endswith("[cut; the page has 50000 characters]")
        assert "not text" in asyncio.run(fetch(f"{web.url}/image"))
        assert "404" in asyncio.run(fetch(f"{web.url}/none"))
        assert "private address" in asyncio.run(fetch(f"{web.url}/away"))
    assert "not a URL" in asyncio.run(fetch("file:///etc/passwd"))


def test_who_stops_waits_for_no_server() -> None:
    async def stopped() -> None:
        with FakeWeb() as web, pytest.raises(TimeoutError):
            await asyncio.wait_for(fetch(f"{web.url}/slow"), 0.1)

    began = time.monotonic()
    asyncio.run(stopped())
    assert time.monotonic() - began < 3
