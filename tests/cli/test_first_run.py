"""The first run: what a server answers that may be chosen, and which provider a typed name means."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from chatcli.cli.run.first_run import _find_provider, _served
from chatcli.cli.run.interactive import _host_of
from chatcli.config.providers import PROVIDERS
from chatcli.config.secrets import Secret
from chatcli.errors import AuthError, ChatcliError, NetworkError, UsageError
from tests.fakes.http_server import HttpServer


class _Models(BaseHTTPRequestHandler):
    """Lists its models to who has the key `right`; the path says what it answers to others."""

    def do_GET(self) -> None:
        _, path, _ = self.path.split("/", 2)
        allowed = self.headers["Authorization"] == "Bearer right"
        self.send_response(200 if allowed or not path.isdecimal() else int(path))
        self.end_headers()
        listed = {"empty": b'{"data": []}', "page": b"<html>"}.get(path, b'{"data": [{"id": "a"}, {"id": "b"}]}')
        self.wfile.write(listed)


@pytest.fixture
def address() -> Iterator[str]:
    with HttpServer(_Models) as server:
        yield server.url


async def test_the_models_of_a_server_are_listed_to_who_has_its_key(address: str) -> None:
    assert await _served(f"{address}/v1", None) == ["a", "b"]
    assert await _served(f"{address}/401", Secret("right")) == ["a", "b"]


@pytest.mark.parametrize(
    ("path", "key", "error", "says"),
    [
        ("401", None, AuthError, "wants a key"),
        ("403", None, AuthError, "wants a key"),
        ("403", Secret("wrong"), AuthError, "refused the key"),
        ("empty", None, UsageError, "lists no models"),
        ("page", None, UsageError, "lists no models"),
    ],
)
async def test_a_server_without_models_is_not_chosen(
    address: str, path: str, key: Secret | None, error: type[ChatcliError], says: str
) -> None:
    with pytest.raises(error, match=says) as refused:
        await _served(f"{address.replace('://', '://me:hunter2@')}/{path}", key)
    assert "hunter2" not in f"{refused.value} {refused.value.remedy}"


async def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(NetworkError, match="can't be reached") as refused:
        await _served("http://me:hunter2@127.0.0.1:9/v1", None)
    assert "hunter2" not in str(refused.value)


def test_a_provider_is_found_by_the_beginning_that_no_other_has() -> None:
    rows = [PROVIDERS["openai"], PROVIDERS["openrouter"], PROVIDERS["anthropic"]]
    typed = ("OpenAI", "anth", "ope", "openr", "nobody", "local")
    found = [_find_provider(name, rows) for name in typed]
    prefixes = [None if each is None else each.prefix for each in found]
    assert prefixes == ["openai", "anthropic", None, "openrouter", None, "local"]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://me:hunter2@a.org:81/v1?key=x", "a.org:81"),
        ("token@a.org", "a.org"),
        ("127.0.0.1:11434", "127.0.0.1:11434"),
    ],
)
def test_a_server_is_named_by_its_host_alone(url: str, host: str) -> None:
    assert _host_of(url) == host
