"""`chat config set` and `unset`: what they write, what stays as it was, and what they refuse."""

import copy
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatcli import paths
from chatcli.config.entries import find_entry, find_written, known_keys, written_keys
from chatcli.config.settings import Settings
from chatcli.errors import UsageError

_TOP = [
    "# the first line\n",
    'theme = "dark"  # for the evening\n',
    "theme='light'\n",
    "max_tokens = 1_000\n",
    "  temperature   =   0.5\n",
    "\n\n",
    "quiet = true # hush\n",
    'system = """\nBe brief.\n# no comment\n"""\n',
    'allow = [\n  "read_file", # harmless\n  "run_shell:git log *",\n]\n',
    'aliases.fast = "groq:x"\n',
    'aliases = { fast = "groq:x" }\n',
]
_TABLES = [
    '[aliases]  # short\n# of mine\nfast = "groq:x"\n\n"a.b" = "local"\n',
    '[mcp.files]\ncommand = "npx"  # node\n[mcp.files.env]\nPORT = 1\n',
    '[mcp]\n[mcp.web]\nurl = "http://localhost:1"\n',
    "[context]\n# only a comment\n",
    "[tweak.Model]\ntemperature = 0.2\n# the last line\n",
    '[var]\nlanguage = "French"\n',
]
_NAMES = [
    *("theme", "max_tokens", "temperature", "quiet", "allow", "system", "base_url", "var.language", "context.user"),
    *("aliases", "aliases.fast", "aliases.new", "aliases.a.b", "tweak.Model.temperature", "tweak.New.x"),
    *("mcp.files.command", "mcp.files.env.PORT", "mcp.files.args", "mcp.web.url"),
]
_TEXTS = st.sampled_from(
    [
        "light",
        "0.7",
        "12",
        "true",
        "http://localhost:8000/v1/",
        '["a", "b"]',
        '{"k": "openai:x"}',
        "k=openai:x",
        "[",
        "",
        "#",
    ]
) | st.text(max_size=6)


@pytest.fixture(autouse=True)
def config(own_folders: Path) -> Path:
    """Give the path of a config file that does not exist yet."""
    path = paths.config_file()
    path.parent.mkdir(parents=True)
    return path


def files() -> st.SearchStrategy[str]:
    """Return files in TOML, with comments and tables of every form, and the line ends of any system."""
    top = st.lists(st.sampled_from(_TOP), max_size=5, unique=True).map("".join)
    tables = st.lists(st.sampled_from(_TABLES), max_size=4, unique=True).map("".join)
    whole = st.tuples(top, tables).map("".join).filter(_is_toml)
    ends = st.sampled_from(["\n", "\r\n"])
    changed = st.tuples(whole, ends).map(lambda pair: pair[0].replace("\n", pair[1]))
    return st.tuples(st.sampled_from(["", "\ufeff"]), changed, st.booleans()).map(
        lambda parts: parts[0] + (parts[1].rstrip() if parts[2] else parts[1])
    )


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def content_of(config: Path) -> dict[str, Any]:
    """Return what the file holds."""
    return tomllib.loads(config.read_bytes().decode("utf-8-sig"))


def filled(table: dict[str, Any]) -> dict[str, Any]:
    """Return `table` without empty tables."""
    found = {name: filled(value) if isinstance(value, dict) else value for name, value in table.items()}
    return {name: value for name, value in found.items() if value != {}}


