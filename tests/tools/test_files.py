import asyncio
import os
import socket
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatcli.config.secret_files import is_secret_path
from chatcli.tools.files import MAX_ENTRIES, MAX_TEXT, file_tools
from chatcli.tools.tool import Tool


@cache
def tools(root: Path, seconds: float = 5) -> dict[str, Tool]:
    """Return the tools on `root` by their names; to make them takes longer than to run them."""
    return {each.name: each for each in file_tools(root, seconds)}


def asks(root: Path, tool: str, path: str) -> bool:
    return tools(root)[tool].asks({"path": path})


def run(root: Path, tool: str, seconds: float = 5, **arguments: object) -> str:
    wanted = {"name": tool, "args": arguments, "id": "1", "type": "tool_call"}
    return str(asyncio.run(tools(root, seconds)[tool].runnable.ainvoke(wanted)).content)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside.txt").write_text("needle")
    root = tmp_path / "root"
    (root / "src" / ".hidden").mkdir(parents=True)
    (root / "src" / "main.py").write_text("first\nneedle in line 2\n")
    (root / "src" / ".hidden" / "x.py").write_text("needle")
    (root / ".env").write_text("needle")
    (root / "link").symlink_to(tmp_path / "outside.txt")
    (root / "away").symlink_to(tmp_path)
    (root / "image").write_bytes(b"\0needle")
    return root


def test_files_are_listed(root: Path) -> None:
    assert run(root, "list_files", path="src") == "src/.hidden/\nsrc/main.py"
    assert run(root, "list_files", recursive=True).splitlines() == [
        *("away/", "src/", ".env", "image", "link"),
        *("src/.hidden/", "src/main.py"),
    ]


def test_only_the_first_of_many_entries_are_listed(tmp_path: Path) -> None:
    for number in range(MAX_ENTRIES + 1):
        (tmp_path / f"{number:04}").touch()
    listed = run(tmp_path, "list_files").splitlines()
    assert listed[-2:] == [f"{MAX_ENTRIES - 1:04}", f"[only the first {MAX_ENTRIES} are shown]"]
    assert len(listed) == MAX_ENTRIES + 1


def test_an_editor_gives_what_is_not_saved_yet(root: Path) -> None:
    class Editor:
        can_write = False

        def read(self, path: Path) -> str | None:
            return "unsaved" if path == root / "src" / "main.py" else None

        def write(self, path: Path, text: str) -> bool:
            return False

    read = file_tools(root, 5, Editor())[0].runnable
    assert asyncio.run(read.ainvoke({"path": "src/main.py"})) == "unsaved"
    assert asyncio.run(read.ainvoke({"path": ".env"})) == "needle"


@pytest.mark.parametrize("path", ["..", "/", "away", "link", "away/outside.txt", "src/../../outside.txt"])
def test_nothing_outside_is_read(root: Path, path: str) -> None:
    assert "outside of the current folder" in run(root, "read_file", path=path)
    assert "outside of the current folder" in run(root, "list_files", path=path)
    assert "outside of the current folder" in run(root, "search_files", path=path, pattern="needle")


def test_hidden_secret_and_linked_files_are_not_searched(root: Path) -> None:
    assert run(root, "search_files", pattern="ne+dle") == "src/main.py:2: needle in line 2\n"
    assert run(root, "search_files", pattern="needle", names="*.txt") == "no matches\n"
    assert "unterminated" in run(root, "search_files", pattern="(")


def test_a_pattern_that_never_ends_is_given_up(root: Path) -> None:
    (root / "as").write_text("a" * 40 + "b")
    assert "longer than 0.5 seconds" in run(root, "search_files", seconds=0.5, pattern="(a+)+$")


def test_long_files_are_read_in_parts(root: Path) -> None:
    (root / "long").write_text("".join(f"line {number}\n" for number in range(1, 10_001)))
    assert "[cut in line" in run(root, "read_file", path="long")
    assert run(root, "read_file", path="long", first_line=9_999) == "line 9999\nline 10000\n"
    for more, note in ((0, ""), (1, "\n[cut in line 1; the file goes on]")):
        (root / "long").write_text("x" * (MAX_TEXT + more))
        assert run(root, "read_file", path="long") == f"{'x' * MAX_TEXT}{note}"
    assert "is not text" in run(root, "read_file", path="image")
    assert "is a folder" in run(root, "read_file", path="src")


SECRETS = (
    *("Credentials.json", "ID_RSA", ".PGPASS", ".my.cnf", ".netrc", ".vault-token", ".bash_history", "psql_HISTORY"),
    *("prod.env", "my.key", "KEY.PEM", "store.p12", "x.jks", "vault.kdbx", "id_ed25519_work", "Service-Account-7.json"),
    *("secrets.yaml", ".npmrc", ".pypirc", "key.pem.", "key.pem ", "key.pem~", ".id_rsa.swp", "id_rsa.pub.bak"),
    *(
        "token.txt",
        "api_key.txt",
        "OpenAI-API-Keys.json",
        "private_key_2",
        "Cookies.sqlite",
        "github-recovery-codes.md",
    ),
    *("access_token", "Login Data-journal", "key4.db", "terraform.tfstate.backup", ".git-credentials", "gcloud"),
    *("\uff49\uff44_rsa", "\u017fecrets.toml", "my.\u212aey", "id\u200b_rsa", "server.key.old.1"),
)


