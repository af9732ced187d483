import socket
from collections.abc import Iterator

import httpx2
import pytest

from chatcli.attachments.attachment import read_attachment
from chatcli.attachments.web import RedirectError, _is_same_page, fetch
from chatcli.errors import ContextError, NetworkError, UsageError
from tests.attachments.samples import pdf, picture
from tests.fakes.web import FakeWeb
from tests.waiting import WAIT_SECONDS


@pytest.fixture
def web() -> Iterator[FakeWeb]:
    with FakeWeb() as server:
        yield server


@pytest.fixture
def other() -> Iterator[FakeWeb]:
    with FakeWeb() as server:
        server.pages["/secret"] = 200, {}, b"secret"
        yield server


def test_a_page_is_an_attachment_of_its_kind(web: FakeWeb) -> None:
    web.pages |= {
        "/text": (200, {}, "Grüße".encode()),
        "/cat.png": (200, {}, picture()),
        "/paper": (200, {}, pdf("text")),
        "/moved": (301, {"Location": "/text"}, b""),
    }
    web.pages["/page"] = 200, {}, b"<!doctype html><title>T</title><p>words</p>"
    assert read_attachment(f"{web.url}/page").text == "T\nwords"
    kinds = [read_attachment(web.url + path).kind for path in ("/text", "/cat.png", "/paper")]
    assert kinds == ["text", "image", "pdf"]
    moved = read_attachment(f"{web.url}/moved")
    assert (moved.name, moved.text) == (f"{web.url}/moved", "Grüße")


def test_a_redirect_to_another_private_address_is_not_followed(web: FakeWeb, other: FakeWeb) -> None:
    web.pages["/moved"] = 302, {"Location": f"{other.url}/secret"}, b""
    with pytest.raises(UsageError, match="private address"):
        fetch(f"{web.url}/moved")
    with pytest.raises(UsageError, match="private address"):
        read_attachment(f"{web.url}/moved")
    assert fetch(f"{web.url}/moved", allow_private=True) == b"secret"
    assert read_attachment(f"{web.url}/moved", allow_private=True).text == "secret"
    web.pages["/moved"] = 302, {"Location": f"http://localhost:{other.url.rsplit(':')[-1]}/secret"}, b""
    with pytest.raises(UsageError, match="private address"):
        fetch(f"{web.url}/moved")
    web.pages["/moved"] = 302, {"Location": "http://[::1]/secret"}, b""
    with pytest.raises(UsageError, match="private address"):
        fetch(f"{web.url}/moved")


def port(web: FakeWeb) -> str:
    return web.url.rpartition(":")[2]


def test_the_address_that_was_checked_is_connected_to(web: FakeWeb, other: FakeWeb) -> None:
    web.pages["/page"] = 200, {}, b"words"
    answers = iter([["127.0.0.1"], ["203.0.113.1"]])
    asked: list[tuple[str, int]] = []

    def changing(host: str, number: int) -> list[str]:
        asked.append((host, number))
        return next(answers)

    assert fetch(f"http://pages.example:{port(web)}/page", resolve=changing) == b"words"
    assert asked == [("pages.example", int(port(web)))]
    assert web.hosts == [f"pages.example:{port(web)}"]


def test_another_address_of_a_host_is_tried(web: FakeWeb) -> None:
    web.pages["/page"] = 200, {}, b"words"
    address = f"http://pages.example:{port(web)}/page"
    assert fetch(address, resolve=lambda host, number: ["127.0.0.9", "::1", "127.0.0.1"]) == b"words"
    with pytest.raises(NetworkError):
        fetch(address, resolve=lambda host, number: [])


