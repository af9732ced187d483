"""Web pages and files, fetched within limits of size, time and address, and the text of a page.

A page becomes its text because its markup would take most of a model's context.
"""

import ipaddress
import re
import socket
import time
from html import unescape

import httpx2

from chatcli.errors import ContextError, NetworkError, UsageError
from chatcli.text_lines import one_line

MAX_DOWNLOAD = 32 * 1024 * 1024
"""The largest download, in bytes."""
DEFAULT_SECONDS = 30.0
"""How long a whole fetch may take."""
_MAX_REDIRECTS = 5
_LEFT_OUT = frozenset({"script", "style", "noscript", "template", "svg"})
_RAW_ENDS = {tag: re.compile(rf"</{tag}(?=[\s/>])", re.IGNORECASE) for tag in ("script", "style")}
"""The end tags of the elements whose content is not markup."""
_INLINE = frozenset(
    {"a", "abbr", "b", "cite", "code", "em", "i", "kbd", "mark", "q", "s", "small", "span", "strong", "sub", "sup", "u"}
)
_START = re.compile(  # possessive: without it, many comments in a row would cost exponential time
    r"\s*+(?:<\?xml[^>]*+>\s*+)?+(?:(?><!--.*?-->)\s*+)*+<(?:!doctype html|html)\b", re.IGNORECASE | re.DOTALL
)
_MARKUP = re.compile(r"<(?:(?P<comment>!--)|(?P<odd>[!?]|/(?=[^a-zA-Z]))|(?P<end>/?)(?P<tag>[a-zA-Z][^\s/>]*))")
_COMMENT_END = re.compile("--!?>")
_TAG_END_OR_QUOTE = re.compile(r""">|=\s*(["'])""")


def fetch(url: str, *, allow_private: bool = False, timeout: float | None = None) -> bytes:
    """Return the content of `url`.

    The user may name any host. A redirect to another one may not lead to an address of this machine or its network
    unless `allow_private`: a page must not make chatcli read what only this machine can reach.

    Raises:
        UsageError: The page does not exist, or it redirects to an address that is not allowed.
        ContextError: It is larger than MAX_DOWNLOAD.
        NetworkError: The server can't be reached, fails, or takes longer than `timeout` seconds.

    """
    seconds = timeout or DEFAULT_SECONDS
    deadline = time.monotonic() + seconds
    try:
        address = httpx2.URL(url)
        with httpx2.Client(timeout=seconds, headers={"User-Agent": "chatcli", "Accept": "*/*"}) as client:
            for _ in range(_MAX_REDIRECTS + 1):
                with client.stream("GET", address) as reply:
                    if reply.has_redirect_location and reply.next_request is not None:
                        address = reply.next_request.url
                        _check_redirect(url, address, allow_private=allow_private)
                        continue
                    _check_status(url, reply)
                    return _body(url, reply, deadline, seconds)
    except httpx2.TimeoutException:
        raise _too_slow(url, seconds) from None
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
        raise UsageError(f"{url} is not a URL that can be fetched: {error}") from None
    except httpx2.HTTPError as error:
        raise NetworkError(f"{url} can't be fetched: {error}", remedy="Check the address and the network.") from None
    raise UsageError(f"{url} redirects more than {_MAX_REDIRECTS} times")


def _check_redirect(url: str, address: httpx2.URL, *, allow_private: bool) -> None:
    if address.scheme not in ("http", "https"):
        raise UsageError(f"{url} redirects to a {address.scheme} address, which is not followed")
    named = httpx2.URL(url)
    if allow_private or (address.host, address.port) == (named.host, named.port):
        return
    try:
        found = socket.getaddrinfo(address.host, address.port or address.scheme, type=socket.SOCK_STREAM)
    except OSError:
        return  # the request that follows fails in the same way and reports it
    if any(not ipaddress.ip_address(str(place[4][0]).partition("%")[0]).is_global for place in found):
        raise UsageError(
            f"{url} redirects to the private address {address.host}, which is not followed",
            remedy="If you trust it, allow it with --allow-private-urls.",
        )


def _check_status(url: str, reply: httpx2.Response) -> None:
    failure = f"{url} can't be fetched: {reply.status_code} {reply.reason_phrase}"
    if reply.is_server_error or reply.status_code == httpx2.codes.TOO_MANY_REQUESTS:
        raise NetworkError(failure, remedy="Try again later.")
    if not reply.is_success:
        raise UsageError(failure, remedy="Check the address.")


def _body(url: str, reply: httpx2.Response, deadline: float, seconds: float) -> bytes:
    body = bytearray()
    for chunk in reply.iter_bytes():
        body += chunk
        if len(body) > MAX_DOWNLOAD:
            raise ContextError(
                f"{url} is larger than {MAX_DOWNLOAD // 2**20} MiB, the limit of what is fetched",
                remedy="Download it, and send a part of it.",
            )
        if time.monotonic() > deadline:
            raise _too_slow(url, seconds)
    return bytes(body)


def _too_slow(url: str, seconds: float) -> NetworkError:
    return NetworkError(f"{url} was not fetched within {seconds:g} seconds", remedy="Allow more with --timeout.")


def is_html(text: str) -> bool:
    """Return whether `text` is a whole web page."""
    return _START.match(text[:2000]) is not None


def readable(text: str) -> str:
    """Return the text of `text` if it is a web page, else `text` itself."""
    return html_text(text) if is_html(text) else text


def html_text(page: str) -> str:
    """Return the visible text of `page`, one line per block.

    Like a browser, this accepts any text as a page: an unknown declaration is a comment, and an element that is never
    closed ends with the page (https://html.spec.whatwg.org/multipage/parsing.html). It takes linear time, which
    html.parser does not guarantee on hostile pages.
    """
    pieces: list[str] = []
    left_out, position = "", 0
    while markup := _MARKUP.search(page, position):
        if not left_out:
            pieces.append(_words(page[position : markup.start()]))
        position = _end_of(markup, page)
        tag = (markup["tag"] or "").lower()
        if left_out:
            left_out = "" if markup["end"] and tag == left_out else left_out
        elif tag in _LEFT_OUT and not markup["end"]:
            left_out = tag
            if tag in _RAW_ENDS:
                end = _RAW_ENDS[tag].search(page, position)
                position = end.start() if end else len(page)
        elif tag and tag not in _INLINE:
            pieces.append("\n")
    if not left_out:
        pieces.append(_words(page[position:]))
    lines = (one_line(line) for line in "".join(pieces).split("\n"))
    return "\n".join(line for line in lines if line)


def _words(text: str) -> str:
    return " ".join(unescape(text).split("\n"))


def _end_of(markup: re.Match[str], page: str) -> int:
    """Return the position after `markup`, whose beginning is the match."""
    if markup["comment"]:
        end = _COMMENT_END.search(page, markup.end() - 2)  # `<!-->` is a complete comment
        return end.end() if end else len(page)
    if markup["odd"]:
        return page.find(">", markup.end()) + 1 or len(page)
    position = markup.end()
    while found := _TAG_END_OR_QUOTE.search(page, position):
        if not found[1]:
            return found.end()
        position = page.find(found[1], found.end()) + 1
        if not position:
            break
    return len(page)
