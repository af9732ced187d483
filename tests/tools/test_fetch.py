import asyncio
import socket

import pytest

from chatcli.tools.fetch import fetch_tool
from tests.fakes.web import FakeWeb


async def fetch(url: str, seconds: float = 5, *, allow_private: bool = False) -> str:
    tool = fetch_tool(seconds, allow_private=allow_private).runnable
    call = {"name": "fetch_url", "args": {"url": url}, "id": "1", "type": "tool_call"}
    return str((await tool.ainvoke(call)).content)


def test_a_page_is_read_as_text_and_a_failure_is_reported() -> None:
    with FakeWeb() as web:
        web.pages["/page"] = (200, {}, b"<!doctype html><html><script>x</script><p>Hello <b>you</b></p></html>")
        web.pages["/long"] = (200, {}, b"x" * 50_000)
        web.pages["/image"] = (200, {}, b"\0\1")
        web.pages["/away"] = (302, {"Location": "http://127.0.0.1:1/"}, b"")
        assert asyncio.run(fetch(f"{web.url}/page")) == "Hello you"
        assert asyncio.run(fetch(f"{web.url}/long")).endswith("[cut; the page has 50000 characters]")
        assert "not text" in asyncio.run(fetch(f"{web.url}/image"))
        assert "404" in asyncio.run(fetch(f"{web.url}/none"))
        answer = asyncio.run(fetch(f"{web.url}/away"))
        assert answer.startswith(f"{web.url}/away redirects to http://127.0.0.1:1/\n")
    assert "not a URL" in asyncio.run(fetch("file:///etc/passwd"))


def test_a_name_of_the_private_network_is_fetched_only_if_the_user_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *args, **more: find("127.0.0.1", *args, **more))
    with FakeWeb() as web:
        web.pages["/page"] = (200, {}, b"inner")
        url = web.url.replace("127.0.0.1", "intranet.example") + "/page"
        assert "private address" in asyncio.run(fetch(url))
        assert asyncio.run(fetch(url, allow_private=True)) == "inner"


def test_a_call_takes_no_longer_than_calls_may_take() -> None:
    with FakeWeb() as web:
        assert "not fetched within 0.2 seconds" in asyncio.run(fetch(f"{web.url}/slow", seconds=0.2))


def test_a_cancelled_call_does_not_wait_for_the_server() -> None:
    async def cancelled(web: FakeWeb) -> None:
        call = asyncio.create_task(fetch(f"{web.url}/slow", seconds=600))
        await asyncio.to_thread(web.dripping.wait, 60)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    with FakeWeb() as web:
        asyncio.run(cancelled(web))
        assert web.dripping.is_set()
        assert web.dripped == []
