import socket
from collections.abc import Iterator

import pytest

from chatcli.attachments.attachment import read_attachment
from chatcli.attachments.web import fetch
from chatcli.errors import ContextError, NetworkError, UsageError
from tests.attachments.samples import pdf, picture
from tests.fakes.web import FakeWeb


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
    assert fetch(f"{web.url}/moved", allow_private=True) == b"secret"
    web.pages["/moved"] = 302, {"Location": f"http://localhost:{other.url.rsplit(':')[-1]}/secret"}, b""
    with pytest.raises(UsageError, match="private address"):
        fetch(f"{web.url}/moved")
    web.pages["/moved"] = 302, {"Location": "http://[::1]/secret"}, b""
    with pytest.raises(UsageError, match="private address"):
        fetch(f"{web.url}/moved")


def test_a_redirect_that_never_ends_or_leaves_the_web_is_not_followed(web: FakeWeb) -> None:
    web.pages["/loop"] = 302, {"Location": "/loop"}, b""
    web.pages["/file"] = 302, {"Location": "file:///etc/passwd"}, b""
    for path in ("/loop", "/file"):
        with pytest.raises(UsageError):
            fetch(web.url + path)


def test_a_page_has_limits_of_size_and_time(web: FakeWeb) -> None:
    with pytest.raises(ContextError, match="32 MiB"):
        fetch(f"{web.url}/endless")
    with pytest.raises(NetworkError, match=r"within 0\.3 seconds"):
        fetch(f"{web.url}/slow", timeout=0.3)
    assert web.dripped == []


def test_a_missing_page_and_a_failing_server_have_different_errors(web: FakeWeb) -> None:
    web.pages["/down"] = 503, {}, b""
    with pytest.raises(UsageError, match="404"):
        fetch(f"{web.url}/missing")
    with pytest.raises(NetworkError, match="503"):
        fetch(f"{web.url}/down")
    with pytest.raises(UsageError):
        fetch("http://")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(NetworkError):
            fetch(f"http://127.0.0.1:{bound.getsockname()[1]}/")
