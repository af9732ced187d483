"""What a command line asks: read once, whole, and refused before anything is opened or sent."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatcli.cli.run.dispatch import read_request
from chatcli.config.settings import Settings
from chatcli.errors import UsageError
from tests.fakes.web import FakeWeb


@pytest.fixture(autouse=True)
def _folder(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep a script, an empty one and a text in the current folder; let standard input be /dev/null."""
    (own_folders / "questions").write_text("\n  one \n\ntwo\n")
    (own_folders / "empty").write_text(" \n\n")
    (own_folders / "a.txt").write_text("text")
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        yield


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give what lets a text be in the pipe that is standard input."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as stream:
        monkeypatch.setattr(sys, "stdin", stream)

        def write(text: bytes) -> None:
            os.write(writer, text)
            os.close(writer)

        yield write


WAITS = {"resume_with": "yes", "thread": "t"}


@pytest.mark.parametrize(
    ("given", "words", "from_stdin", "problem"),
    [
        ({"file": ["-"], "script": "-"}, [], False, "can be read once only"),
        ({"file": ["-", "-"]}, ["hi"], False, "can be read once only"),
        ({"file": ["-"]}, [], True, "can be read once only"),
        ({"script": "-"}, [], True, "can be read once only"),
        ({"resume_with": "yes"}, [], False, "needs the thread"),
        (WAITS, ["hi"], False, "takes no prompt"),
        (WAITS, [], True, "takes no prompt"),
        ({**WAITS, "script": "questions"}, [], False, "takes no prompt"),
        ({**WAITS, "file": ["a.txt"]}, [], False, "takes no prompt"),
        ({**WAITS, "input": ["a=1"]}, [], False, "takes no prompt"),
        ({"script": "questions"}, ["hi"], False, "exclude each other"),
        ({"script": "questions"}, [], True, "exclude each other"),
        ({"script": "missing"}, [], False, "can't be read: no such file"),
        ({"script": "."}, [], False, "can't be read: is a directory"),
        ({"script": "empty"}, [], False, "holds no question"),
        ({"schema_file": Path("missing")}, [], False, "missing"),
        ({"mcp_file": Path("missing")}, ["hi"], False, "missing"),
        ({"file": ["missing"]}, ["hi"], False, "missing"),
        ({}, [" "], False, "the prompt is empty"),
        ({"file": ["-"]}, [], False, "the prompt is empty"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    given: dict[str, Any], words: list[str], *, from_stdin: bool, problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        read_request(Settings.load(given), words, from_stdin=from_stdin)


def test_an_attached_url_leads_into_this_network_only_if_that_is_allowed() -> None:
    with FakeWeb() as web, FakeWeb() as other:
        web.pages["/moved"] = 302, {"Location": f"{other.url}/secret"}, b""
        other.pages["/secret"] = 200, {}, b"secret"
        given = {"file": [f"{web.url}/moved"]}
        with pytest.raises(UsageError, match="private address"):
            read_request(Settings.load(given), ["hi"])
        [read] = read_request(Settings.load({**given, "allow_private_urls": True}), ["hi"]).attachments
    assert read.text == "secret"


def test_a_script_has_its_lines_by_number_its_files_and_its_schema() -> None:
    Path("schema").write_text('{"title": "Answer", "type": "object", "properties": {}}')
    given = {"script": "questions", "file": ["a.txt"], "schema_file": Path("schema")}
    request = read_request(Settings.load(given), [])
    assert request.schema is not None
    assert request.script == ((2, "one"), (4, "two"))
    assert [each.name for each in request.attachments] == ["a.txt"]
    assert request.asks


@pytest.mark.parametrize("quiet", [False, True])
def test_what_may_be_a_mistake_is_said_unless_quiet(
    piped: Any, capsys: pytest.CaptureFixture[str], *, quiet: bool
) -> None:
    piped(b"")
    Path("latin.txt").write_bytes("caf\u00e9".encode("latin-1") * 20)
    settings = Settings.load({"quiet": quiet, "file": ["latin.txt"]})
    assert read_request(settings, ["see", "@a.txt"]).prompt == "see @a.txt"
    notes = [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert notes == ([] if quiet else ["note", "note", "warning"])


def test_an_input_that_is_no_pipe_may_be_empty(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_request(Settings.load({}), ["hi"]).prompt == "hi"
    assert capsys.readouterr().err == ""


def test_a_pipe_is_read_once(piped: Any, capsys: pytest.CaptureFixture[str]) -> None:
    piped(b"of the pipe")
    request = read_request(Settings.load({"file": ["-"]}), ["hi"])
    assert request.prompt == "hi"
    assert [each.text for each in request.attachments] == ["of the pipe"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("quiet", [False, True])
def test_bytes_that_are_no_text_are_counted(piped: Any, capsys: pytest.CaptureFixture[str], *, quiet: bool) -> None:
    piped(b"\xff \xef\xbf\xbd\xfe")  # a replacement character is in it as well
    assert read_request(Settings.load({"quiet": quiet}), []).prompt == "\ufffd \ufffd\ufffd"
    lost = "warning: the input is not all UTF-8; 2 bytes were replaced\n"
    assert capsys.readouterr().err == ("" if quiet else lost)


def test_a_resource_is_mentioned_where_its_server_may_be_used(own_folders: Path) -> None:
    config = own_folders / "config" / "chatcli" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[mcp.on]\ncommand = "on"\n[mcp.off]\ncommand = "off"\ndisabled = true\n')
    words = ["compare", "@on:note://a", "@off:note://a"]
    assert read_request(Settings.load({}), words).resources == (("on", "note://a"),)
    assert read_request(Settings.load({"tools": False}), words).resources == ()