def without(table: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """Return `table` without the entry at `path`."""
    left: Any = copy.deepcopy(table)
    inner = left
    for name in path[:-1]:
        inner = inner.get(name, {})
    inner.pop(path[-1], None)
    return filled(left)


def comments(text: str) -> list[str]:
    """Return the comments of a file of `files`, each at the end of its line."""
    return [line[line.index("#") :].strip() for line in text.splitlines() if "#" in line]


@given(before=files(), name=st.sampled_from(_NAMES), text=_TEXTS)
def test_a_value_is_set_or_refused_and_everything_else_stays(config: Path, before: str, name: str, text: str) -> None:
    config.write_bytes(before.encode())
    try:
        entry, value = find_entry(name).read(text)
        entry.write(value)
    except UsageError:
        assert config.read_bytes().decode() == before
        return
    after = config.read_bytes().decode()
    content, old = content_of(config), tomllib.loads(before.removeprefix("\ufeff"))
    found: Any = content
    for part in entry.path:
        found = found[part]
    assert found == value
    assert without(content, entry.path) == without(old, entry.path)
    assert after.startswith("\ufeff") == before.startswith("\ufeff")
    if "\n" in before:
        assert after.count("\r\n") == (after.count("\n") if "\r\n" in before else 0)
    gone = before if isinstance(found, dict | list | str) and entry.path[0] in old else ""  # with the value they are in
    assert [one for one in comments(before) if one not in comments(after) and one not in gone] == []


@given(before=files(), name=st.sampled_from(_NAMES))
def test_an_entry_is_removed_or_nothing_is(config: Path, before: str, name: str) -> None:
    config.write_bytes(before.encode())
    old = tomllib.loads(before.removeprefix("\ufeff"))
    try:
        find_written(name).remove()
    except UsageError:
        assert config.read_bytes().decode() == before
        return
    assert filled(content_of(config)) == without(old, find_entry(name).path)
    with pytest.raises(UsageError):
        find_written(name).remove()


@given(
    text=st.text(max_size=30)
    | st.sampled_from(['"""', "'''\\", "\\u0000", "\0\x1b[31m", "\r\n", "\x85\u2028", "]\n[x]", "\ud800"])
)
def test_any_text_is_kept_as_it_is_or_refused(config: Path, text: str) -> None:
    config.write_text("# mine\nquiet = true\n")
    try:
        entry, value = find_entry("system").read(text)
        entry.write(value)
    except UsageError:
        assert config.read_text() == "# mine\nquiet = true\n"
        with pytest.raises(UnicodeEncodeError):
            text.encode()
        return
    read = Settings.load()
    assert (read.system, read.quiet) == (text, True)


@given(name=st.text(min_size=1, max_size=8))
def test_any_name_of_an_entry_is_kept_as_it_is_or_refused(config: Path, name: str) -> None:
    config.write_text("")
    try:
        entry, value = find_entry(f"var.{name}").read("x")
        entry.write(value)
    except UsageError:
        assert (name.strip(), config.read_text()) == ("", "")
        return
    assert Settings.load().var == {name: "x"}


def test_every_setting_has_a_key_but_those_that_hold_secrets() -> None:
    assert set(known_keys().values()) == set(Settings.names()) - {"openai_api_key", "langgraph_api_key"}
    assert all(str(find_entry(key)) == key for key in known_keys())


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("quiet", "yes", True),
        ("tools", "0", False),
        ("max_tokens", "400", 400),
        ("temperature", "0", 0.0),
        ("docs", "notes", ["notes"]),
        ("docs", '["a", "b"]', ["a", "b"]),
        ("base_url", "http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("schema", "answer.json", "answer.json"),
        ("aliases.gpt-4.1", "openai:gpt-4.1", "openai:gpt-4.1"),
        ("var.number", "7", "7"),
        ("context.user_id", "7", 7),
        ("context.user", '{"id": 7}', {"id": 7}),
        ("tweak.Open AI.v1.top_k", "2", 2),
        ("tweak", '{"Model": {"top_k": 2}}', {"Model": {"top_k": 2}}),
        ("mcp", '{"web": {"url": "http://localhost:1"}}', {"web": {"url": "http://localhost:1"}}),
        ("mcp.web", '{"url": "http://localhost:1"}', {"url": "http://localhost:1"}),
        ("mcp.web.url", "http://localhost:1", "http://localhost:1"),
    ],
)
def test_a_value_has_the_form_of_the_environment_variable(config: Path, name: str, text: str, value: object) -> None:
    entry, read = find_entry(name).read(text)
    assert read == value
    entry.write(read)
    assert Settings.load().source(entry.setting) == "config file"
    assert next(written_keys()) == entry.path[0]


