"""The built-in tool that fetches a URL; the user approves each call, since a URL can carry data away."""

from fnmatch import fnmatchcase
from glob import escape
from urllib.parse import urlsplit

from langchain_core.tools import StructuredTool, ToolException

from chatcli.attachments.html import readable
from chatcli.attachments.web import RedirectError, fetch
from chatcli.errors import ChatcliError
from chatcli.runtime.background import in_background
from chatcli.tools.tool import Arguments, Tool

MAX_TEXT = 30_000
"""Characters of a page that the model gets."""


def fetch_tool(seconds: float, *, allow_private: bool) -> Tool:
    """Return the tool that fetches a URL within `seconds`; `allow_private` has the meaning it has for attached URLs."""

    async def fetch_url(url: str) -> str:
        """Fetch a web page or a text file, and return its text.

        Args:
            url: The URL, with http:// or https://.
        """
        try:
            data = await in_background(lambda: fetch(url, allow_private=allow_private, timeout=seconds, by_model=True))
        except RedirectError as error:
            return f"{error.message}\nNothing was read. To go there, fetch that URL."
        except ChatcliError as error:
            raise ToolException(error.message) from None
        if b"\0" in data[:1024]:
            raise ToolException(f"{url} is not text")
        text = readable(data.decode("utf-8", "replace"))
        return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}\n[cut; the page has {len(text)} characters]"

    runnable = StructuredTool.from_function(coroutine=fetch_url, parse_docstring=True, handle_tool_error=True)
    return Tool(runnable, subject=_url, matches=fnmatchcase, suggest=_suggest, reads_only=True)


def _url(arguments: Arguments) -> str:
    return str(arguments.get("url", ""))


def _suggest(arguments: Arguments) -> str:
    """Return the pattern for every URL on the same server, or for this URL alone if it names no server."""
    url = _url(arguments)
    try:
        parts = urlsplit(url)
    except ValueError:
        return escape(url)
    pattern = f"{parts.scheme}://{escape(parts.netloc)}/*"  # escaped: a `*` in the URL is not a wildcard
    return pattern if parts.netloc and fnmatchcase(url, pattern) else escape(url)
