"""Web pages and files, fetched within limits of size, time and address."""

import ipaddress
import socket
import time

import httpx2

from chatcli.errors import ContextError, NetworkError, UsageError

MAX_DOWNLOAD = 32 * 1024 * 1024
"""The largest download, in bytes."""
DEFAULT_SECONDS = 30.0
"""How long a whole fetch may take."""
_MAX_REDIRECTS = 5


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