def test_one_entry_of_a_table_leaves_its_others(config: Path) -> None:
    config.write_text('[aliases]\n# slow but right\nslow = "openai:x"\n')
    entry, value = find_entry("aliases").read("fast=groq:x")
    assert (str(entry), value) == ("aliases.fast", "groq:x")
    entry.write(value)
    assert config.read_text() == '[aliases]\n# slow but right\nslow = "openai:x"\nfast = "groq:x"\n'


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("modle", "Did you mean model?"),
        ("max-tokens", "Did you mean max_tokens?"),
        ("CHATCLI_THEME", "Did you mean theme?"),
        ("", "See `chat help settings`."),
        ("theme.dark", "See `chat help settings`."),
        ("aliases.", "See `chat help settings`."),
        ("mcp..command", "See `chat help settings`."),
        ("openai_api_key", "chat keys set openai"),
        ("ANTHROPIC_API_KEY", "chat keys set anthropic"),
        ("google_api_key", "chat keys set google_genai"),
        ("langgraph_api_key", "Export it as CHATCLI_LANGGRAPH_API_KEY."),
    ],
)
def test_a_key_that_cannot_be_set_is_refused_with_what_to_do(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        find_entry(name)
    assert hint in refused.value.remedy


def test_what_is_set_wrong_is_refused_in_the_words_of_the_config_file(config: Path) -> None:
    config.write_text('theme = "drk"\n')
    with pytest.raises(UsageError) as of_file:
        Settings.load()
    with pytest.raises(UsageError) as of_command:
        find_entry("theme").read("drk")
    assert str(of_command.value) == str(of_file.value)
    assert "`chat config set theme VALUE`" in of_file.value.remedy
    config.write_text('modle = "local"\n')
    with pytest.raises(UsageError, match="does not know: modle") as unknown:
        Settings.load()
    assert unknown.value.remedy == "Did you mean model? Remove it: `chat config unset modle`."


def test_a_key_that_should_not_be_there_can_be_removed(config: Path) -> None:
    config.write_text('modle = "x"\nopenai_api_key = "sk-0123456789abcdef"\n')
    for name in ("modle", "openai_api_key"):
        find_written(name).remove()
    assert config.read_text() == ""
    with pytest.raises(UsageError, match="there is no setting"):
        find_written("modle")


def test_what_another_entry_needs_is_not_removed(config: Path) -> None:
    written = '[mcp.files]\ncommand = "npx"\nargs = ["-y"]\n'
    config.write_text(written)
    with pytest.raises(UsageError, match="either a command or a url"):
        find_written("mcp.files.command").remove()
    assert config.read_text() == written
    find_written("mcp.files").remove()
    assert config.read_text() == ""


@pytest.mark.parametrize("written", ["nonsense\n", "a = 1\na = 2\n", "\xff", "aliases = 3\n"])
def test_a_broken_file_is_not_changed(config: Path, written: str) -> None:
    config.write_bytes(written.encode("latin-1"))
    entry, value = find_entry("aliases.fast").read("groq:x")
    with pytest.raises(UsageError, match="can't be changed"):
        entry.write(value)
    assert config.read_bytes() == written.encode("latin-1")


def test_a_wrong_value_of_another_setting_does_not_keep_one_from_being_set(config: Path) -> None:
    config.write_text('theme = "drk"\nquiet = 7\n')
    entry, value = find_entry("theme").read("dark")
    entry.write(value)
    assert content_of(config) == {"theme": "dark", "quiet": 7}


def test_writers_at_the_same_time_lose_nothing(config: Path) -> None:
    def write(number: int) -> None:
        entry, value = find_entry(f"var.v{number}").read(str(number))
        entry.write(value)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))
    assert Settings.load().var == {f"v{number}": str(number) for number in range(24)}
    assert [path.name for path in config.parent.iterdir()] == [config.name]
