"""Roles: their files, and what of a role, a thread, the options and the environment counts when a thread opens."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatcli.config.settings import Settings
from chatcli.errors import UsageError
from chatcli.roles import (
    MAX_NAME,
    SHIPPED,
    Role,
    Setup,
    find_role,
    opening_model,
    opening_setup,
    own_file,
    read_role,
    role_files,
    roles_folder,
    switched_model,
)

pytestmark = pytest.mark.usefixtures("own_folders")


def write(name: str, text: str | bytes) -> Path:
    path = roles_folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("a.md", "Be {how}, {who} and {how}. {{x}}", ("Be {how}, {who} and {how}. {{x}}", ("how", "who"), {}, None)),
        ("a.md", "+++\r\nmodel = 'openai:x'\r\n+++\r\n\r\nBe brief.\r\n", ("Be brief.", (), {}, "openai:x")),
        ("a.md", b"\xef\xbb\xbf+++\n[variables]\nhow = 1\n+++\nBe {how}.", ("Be {how}.", ("how",), {"how": "1"}, None)),
        ("a.md", "A line of\n+++\nis text.", ("A line of\n+++\nis text.", (), {}, None)),
        ("a.toml", "system = 'Be brief.'\ntemperature = 0", ("Be brief.", (), {}, None)),
    ],
)
def test_a_role_file_is_read(name: str, text: str | bytes, read: tuple[object, ...]) -> None:
    role = read_role(write(name, text))
    assert (role.template, role.variables, role.defaults, role.model) == read
    assert role.temperature == (0 if name == "a.toml" else None)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.md", "+++\nmodel = 'x'\n", "a second line of"),
        ("a.md", " \n", "no system prompt"),
        ("a.toml", "system = ' '", "no system prompt"),
        ("a.toml", "system = 1", "no system prompt"),
        ("a.toml", "system = 'x'\ncolour = 1", "unknown key colour; known: description, model"),
        ("a.toml", "system = 'x'\n[variables]\nhow = 'y'", "the variable how has a default, but is not used"),
        ("a.toml", "system = 'x'\nvariables = 'y'", "must be a table"),
        ("a.toml", "system = 'x'\nmodel = 1", "`model` must be a string"),
        ("a.toml", "system = 'x'\ntemperature = true", "`temperature` a number"),
        ("a.toml", "system = 'x'\ntemperature = -1", "-1"),
        ("a.toml", "system = '{messages}'", "{messages} is not a variable"),
        ("a.toml", "system = '{a.b}'", "{a.b} is not a variable"),
        ("a.toml", "system = '{0}'", "{0} is not a variable"),
        ("a.toml", "system = '{a:>9}'", "{a...} is not a variable"),
        ("a.toml", "system = '{a!r}'", "{a...} is not a variable"),
        ("a.toml", "system = '{a'", "write braces that are text"),
        ("a.toml", "system = ", "can't be used"),
        ("a.toml", b"system = '\xff'", "utf-8"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(name: str, text: str | bytes, told: str) -> None:
    with pytest.raises(UsageError) as error:
        read_role(write(name, text))
    assert told in error.value.message


def test_a_file_that_can_not_be_read_is_a_wrong_use() -> None:
    with pytest.raises(UsageError, match="can't be used"):
        read_role(roles_folder() / "missing.md")


def test_the_user_s_own_role_replaces_the_shipped_one_and_capitals_do_not_matter() -> None:
    shipped = find_role("pirate")
    assert (shipped.shipped, own_file("pirate")) == (True, roles_folder() / "pirate.toml")
    path = write("Pirate.md", "Mine.")
    write("notes.txt", "no role")
    assert (role_files()["pirate"], own_file(" PIRATE "), find_role(" pirate ").template) == (path, path, "Mine.")
    assert not find_role("Pirate").shipped
    assert "notes" not in role_files()
    assert list(role_files()) == sorted(role_files())
    assert all(path.parent in (SHIPPED, roles_folder()) for path in role_files().values())
    with pytest.raises(UsageError, match="there is no role 'pirat'") as error:
        find_role("pirat")
    assert error.value.remedy == "Did you mean pirate? See `chat roles list`."


@pytest.mark.parametrize("name", ["", " ", "../a", "a/b", "a.b", "a b", "x" * (MAX_NAME + 1), ".."])
def test_no_name_of_a_role_leads_out_of_its_folder(name: str) -> None:
    with pytest.raises(UsageError, match="not a valid role name"):
        own_file(name)
    assert own_file("x" * MAX_NAME).parent == roles_folder()


def test_every_variable_has_a_value_and_every_value_a_variable() -> None:
    role = Role("greeter", "Greet {name} {how}.", defaults={"how": "kindly"})
    assert role.fill({"name": "Bob"}) == {"name": "Bob", "how": "kindly"}
    assert role.fill({"name": "Bob", "how": "loud"}) == {"name": "Bob", "how": "loud"}
    with pytest.raises(UsageError, match="has no variable nam, x") as error:
        role.fill({"x": "1", "nam": "2"})
    assert error.value.remedy == "Its variables: name, how."
    with pytest.raises(UsageError, match="needs a value for name"):
        role.fill({})


BRIEF = Role("brief", "Be {how}.", defaults={"how": "brief"}, temperature=0.5)
COOL = Role("cool", "Be cool.", model="openai:cool")
THREAD = Setup(model="openai:old", base_url="http://server/v1")


def test_a_role_and_a_text_replace_each_other_whole() -> None:
    brief = THREAD.with_system("Text.").with_role(BRIEF, {})
    assert brief == replace(
        THREAD, role="brief", template="Be {how}.", variables={"how": "brief"}, temperature=0.5
    )  # its model, and so the model's server, stay
    cool = brief.with_role(COOL, {})
    assert cool == Setup(role="cool", template="Be cool.", model="openai:cool")  # at its provider's own server
    assert brief.with_system("Text.") == replace(THREAD, system="Text.")
    assert brief.with_variables({"how": "loud"}).variables == {"how": "loud"}
    assert brief.with_variables({}).variables == {"how": "brief"}  # as the thread had it
    with pytest.raises(UsageError, match="this thread has none"):
        THREAD.with_system("Be {how}.").with_variables({"how": "loud"})


def opened(options: dict[str, Any], stored: Setup | None, *, first: bool = True) -> tuple[str, str, dict[str, str]]:
    setup = opening_setup(Settings.load(options), stored, first=first)
    return setup.system, setup.role, dict(setup.variables)


STORED = Setup(role="brief", template="Be {how}.", variables={"how": "brief"})


@pytest.mark.parametrize(
    ("options", "environment", "stored", "first", "setup"),
    [
        ({}, {}, None, True, ("", "", {})),
        ({"system": "Text."}, {}, None, True, ("Text.", "", {})),
        ({"system": ""}, {}, Setup(system="Old."), True, ("", "", {})),
        ({"role": "own"}, {}, None, True, ("", "own", {"how": "shy"})),
        ({"role": "own"}, {"SYSTEM": "Text."}, None, True, ("", "own", {"how": "shy"})),
        ({"system": "Text."}, {"ROLE": "own"}, None, True, ("Text.", "", {})),
        ({}, {"ROLE": "own", "VAR": "how=loud"}, None, True, ("", "own", {"how": "loud"})),
        ({}, {"ROLE": "own", "VAR": "who=x"}, None, True, ("", "own", {"how": "shy"})),  # for another role
        ({"var": {"how": "loud"}}, {"ROLE": "own"}, None, True, ("", "own", {"how": "loud"})),
        # A thread stays what it is, but for the options of a start with it.
        ({}, {"ROLE": "own"}, STORED, True, ("", "brief", {"how": "brief"})),
        ({}, {"SYSTEM": "Text."}, STORED, True, ("", "brief", {"how": "brief"})),
        ({}, {"VAR": "how=loud"}, STORED, True, ("", "brief", {"how": "brief"})),
        ({"role": "own"}, {}, STORED, True, ("", "own", {"how": "shy"})),
        ({"system": "Text."}, {}, STORED, True, ("Text.", "", {})),
        ({"var": {"how": "loud"}}, {}, STORED, True, ("", "brief", {"how": "loud"})),
        ({"role": "own"}, {}, STORED, False, ("", "brief", {"how": "brief"})),
        ({"system": "Text."}, {}, STORED, False, ("", "brief", {"how": "brief"})),
        ({"var": {"how": "loud"}}, {}, STORED, False, ("", "brief", {"how": "brief"})),
        ({"role": "own"}, {}, None, False, ("", "own", {"how": "shy"})),
    ],
)
def test_what_a_thread_opens_with(
    options: dict[str, Any],
    environment: dict[str, str],
    stored: Setup | None,
    setup: tuple[str, str, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    *,
    first: bool,
) -> None:
    write("own.toml", 'system = "Be {how}."\nvariables = {how = "shy"}')
    for name, value in environment.items():
        monkeypatch.setenv(f"CHATCLI_{name}", value)
    assert opened(options, stored, first=first) == setup


@pytest.mark.parametrize("options", [{"var": {"how": "loud"}}, {"role": "own", "var": {"who": "x"}}])
def test_an_option_for_a_variable_that_is_not_there_is_refused(options: dict[str, Any]) -> None:
    write("own.toml", 'system = "Be {how}."\nvariables = {how = "shy"}')
    with pytest.raises(UsageError):
        opened(options, None)


def test_a_new_role_of_an_option_leaves_the_thread_its_model() -> None:
    setup = opening_setup(Settings.load({"system": "Text."}), THREAD, first=True)
    assert (setup.model, setup.base_url) == ("openai:old", "http://server/v1")


HERE, THERE = "http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"
AT_HERE = Setup(model="openai:old", base_url=HERE)


@pytest.mark.parametrize(
    ("options", "setup", "first", "model"),
    [
        ({}, Setup(model="openai:old"), True, ("openai:old", "")),
        ({}, AT_HERE, True, ("openai:old", HERE)),
        ({"model": "openai:new"}, Setup(model="openai:old"), True, ("openai:new", "")),
        ({"model": "openai:new"}, Setup(model="openai:old"), False, ("openai:old", "")),
        ({"model": "new"}, AT_HERE, True, ("openai:new", HERE)),
        ({"model": "openai:old"}, AT_HERE, True, ("openai:old", HERE)),
        ({"model": "anthropic:claude"}, AT_HERE, True, ("anthropic:claude", "")),
        ({"base_url": HERE}, AT_HERE, True, ("openai:old", "")),
        ({"base_url": THERE, "model": "new"}, AT_HERE, True, ("openai:new", "")),
        ({"base_url": THERE}, AT_HERE, False, ("openai:old", HERE)),
    ],
)
def test_which_model_a_thread_begins_with(
    options: dict[str, Any], setup: Setup, model: tuple[str, str], *, first: bool
) -> None:
    name = opening_model(Settings.load(options), setup, first=first)
    assert (str(name), name.base_url or "") == model


def test_a_server_of_an_option_is_asked_for_its_own_model() -> None:
    name = opening_model(Settings.load({"base_url": THERE}), AT_HERE)
    assert str(name) == "openai"  # not the model of the thread's server


def test_a_name_is_looked_up_at_the_thread_s_server_unless_it_names_its_provider() -> None:
    settings = replace(Settings.load(), aliases={"fast": "openai:new", "same": "openai:old"})
    for text, model in (
        ("new", ("openai:new", HERE)),
        ("qwen2.5:0.5b", ("openai:qwen2.5:0.5b", HERE)),
        ("openai:old", ("openai:old", HERE)),
        ("same", ("openai:old", HERE)),
        ("openai:new", ("openai:new", "")),
        ("fast", ("openai:new", "")),
    ):
        name = switched_model(text, settings, AT_HERE, first=True)
        assert (str(name), name.base_url or "") == model
