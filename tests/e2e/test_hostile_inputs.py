"""Files and settings that are made to break what reads them: one line and the documented exit code, nothing else."""

import os
import re
from pathlib import Path

import pytest

from tests.attachments.samples import pdf
from tests.e2e.checks import assert_reported
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Calls

DEPTHS = [150, 990, 20_000]


def _lists(depth: int) -> str:
    return "[" * depth + "]" * depth


def _config(chat: Chat, name: str) -> Path:
    path = chat.home.root / ".config" / "chatcli" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _assert_refused(chat: Chat, fake: FakeOpenAI, *args: str, env: dict[str, str] | None = None) -> None:
    result = chat(*args, "hello", env=env)
    assert_reported(result, 2)
    assert len(result.stderr) < 1000
    assert fake.requests == []


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(
    ("variable", "around"),
    [
        ("CHATCLI_FILE", "{}"),
        ("CHATCLI_ALLOW", "{}"),
        ("CHATCLI_ALIASES", '{{"a": {}}}'),
        ("CHATCLI_TWEAK", '{{"a": {{"b": {}}}}}'),
        ("CHATCLI_MCP_SERVERS", '{{"a": {{"args": {}}}}}'),
    ],
)
def test_a_variable_that_is_nested_too_deeply(
    chat: Chat, fake: FakeOpenAI, variable: str, around: str, depth: int
) -> None:
    _assert_refused(chat, fake, env={variable: around.format(_lists(depth))})


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_config_file_that_is_nested_too_deeply(chat: Chat, fake: FakeOpenAI, depth: int) -> None:
    config = _config(chat, "config.toml")
    for text in (f"file = {_lists(depth)}", f"aliases = {{a = {_lists(depth)}}}", f"{'aliases.' * depth}b = 'c'"):
        config.write_text(text)
        _assert_refused(chat, fake)


@pytest.mark.parametrize("depth", DEPTHS)
def test_files_that_are_nested_too_deeply(chat: Chat, fake: FakeOpenAI, depth: int) -> None:
    (chat.home.work / "deep.json").write_text(f'{{"mcpServers": {{"a": {{"args": {_lists(depth)}}}}}}}')
    _assert_refused(chat, fake, "--mcp", "deep.json")
    _assert_refused(chat, fake, "--schema", "deep.json")
    (chat.home.work / "langgraph.json").write_text(f'{{"graphs": {{"a": {_lists(depth)}}}}}')
    _assert_refused(chat, fake, "--graph", "a")
    roles = _config(chat, "roles/deep.toml")
    roles.parent.mkdir(exist_ok=True)
    roles.write_text(f"system = 'x'\nvariables = {_lists(depth)}")
    _assert_refused(chat, fake, "--role", "deep")
    roles.with_suffix(".md").write_text(f"+++\nvariables = {_lists(depth)}\n+++\nx")
    roles.unlink()
    _assert_refused(chat, fake, "--role", "deep")


def test_a_langgraph_json_that_is_no_utf_8(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "langgraph.json").write_bytes(b'{"graphs": {"\xff": "a"}}')
    _assert_refused(chat, fake, "--graph", "a")


@pytest.mark.linux
@pytest.mark.parametrize("option", ["--mcp", "--schema"])
def test_a_file_without_end(chat: Chat, fake: FakeOpenAI, option: str) -> None:
    _assert_refused(chat, fake, option, "/dev/zero")


@pytest.mark.parametrize("name", ["config.toml", "keys.json", "roles/r.toml", "langgraph.json"])
def test_a_pipe_in_place_of_settings_is_refused_and_not_waited_for(chat: Chat, name: str) -> None:
    args = {"roles/r.toml": ["--role", "r", "hello"], "langgraph.json": ["--graph", "a", "hello"]}.get(name, ["hello"])
    os.mkfifo(chat.home.work / name if name == "langgraph.json" else _config(chat, name))
    result = chat(*args)
    assert_reported(result, 2)
    assert "it is a pipe, not a file" in result.stderr


def test_options_that_are_nested_too_deeply(chat: Chat, fake: FakeOpenAI) -> None:
    deep = _lists(20_000)
    for args in (("--tweak", f"a.b={deep}"), ("-v", f"a={deep}"), ("-v", deep), ("--allow", f":{deep}")):
        _assert_refused(chat, fake, *args)
    assert_reported(chat("--thread", "t", "--resume-with", deep), 2)


@pytest.mark.parametrize("depth", [150, 990, 20_000])
def test_a_call_whose_arguments_are_nested_too_deeply_fails_by_itself(chat: Chat, fake: FakeOpenAI, depth: int) -> None:
    fake.script(Calls([("read_file", f'{{"path": {_lists(depth)}}}')]), Answer("done"))
    result = chat("--tools", "--yes", "go")
    assert (result.returncode, result.stdout) == (0, "done\n")
    assert [result[:48] for result in fake.requests[1].results] == ["Not run: the arguments are not a JSON object, or"]


def test_a_damaged_pdf_is_mended_in_silence_or_refused(chat: Chat, fake: FakeOpenAI) -> None:
    whole = pdf("First page")
    (chat.home.work / "a.pdf").write_bytes(re.sub(rb"startxref\s+\d+", b"startxref\n1", whole))
    result = chat("-m", "openai:gpt-fake", "-q", "-f", "a.pdf", "what?")
    assert (result.returncode, result.stderr) == (0, "")
    (chat.home.work / "a.pdf").write_bytes(whole[:200])
    assert_reported(chat("-m", "openai:gpt-fake", "-f", "a.pdf", "what?"), 2)
