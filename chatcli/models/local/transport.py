"""An HTTP transport whose every request ends at the embedded model's server, wherever that is by then."""

import httpx2

from chatcli.models.local.client import LocalServer
from chatcli.models.local.runtime import Endpoint

EMBEDDED_URL = "http://embedded.invalid/v1"
"""The base URL to give to a client that uses `EmbeddedTransport`; `.invalid` (RFC 2606) never resolves."""


class EmbeddedTransport(httpx2.AsyncBaseTransport):
    """Sends each request to the server that `server.ensure` names, with its key.

    So the server may come and go between two requests. One that dies before its response begins is replaced
    and asked again, once; a response that has begun is never repeated, its reader gets an
    `httpx2.TransportError`.

    The errors of `LocalServer.ensure` pass through as they are, also through the openai client.
    """

    def __init__(self, server: LocalServer) -> None:
        self._server = server
        # No proxy from the environment: the loopback interface is never behind one.
        self._inner = httpx2.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send `request`, whose URL begins with `EMBEDDED_URL`, and return the response as it begins.

        Raises:
            httpx2.TransportError: The server died twice, or the request's own time limits have passed.
            ChatcliError: There is no server, as `LocalServer.ensure` says.

        """
        body = await request.aread()
        try:
            return await self._send(request, body)
        except (httpx2.NetworkError, httpx2.RemoteProtocolError):
            self._server.distrust()
            return await self._send(request, body)

    async def _send(self, request: httpx2.Request, body: bytes) -> httpx2.Response:
        endpoint = await self._server.ensure()
        return await self._inner.handle_async_request(_readdress(request, body, endpoint))

    async def aclose(self) -> None:
        """Close the connections, and say that this process no longer needs the server."""
        await self._inner.aclose()
        self._server.close()


def _readdress(request: httpx2.Request, body: bytes, endpoint: Endpoint) -> httpx2.Request:
    """Return `request` with `body`, made out to `endpoint`."""
    server = httpx2.URL(endpoint.base_url)
    headers = request.headers.copy()
    headers["Host"] = server.netloc.decode("ascii")
    headers["Authorization"] = f"Bearer {endpoint.api_key}"
    url = request.url.copy_with(scheme=server.scheme, host=server.host, port=server.port)
    return httpx2.Request(request.method, url, headers=headers, content=body, extensions=request.extensions)
