"""The built-in tool that fetches a URL; each call is asked about, since an address can carry data away."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatchcase
from glob import escape
from urllib.parse import urlsplit

from langchain_core.tools import StructuredTool, ToolException

from chatcli.attachments.web import fetch, html_text, is_html
from chatcli.errors import ChatcliError
from chatcli.tools.tool import Arguments, Tool

MAX_TEXT = 30_000
"""Characters of a page that are kept."""


def fetch_tool(seconds: float, *, allow_private: bool) -> Tool:
    """Return the tool that fetches, for `seconds` at most; `allow_private` as for an attached URL."""

    async def fetch_url(url: str) -> str:
        """Fetch a web page or a text file, and return its text.

        Args:
            url: The address, with http:// or https://.
        """
        try:
            data = await _in_thread(lambda: fetch(url, allow_private=allow_private, timeout=seconds))
        except ChatcliError as error:
            raise ToolException(error.message) from None
        if b"\0" in data[:1024]:
            raise ToolException(f"{url} is no text")
        text = data.decode("utf-8", "replace")
        text = html_text(text) if is_html(text) else text
        return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}\n[cut; the page has {len(text)} characters]"

    runnable = StructuredTool.from_function(coroutine=fetch_url, parse_docstring=True, handle_tool_error=True)
    return Tool(runnable, subject=_url, matches=fnmatchcase, suggest=_suggest)


def _url(arguments: Arguments) -> str:
    return str(arguments.get("url", ""))


def _suggest(arguments: Arguments) -> str:
    """Return the pattern for every address of the same server, or for this one where it names no server."""
    url = _url(arguments)
    try:
        parts = urlsplit(url)
    except ValueError:
        return escape(url)
    pattern = f"{parts.scheme}://{escape(parts.netloc)}/*"  # a `*` in it is the model's, not the rule's
    return pattern if parts.netloc and fnmatchcase(url, pattern) else escape(url)


async def _in_thread(work: Callable[[], bytes]) -> bytes:
    """Return what `work` does in a thread that nobody has to wait for when the call is given up."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bytes] = loop.create_future()

    def settle(result: bytes | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result or b"")

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            failure = error
        with suppress(RuntimeError):  # the loop is gone, and nobody waits
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, daemon=True).start()
    return await done
