"""What Tab offers: nothing that can't be typed as it is, and nothing that changes the terminal."""

from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from chatcli.commands.all import all_commands
from chatcli.config.settings import Settings
from chatcli.repl.completion import LineCompleter, _server_names


def offered(text: str, values: Iterable[tuple[str, str]] = ()) -> dict[str, str]:
    """Return what is offered after `text`, each with what is said about it; `values` are those of /thread."""
    completer = LineCompleter(all_commands(), {"thread": lambda: values})
    found = completer.get_completions(Document(text), CompleteEvent())
    return {each.text: each.display_meta_text for each in found}


def test_a_path_is_offered_as_it_can_be_typed(own_folders: Path) -> None:
    for name in (".hidden", "a b", "c", 'd "e', "f\ng"):
        (own_folders / name).write_text("")
    (own_folders / "h i").mkdir()
    assert list(offered("see @")) == ['"a b"', "c", '"h i/']
    assert list(offered("see @.h")) == [".hidden"]
    assert list(offered('see @"a')) == ['"a b"'.removeprefix('"')]
    assert list(offered('see @"h i/')) == []
    for nowhere in ("@nowhere/", "@~nobody-of-that-name/", "mail@", "/thread a\n"):
        assert offered(nowhere, [("ab", "")]) == {}


def test_a_value_is_offered_if_it_can_be_seen() -> None:
    values = [("abc", "a title\x1b[31m\nof two lines"), ("abd\x1b[8m", ""), ("other", "")]
    assert offered("/thread ab", values) == {"abc": "a title of two lines"}


def test_servers_are_offered_that_may_be_used(own_folders: Path) -> None:
    config = own_folders / "config" / "chatcli" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[mcp.on]\ncommand = "on"\n[mcp.off]\ncommand = "off"\ndisabled = true\n')
    assert list(_server_names(Settings.load(), None)) == ["on"]
    assert list(_server_names(Settings.load({"tools": False}), None)) == []