def test_a_name_may_not_lead_a_model_to_a_private_address(web: FakeWeb) -> None:
    web.pages["/page"] = 200, {}, b"words"
    address = f"http://pages.example:{port(web)}/page"
    for found in (["127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["64:ff9b::7f00:1"], ["::ffff:127.0.0.1"]):
        with pytest.raises(UsageError, match="private address"):
            fetch(address, by_model=True, resolve=lambda host, number, found=found: found)  # type: ignore[misc]
    assert web.hosts == []
    assert fetch(address, by_model=True, allow_private=True, resolve=lambda host, number: ["127.0.0.1"]) == b"words"
    assert fetch(f"{web.url}/page", by_model=True) == b"words"  # everybody sees where that leads
    assert fetch(f"http://localhost:{port(web)}/page", by_model=True, resolve=lambda *_: ["127.0.0.1"]) == b"words"


def test_a_model_is_told_of_a_redirect(web: FakeWeb, other: FakeWeb) -> None:
    web.pages |= {
        "/page/": (200, {}, b"words"),
        "/page": (301, {"Location": "/page/"}, b""),
        "/moved": (301, {"Location": "/page/"}, b""),
        "/asks": (301, {"Location": "/asks/?q=secret"}, b""),
        "/away": (302, {"Location": f"{other.url}/secret"}, b""),
    }
    assert fetch(f"{web.url}/page", by_model=True) == b"words"
    for path, target in (("/moved", f"{web.url}/page/"), ("/asks", f"{web.url}/asks/?q=secret")):
        with pytest.raises(RedirectError) as caught:
            fetch(web.url + path, by_model=True, allow_private=True)
        assert caught.value.target == target
    with pytest.raises(RedirectError):
        fetch(f"{web.url}/away", by_model=True, allow_private=True)
    assert other.hosts == []


@pytest.mark.parametrize(
    ("address", "target", "same"),
    [
        ("http://a.example/b", "http://a.example/b/", True),
        ("http://a.example/b", "https://a.example/b", True),
        ("http://a.example:80/b", "https://a.example:443/b", True),
        ("https://a.example/b", "http://a.example/b", False),
        ("http://a.example/b", "https://a.example:8443/b", False),
        ("http://a.example/b", "http://a.example:81/b", False),
        ("http://a.example/b", "http://www.a.example/b", False),
        ("http://a.example/b", "http://a.example/c", False),
        ("http://a.example/b", "http://a.example/b?c", False),
        ("http://a.example/b?c", "http://a.example/b", False),
        ("http://a.example/b", "http://user@a.example/b", False),
    ],
)
def test_which_redirect_a_model_need_not_see(address: str, target: str, *, same: bool) -> None:
    assert _is_same_page(httpx2.URL(address), httpx2.URL(target)) is same


def test_a_proxy_looks_up_names_itself(web: FakeWeb, monkeypatch: pytest.MonkeyPatch) -> None:
    address = "http://pages.example/page"
    web.pages[address] = 200, {}, b"by proxy"
    monkeypatch.setenv("http_proxy", web.url)

    def unknown(host: str, number: int) -> list[str]:
        raise AssertionError(host)

    assert fetch(address, resolve=unknown) == b"by proxy"
    monkeypatch.setenv("no_proxy", "pages.example")
    with pytest.raises(AssertionError, match=r"pages\.example"):
        fetch(address, resolve=unknown)
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("http_proxy")
    monkeypatch.setenv("all_proxy", web.url)
    assert fetch(address, resolve=unknown) == b"by proxy"
    web.pages["/page"] = 200, {}, b"words"
    assert fetch(f"{web.url}/page") == b"words"


def test_a_redirect_that_never_ends_or_leaves_the_web_is_not_followed(web: FakeWeb) -> None:
    web.pages |= {f"/{number}": (302, {"Location": f"/{number + 1}"}, b"") for number in range(6)}
    web.pages["/6"] = 200, {}, b"words"
    assert fetch(f"{web.url}/1") == b"words"
    with pytest.raises(UsageError, match="redirects more than 5 times"):
        fetch(f"{web.url}/0")
    web.pages["/loop"] = 302, {"Location": "/loop"}, b""
    web.pages["/file"] = 302, {"Location": "file:///etc/passwd"}, b""
    for path in ("/loop", "/file"):
        with pytest.raises(UsageError):
            fetch(web.url + path)


def test_a_page_has_limits_of_size_and_time(web: FakeWeb) -> None:
    with pytest.raises(ContextError, match="32 MiB"):
        fetch(f"{web.url}/endless")
    with pytest.raises(NetworkError, match=r"within 0\.3 seconds"):
        read_attachment(f"{web.url}/slow", timeout=0.3)
    assert web.dripped == []
    asked = len(web.hosts)
    while len(web.hosts) == asked:  # under load, the time may be over before the server is asked
        with pytest.raises(NetworkError, match=r"within 0\.3 seconds"):
            fetch(f"{web.url}/interim", timeout=0.3)
    assert web.left.wait(WAIT_SECONDS)


def test_a_missing_page_and_a_failing_server_have_different_errors(web: FakeWeb) -> None:
    web.pages["/down"] = 503, {}, b""
    with pytest.raises(UsageError, match="404"):
        fetch(f"{web.url}/missing")
    with pytest.raises(NetworkError, match="503"):
        fetch(f"{web.url}/down")
    web.pages["/busy"] = 429, {}, b""
    with pytest.raises(NetworkError, match="429"):
        fetch(f"{web.url}/busy")
    for address in ("http://", "http://[::1", "ftp://127.0.0.1/"):
        with pytest.raises(UsageError, match="not a URL that can be fetched"):
            fetch(address)
    for error in (OSError("unknown"), UnicodeError("label too long")):

        def failing(host: str, number: int, error: Exception = error) -> list[str]:
            raise error

        with pytest.raises(NetworkError, match=f"can't be fetched: {error}"):
            fetch("http://pages.example/", resolve=failing)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(NetworkError):
            fetch(f"http://127.0.0.1:{bound.getsockname()[1]}/")
