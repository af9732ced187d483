"""Web pages and files, fetched within limits of size, time and address."""

import socket
import struct
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from ipaddress import ip_address
from typing import Any

import httpx2

from chatcli.errors import ContextError, NetworkError, UsageError
from chatcli.runtime.addresses import is_public, is_this_machine
from chatcli.runtime.http import hooks, origin, within

MAX_DOWNLOAD = 32 * 1024 * 1024  # bytes
DEFAULT_SECONDS = 30.0
_MAX_REDIRECTS = 5

Resolve = Callable[[str, int], list[str]]
"""Returns the IP addresses of a host, for a port."""


class RedirectError(UsageError):
    """The page at `url` redirects to `target`, which the caller has to allow first."""

    def __init__(self, url: str, target: str) -> None:
        super().__init__(f"{url} redirects to {target}")
        self.target = target


def resolve(host: str, port: int) -> list[str]:
    """Return the IP addresses of `host`, the one to try first first."""
    return list(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def fetch(
    url: str,
    *,
    allow_private: bool = False,
    timeout: float | None = None,
    by_model: bool = False,
    resolve: Resolve = resolve,
) -> bytes:
    """Return the content of `url`.

    The user may name any host. A redirect to another one may not lead to an address of this machine or its network
    unless `allow_private`: a page must not make chatcli read what only this machine can reach. For a URL that is
    named `by_model`, this is so for the name of its own host, too, and only a redirect to the same page is followed.
    The address that was checked is the one that is connected to, except through a proxy, which looks up names itself.
    Raises `RedirectError` if a model named a page that is at another address.
    """
    seconds = timeout or DEFAULT_SECONDS
    download = _Download(url, allow_private, by_model, seconds, resolve)
    try:
        return within(seconds, download.read)
    except httpx2.TimeoutException:
        reason = f"{url} was not fetched within {seconds:g} seconds"
        raise NetworkError(reason, remedy="Allow more with --timeout.") from None
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
        raise UsageError(f"{url} is not a URL that can be fetched: {error}") from None
    except httpx2.HTTPError as error:
        raise NetworkError(f"{url} can't be fetched: {error}", remedy="Check the address and the network.") from None
    finally:
        download.stop()


class _Download:
    """One download, with the redirects on its way."""

    def __init__(self, url: str, allow_private: bool, by_model: bool, seconds: float, resolve: Resolve) -> None:
        self._stopped = False
        self._socket: socket.socket | None = None
        self._url = url
        self._allow_private = allow_private
        self._by_model = by_model
        self._seconds = seconds
        self._resolve = resolve

    def read(self) -> bytes:
        """Return the content; this is called once."""
        address = httpx2.URL(self._url)
        for _ in range(_MAX_REDIRECTS + 1):
            target, body = self._ask(address)
            if target is None:
                return body
            if target.scheme not in ("http", "https"):
                raise UsageError(f"{self._url} redirects to a {target.scheme} address, which is not followed")
            if self._by_model and not _is_same_page(address, target):
                raise RedirectError(self._url, str(target))
            address = target
        raise UsageError(f"{self._url} redirects more than {_MAX_REDIRECTS} times")

    def stop(self) -> None:
        """Let its thread end, also while a server says again and again that the reply is to come."""
        self._stopped = True
        if self._socket is not None:
            with suppress(OSError):
                # Closing then also resets the connection: else, the server could wait for a minute to send more.
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._socket.shutdown(socket.SHUT_RDWR)

    def _note_step(self, step: str, details: Mapping[str, Any]) -> None:
        if self._stopped and "response_closed" not in step:
            raise httpx2.ReadTimeout("nobody waits for it any more")
        if step.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._socket = details["return_value"].get_extra_info("socket")

    def _ask(self, address: httpx2.URL) -> tuple[httpx2.URL | None, bytes]:
        """Return the target of a redirect, or None and the content."""
        options: dict[str, Any] = {"timeout": self._seconds, "event_hooks": hooks(2 * MAX_DOWNLOAD, leaves=True)}
        options["headers"] = {"User-Agent": "chatcli", "Accept": "*/*"}
        options["event_hooks"]["request"].append(lambda request: request.extensions.update(trace=self._note_step))
        if _has_proxy(address):
            with httpx2.Client(**options) as client, client.stream("GET", address) as reply:
                return self._read_reply(address, reply)
        *others, last = self._allowed(address)
        # A client that is given a transport does not look for a proxy.
        with httpx2.Client(**options, transport=httpx2.HTTPTransport()) as client:
            for host in others:
                try:
                    with _connect(client, address, host) as reply:
                        return self._read_reply(address, reply)
                except httpx2.ConnectError:
                    continue
            with _connect(client, address, last) as reply:
                return self._read_reply(address, reply)

    def _allowed(self, address: httpx2.URL) -> list[str]:
        """Return the IP addresses of the host of `address`."""
        if address.scheme not in ("http", "https") or not address.host:
            raise httpx2.UnsupportedProtocol("it needs http:// or https://, and a host")
        try:
            found = self._resolve(address.host, address.port or (443 if address.scheme == "https" else 80))
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError(str(error)) from error
        if not self._may_be_private(address) and not all(map(is_public, found)):
            verb = "has" if origin(address) == origin(httpx2.URL(self._url)) else "redirects to"
            problem = f"{self._url} {verb} the private address {address.host}, which is not followed"
            raise UsageError(problem, remedy="If you trust it, allow it with --allow-private-urls.")
        if not found:
            raise httpx2.ConnectError("the host has no address")
        return found

    def _may_be_private(self, address: httpx2.URL) -> bool:
        """Return whether the user named the host of `address`, or the model one whose address all could read."""
        named = httpx2.URL(self._url)
        is_named = (address.host, address.port) == (named.host, named.port)
        return self._allow_private or (is_named and (not self._by_model or _is_address(address.host)))

    def _read_reply(self, address: httpx2.URL, reply: httpx2.Response) -> tuple[httpx2.URL | None, bytes]:
        if reply.has_redirect_location:
            return address.join(reply.headers["location"]), b""
        failure = f"{self._url} can't be fetched: {reply.status_code} {reply.reason_phrase}"
        if reply.is_server_error or reply.status_code == httpx2.codes.TOO_MANY_REQUESTS:
            raise NetworkError(failure, remedy="Try again later.")
        if not reply.is_success:
            raise UsageError(failure, remedy="Check the address.")
        body = bytearray()
        for chunk in reply.iter_bytes():
            body += chunk
            if len(body) > MAX_DOWNLOAD:
                problem = f"{self._url} is larger than {MAX_DOWNLOAD // 2**20} MiB, the limit of what is fetched"
                raise ContextError(problem, remedy="Download it, and send a part of it.")
        return None, bytes(body)


def _connect(client: httpx2.Client, address: httpx2.URL, host: str) -> AbstractContextManager[httpx2.Response]:
    """Ask for `address` at its IP address `host`; the certificate has to be that of the name."""
    extensions = {} if _is_address(address.host) else {"sni_hostname": address.host}
    headers = {"Host": address.netloc.decode("ascii")}
    return client.stream("GET", address.copy_with(host=host), headers=headers, extensions=extensions)


def _has_proxy(address: httpx2.URL) -> bool:
    if is_this_machine(address.host):
        return False
    proxies = urllib.request.getproxies()
    if address.scheme not in proxies and "all" not in proxies:
        return False
    return not urllib.request.proxy_bypass(address.host)


def _is_address(host: str) -> bool:
    """Return whether `host` is an IP address or the name of this machine, as everybody who reads it knows."""
    try:
        ip_address(host)
    except ValueError:
        return host == "localhost"
    return True


def _is_same_page(address: httpx2.URL, target: httpx2.URL) -> bool:
    """Return whether `target` differs from `address` at most by https and by a slash at the end of the path."""
    if target.host != address.host or target.query != address.query or target.userinfo:
        return False
    is_upgrade = (origin(address)[::2], origin(target)[::2]) == (("http", 80), ("https", 443))
    same_server = is_upgrade or origin(address) == origin(target)
    return same_server and target.path.rstrip("/") == address.path.rstrip("/")
