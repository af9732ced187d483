"""`chat mcp login`: OAuth with a real server, tokens that expire or are refused, and `chat mcp logout`."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.conftest import Served
from tests.e2e.checks import assert_reported
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, call


@pytest.fixture
def notes(chat: Chat, served: Served) -> Path:
    """Add the server `web`, which wants a login; give the folder of its notes."""
    url, _, notes = served("oauth")
    assert chat("mcp", "add", "web", url).returncode == 0
    return notes


def address_in(screen: str) -> str:
    """Return the address that the user should open; the terminal breaks it over lines."""
    text = screen.partition("log in to web:")[2].partition("Waiting for")[0]
    return re.sub(r"\s", "", text)


def log_in(terminal: OpenTerminal) -> None:
    """Log in to `web` as a browser does."""
    opened = terminal("mcp", "login", "web")
    opened.wait_for("Waiting for the browser")
    page = httpx.get(address_in(opened.text()), follow_redirects=True)
    assert "You can close this page" in page.text
    assert opened.exit_code() == 0
    assert "logged in to the MCP server web" in opened.text()


def kept(home: Home) -> tuple[Path, str, dict[str, Any]]:
    """Return the file of keys, the name of the one entry, and what it holds."""
    path = Path(home.env["XDG_CONFIG_HOME"]) / "chatcli" / "keys.json"
    [(name, text)] = json.loads(path.read_text()).items()
    return path, name, json.loads(text)


def adds(chat: Chat, fake: FakeOpenAI) -> None:
    """Have the model call a tool of `web`."""
    fake.script(call("add", a=1, b=2), Answer("3"))
    done = chat("how much is 1 + 2?")
    assert (done.stdout, done.stderr) == ("3\n", "add(a=1, b=2) → 3\n"), done
    assert fake.requests[-1].results == ["3"]


def test_a_login_is_kept_refreshed_and_ended(
    chat: Chat, home: Home, terminal: OpenTerminal, fake: FakeOpenAI, notes: Path
) -> None:
    refused = chat("hello")
    assert "the MCP server web is left out: the server answered 401 Unauthorized. Log in: chat mcp login web" in (
        refused.stderr
    )
    assert not (notes / "registered").exists()  # nothing is asked of a server that the user has not logged in to
    log_in(terminal)
    assert (notes / "registered").read_text() == "chat\n"
    path, name, first = kept(home)
    assert path.stat().st_mode & 0o777 == 0o600
    adds(chat, fake)
    assert kept(home)[2] == first

    path.write_text(json.dumps({name: json.dumps({**first, "expires_at": 1})}))
    adds(chat, fake)
    assert (notes / "refreshed").read_text().split() == [first["tokens"]["refresh_token"]]
    second = kept(home)[2]
    assert second["tokens"]["access_token"] != first["tokens"]["access_token"]

    (notes / "revoked").write_text(second["tokens"]["access_token"])  # it seems valid until the server refuses it
    adds(chat, fake)
    assert kept(home)[2]["tokens"]["access_token"] != second["tokens"]["access_token"]

    # The refresh token was used by somebody else, and the access token is over.
    path.write_text(json.dumps({name: json.dumps({**first, "expires_at": 1})}))
    failed = chat("hello")
    assert "web is left out: " in failed.stderr
    assert "Log in: chat mcp login web" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert first["tokens"]["refresh_token"] not in failed.stderr

    assert chat("mcp", "logout", "web").returncode == 0
    assert json.loads(path.read_text()) == {}
    assert_reported(chat("mcp", "logout", "web"), 2)


def test_a_client_that_the_user_registered_is_used(
    chat: Chat, home: Home, terminal: OpenTerminal, fake: FakeOpenAI, served: Served
) -> None:
    url, _, notes = served("oauth")
    assert chat("mcp", "add", "web", url).returncode == 0
    config = Path(home.env["XDG_CONFIG_HOME"]) / "chatcli" / "config.toml"
    config.write_text(f'{config.read_text()}client_id = "by-hand"\nclient_secret = "${{WEB_SECRET}}"\n')
    home.env["WEB_SECRET"] = "given-by-hand"
    assert "given-by-hand" not in chat("mcp", "list", "--json").stdout
    log_in(terminal)
    assert not (notes / "registered").exists()
    adds(chat, fake)
    path, name, first = kept(home)
    path.write_text(json.dumps({name: json.dumps({**first, "expires_at": 1})}))
    adds(chat, fake)
    assert (notes / "refreshed").read_text().split() == [first["tokens"]["refresh_token"]]


def test_the_address_that_the_browser_ends_at_can_be_pasted(
    terminal: OpenTerminal, chat: Chat, fake: FakeOpenAI, notes: Path
) -> None:
    opened = terminal("mcp", "login", "web")
    opened.wait_for("Waiting for the browser")
    ended = httpx.get(address_in(opened.text())).headers["location"]
    opened.send_line("http://127.0.0.1/callback?code=x&state=of-somebody-else")  # is ignored
    opened.send_line(ended)
    assert opened.exit_code() == 0
    adds(chat, fake)


def test_a_page_without_the_state_ends_no_login_and_a_refusal_does(terminal: OpenTerminal, notes: Path) -> None:
    opened = terminal("mcp", "login", "web")
    opened.wait_for("Waiting for the browser")
    values = parse_qs(urlsplit(address_in(opened.text())).query)
    [redirect], [state] = values["redirect_uri"], values["state"]
    assert values["code_challenge_method"] == ["S256"]
    assert httpx.get(redirect, params={"code": "x", "state": "wrong"}).status_code == 400
    assert httpx.get(redirect, params={"error": "access_denied", "state": state}).status_code == 200
    assert opened.exit_code() == 3
    assert "the server refused: access_denied" in opened.text()


def test_what_takes_no_login_says_so(chat: Chat, url: str) -> None:
    assert chat("mcp", "add", "open", url).returncode == 0
    assert chat("mcp", "add", "here", "--", "cat").returncode == 0
    for name, problem in (
        ("open", "asks for no login"),
        ("here", "takes no login"),
        ("none", "there is no MCP server"),
    ):
        refused = chat("mcp", "login", name)
        assert_reported(refused, 2)
        assert problem in refused.stderr