@pytest.mark.parametrize("name", SECRETS)
def test_a_file_or_folder_with_a_secret_name_is_read_by_no_tool_unasked(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / name).write_text("needle")
    (tmp_path / "folder" / name).mkdir(parents=True)
    (tmp_path / "folder" / name / "x").write_text("needle")
    assert run(tmp_path, "search_files", pattern="needle") == "no matches\n"
    assert f"{name}/x" not in run(tmp_path, "list_files", recursive=True)
    for path in (f"file/{name}", f"folder/{name}/x", f"folder/../file/{name}", f"./file//{name}"):
        assert asks(tmp_path, "read_file", path)
    assert asks(tmp_path, "search_files", f"folder/{name}")
    assert asks(tmp_path, "list_files", f"folder/{name}")
    # What is approved is done.
    assert run(tmp_path, "read_file", path=f"file/{name}") == "needle"
    assert "needle" in run(tmp_path, "search_files", path=f"folder/{name}", pattern="needle")


def test_a_link_is_no_way_round_a_secret_name(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("needle")
    (tmp_path / "keys.d").mkdir()
    (tmp_path / "keys.d" / "x").write_text("needle")
    (tmp_path / ".env").symlink_to("data")
    (tmp_path / "innocent").symlink_to(".env")
    (tmp_path / ".ssh").symlink_to("keys.d")
    (tmp_path / "docs").symlink_to(tmp_path / ".ssh")
    for path in (".env", "innocent", ".ssh/x", "docs/x", "docs/../innocent"):
        assert asks(tmp_path, "read_file", path), path
    assert not asks(tmp_path, "read_file", "data")
    (tmp_path / ".config" / "app").mkdir(parents=True)
    assert asks(tmp_path, "read_file", ".config/app.json")
    assert asks(tmp_path, "search_files", ".config/app")
    assert not asks(tmp_path, "list_files", ".config/app")
    assert asks(tmp_path, "list_files", "docs")
    private = tmp_path / ".aws" / "cli"
    private.mkdir(parents=True)
    assert asks(private, "read_file", "config")


def test_ordinary_names_are_read_unasked(tmp_path: Path) -> None:
    code = ("src/history.py", "token.py", "api_keys.py", "cookies.ts", "tokens.css", "secret_manager.py", "wallet.rb")
    for path in ("notes.md", "keyboard.py", "environment.yml", "monkey", ".gitignore", "tokenizer.json", *code):
        assert not asks(tmp_path, "read_file", path), path
        assert not asks(tmp_path, "list_files", path), path


@pytest.mark.parametrize("tool", ["read_file", "list_files", "search_files"])
@pytest.mark.parametrize("path", ["a\0b", "a" * 5000, "a/" * 2500, "\ud800", "/" * 5000])
def test_a_path_that_can_be_none_is_refused_unasked(root: Path, tool: str, path: str) -> None:
    more: dict[str, Any] = {"pattern": "x"} if tool == "search_files" else {}
    assert not asks(root, tool, path)
    answer = run(root, tool, path=path, **more)
    assert "can't be read" in answer or "outside" in answer or "is not a folder" in answer
    assert len(answer) < 500


def test_pipes_sockets_and_devices_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # the path of a socket may have some 100 bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        (tmp_path / "text").write_text("needle")
        assert run(tmp_path, "search_files", pattern="needle") == "text:1: needle\n"
        for special in ("pipe", "socket"):
            assert run(tmp_path, "read_file", path=special) == f"{special} is not a regular file"
    assert run(Path("/dev"), "read_file", path="zero") == "zero is not a regular file"


def test_a_line_as_long_as_the_file_is_cut(tmp_path: Path) -> None:
    (tmp_path / "long").write_text("x" * 100_000 + "\nlast")
    assert run(tmp_path, "read_file", path="long") == "x" * 30_000 + "\n[cut in line 1; the file goes on]"
    assert run(tmp_path, "read_file", path="long", first_line=2) == "last"


def test_a_template_of_an_env_file_is_no_secret() -> None:
    assert not any(is_secret_path([f".env.{kind}"]) for kind in ("example", "sample", "template", "dist"))
    assert all(is_secret_path([f".env.{kind}"]) for kind in ("local", "production", "examples"))


@given(st.text(min_size=1, max_size=8), st.sampled_from([".env", "id_rsa", "my.key", "x_history", ".ssh"]), st.data())
def test_a_secret_name_is_found_whatever_its_case_and_whatever_stands_around_it(
    other: str, name: str, data: st.DataObject
) -> None:
    spelt = "".join(data.draw(st.sampled_from([letter, letter.upper()])) for letter in name)
    end = data.draw(st.sampled_from(["", ".", " ", "~", ".bak", ".. "]))
    assert is_secret_path([other, f"{spelt}{end}", other])
    is_secret_path([other])  # no text is too much for it
