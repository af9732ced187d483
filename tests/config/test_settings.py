"""Where the settings of a run come from, what is off unless the user asks for it, and what no repr shows."""

import json
from pathlib import Path
from typing import Any

import pytest

from chatcli import paths
from chatcli.config.secrets import Secret
from chatcli.config.settings import NEVER_OF_A_FOLDER, Settings
from chatcli.config.trust import read_folder, trust
from chatcli.config.values import HeaderTable, ValueTable
from chatcli.errors import UsageError


@pytest.fixture(autouse=True)
def folder(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ACCESSIBLE", raising=False)
    return own_folders


def configure(text: str) -> None:
    paths.private_dir(paths.config_file().parent)
    paths.config_file().write_text(text)


def trust_this_folder() -> None:
    trust(read_folder(Path()))


def test_an_option_goes_before_the_environment_a_trusted_dotenv_and_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[int, str]] = []

    def load(**options: Any) -> None:
        settings = Settings.load(options)
        found.append((settings.max_steps, settings.source("max_steps")))

    load()
    configure("max_steps = 1")
    Path(".env").write_text("CHATCLI_MAX_STEPS=2\n")
    load()
    trust_this_folder()
    load()
    monkeypatch.setenv("CHATCLI_MAX_STEPS", "")
    load()
    monkeypatch.setenv("CHATCLI_MAX_STEPS", "3")
    load()
    load(max_steps=4)
    in_dotenv = (2, ".env")
    assert found == [
        (25, "default"),
        (1, "config file"),
        in_dotenv,
        in_dotenv,
        (3, "environment CHATCLI_MAX_STEPS"),
        (4, "option"),
    ]


def test_what_may_do_harm_is_off_unless_the_user_asks_for_it() -> None:
    settings = Settings.load()
    names = ("yes", "auto", "allow_private_urls", "share_memory", "recall", "tools", "allow", "debug", "auto_compact")
    assert not any(getattr(settings, name) for name in names)
    assert settings.sandbox
    assert settings.tool_mode == "ask"
    assert Settings.load({"auto": True}).tool_mode == "auto"
    assert Settings.load({"auto": True, "yes": True}).tool_mode == "yes"


def test_not_even_a_trusted_dotenv_attaches_asks_or_approves() -> None:
    harmful = {name: f"CHATCLI_{name.upper()}" for name in NEVER_OF_A_FOLDER}
    assert {"yes", "allow", "sandbox", "file"} <= harmful.keys()
    Path(".env").write_text("".join(f"{variable}=1\n" for variable in harmful.values()))
    trust_this_folder()
    settings = Settings.load()
    assert [name for name in harmful if settings.source(name) != "default"] == []


def test_no_repr_shows_what_may_hold_a_key() -> None:
    hidden = ValueTable(token="s3cret")
    settings = Settings(
        store="postgresql://me:s3cret@host/x",
        url="https://s3cret@host",
        header=HeaderTable(authorization=Secret("s3cret")),
        context=hidden,
        configurable=hidden,
        input=hidden,
        openai_api_key=Secret("s3cret"),
        langgraph_api_key=Secret("s3cret"),
    )
    assert "s3cret" not in f"{settings!r} {settings}"
    assert "header" not in repr(settings)


def test_a_project_s_servers_are_used_when_trusted_confined_and_replace_none_of_the_user_s(folder: Path) -> None:
    servers = {name: {"command": "theirs"} for name in ("notes", "more")}
    Path(".mcp.json").write_text(json.dumps({"mcpServers": servers}))
    configure('[mcp.notes]\ncommand = "mine"\n')
    assert list(Settings.load().servers()) == ["notes"]
    trust_this_folder()
    found = Settings.load().servers()
    assert {name: (server.command, server.confined_in) for name, server in found.items()} == {
        "notes": ("mine", ""),
        "more": ("theirs", str(folder.resolve())),
    }
    assert Settings.load({"sandbox": False}).servers()["more"].confined_in == ""


def test_a_dotenv_s_servers_get_no_variable_of_the_user_s(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = json.dumps({"notes": {"command": "x"}})
    Path(".env").write_text(f"CHATCLI_MCP_SERVERS='{servers}'\n")
    trust_this_folder()
    assert Settings.load().servers()["notes"].literal
    monkeypatch.setenv("CHATCLI_MCP_SERVERS", servers)
    assert not Settings.load().servers()["notes"].literal


def test_a_key_that_chatcli_does_not_know_is_refused_with_the_nearest() -> None:
    configure("max_step = 1")
    with pytest.raises(UsageError, match="does not know: max_step") as caught:
        Settings.load()
    assert "Did you mean max_steps?" in caught.value.remedy


@pytest.mark.parametrize(("value", "plain"), [("1", True), ("yes", True), ("", False), ("0", False), ("FALSE", False)])
def test_accessible_asks_for_plain_text(value: str, plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCESSIBLE", value)
    assert Settings.load().plain is plain


def test_a_variable_outranks_the_files_and_equals_none() -> None:
    configure('model = "groq:a"\nbase_url = "https://a.example"\n')
    settings = Settings.load({"model": "groq:b"})
    assert settings.outranks("model", "base_url")
    assert not settings.outranks("base_url", "model")
    assert not Settings.load().outranks("model", "base_url")
