"""The pages of the manual, against the program that they describe."""

import re
import runpy
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperOption
from typer.main import get_command

from chatcli import manual
from chatcli.cli.app import app
from chatcli.cli.grammar.group import SUBCOMMANDS
from chatcli.commands.all import all_commands
from chatcli.commands.screen import KEYS
from chatcli.config.providers import PROVIDERS
from chatcli.config.settings import Settings, user_name
from chatcli.errors import ExitCode, UsageError
from chatcli.rendering.markdown.parser import parse

FOLDER = Path(manual.__file__).parent
MANUAL = {topic: manual.read_page(topic) for topic in manual.TOPICS}
ALL = "\n".join(MANUAL.values())
TEXT = ALL.replace(r"\|", "|")


def variables(name: str) -> tuple[str, ...]:
    """Return the environment variables of a setting."""
    one = next(one for one in fields(Settings) if one.name == name)
    names: tuple[str, ...] = one.metadata.get("variables", (f"CHATCLI_{name.upper()}",))
    return names


def options(command: Any) -> Iterator[str]:
    """Yield the options of `command` and of its sub-commands."""
    context = typer.Context(command)
    for one in command.get_params(context):
        if isinstance(one, TyperOption):
            yield from (*one.opts, *one.secondary_opts)
    for inner in getattr(command, "commands", {}).values():
        yield from options(inner)


def stands(word: str) -> bool:
    """Return whether `word` stands on some page, not only as a part of another word."""
    return re.search(rf"(?<![\w/-]){re.escape(word)}(?![\w-])", TEXT) is not None


def test_every_page_is_a_topic() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == set(manual.TOPICS)


@pytest.mark.parametrize("topic", manual.TOPICS)
def test_a_page_has_a_title_and_a_short_description(topic: str) -> None:
    page = MANUAL[topic]
    assert page.startswith("# ")
    assert len(dict(manual.list_topics())[topic].split()) <= 6
    assert "<!--" not in page


@pytest.mark.parametrize(
    "path", [*sorted(FOLDER.glob("*.md")), FOLDER.parents[1] / "README.md"], ids=lambda path: path.stem
)
def test_links_lead_to_files(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        assert "://" in target or (path.parent / target).exists(), target


def test_every_setting_and_key_has_its_line_in_env_example() -> None:
    listed = set(re.findall(r"^(\w+)=$", (FOLDER.parents[1] / ".env.example").read_text(), re.MULTILINE))
    settings = {variables(one)[0] for one in Settings.names() if not one.endswith("_api_key")}
    keys = {provider.key_variables[0] for provider in PROVIDERS.values() if provider.key_variables}
    assert settings | keys <= listed


def test_every_option_stands_in_the_manual() -> None:
    from importlib import import_module

    apps = [app, *(import_module(one.module).app for one in SUBCOMMANDS)]
    assert [name for one in apps for name in options(get_command(one)) if not stands(name)] == []


def test_every_option_and_variable_has_a_line_in_the_table() -> None:
    table = dict(re.findall(r"^\| (`--.*?) \| (`\w+`)? ?\| ", MANUAL["settings"], re.MULTILINE))
    command = get_command(app)
    for one in command.get_params(typer.Context(command)):
        if isinstance(one, TyperOption):
            name = (one.name or "").removesuffix("_")
            [line] = [
                line for line in table if set(re.findall(r"`(-[\w-]+)", line)) >= {*one.opts, *one.secondary_opts}
            ]
            wanted = f"`{variables(name)[0]}`" if name in Settings.names() and name != "resume" else ""
            assert table[line] == wanted, line


def test_every_variable_and_key_stands_in_the_manual() -> None:
    names = [variable for name in Settings.names() for variable in variables(name)]
    names.append("CHATCLI_TRUST")
    names += [
        variable for row in PROVIDERS.values() for variable in (*row.key_variables, *row.url_variables, *row.needs)
    ]
    assert [name for name in names if not stands(name)] == []
    for name in Settings.names():
        key = user_name(name)
        follows = f"CHATCLI_{key.upper()}"  # by the rule of the page
        assert stands(follows) or stands(key), key


def test_every_provider_has_a_line() -> None:
    rows = [row for row in PROVIDERS.values() if row.prefix != "local"]
    for row in rows:
        [line] = [line for line in MANUAL["providers"].splitlines() if f"| `{row.prefix}`" in line]
        extra = f"`{row.extra}`" if row.extra else "in the base"
        assert f"| {extra} |" in line
        assert all(f"`{name}`" in line for name in (*row.other_names, *row.key_variables, *row.needs)), line


def test_every_slash_command_stands_in_the_manual() -> None:
    names = [name for command in all_commands() for name in (command.name, *command.aliases)]
    assert [name for name in names if f"`/{name}" not in MANUAL["conversation"]] == []


def test_every_key_stands_in_the_manual() -> None:
    keys = [key for names, _ in KEYS for key in names.split(", ")]
    rows = [
        cell
        for line in re.findall(r"^\| ([^|]+) \|", MANUAL["conversation"], re.MULTILINE)
        for cell in line.split(", ")
    ]
    assert [key for key in keys if key not in rows] == []


def test_every_exit_code_stands_in_the_manual_and_the_readme() -> None:
    readme = (FOLDER.parents[1] / "README.md").read_text()
    for code in ExitCode:
        assert f"\n| {code.value} | " in MANUAL["scripts"]
        assert re.search(rf"\s{code.value} \w", readme)


def test_every_subcommand_stands_in_the_table() -> None:
    for command in SUBCOMMANDS:
        assert f"\n| `chat {command.name} " in MANUAL["settings"] or f"\n| `chat {command.name}`" in MANUAL["settings"]


def test_the_readme_is_short() -> None:
    assert len((FOLDER.parents[1] / "README.md").read_text().splitlines()) <= 200


def test_every_page_is_read_as_markdown_without_raw_html() -> None:
    for topic, page in MANUAL.items():
        nodes, _ = parse(page, {})
        assert "html_block" not in {node.type for node in nodes}, topic


@pytest.mark.parametrize("topic", manual.TOPICS)
def test_unfolding_changes_line_breaks_in_paragraphs_alone(topic: str) -> None:
    page = MANUAL[topic]
    unfolded = manual.unfold(page)
    assert sorted(unfolded.split()) == sorted(page.split())
    fences = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
    for shown, written in zip(fences.findall(unfolded), fences.findall(page), strict=True):
        assert shown == written or max(map(len, written.splitlines())) > 76
        assert all(len(line) <= 76 for line in shown.splitlines() if re.search(r"\S +# ", line)), shown
    prose = fences.sub("", unfolded)
    assert re.search(r"^[\w`(][^\n]*\n(?!\d+\. )[\w`(]", prose, re.MULTILINE) is None
    items = re.compile(r"^(?:- |\d+\. )", re.MULTILINE)
    assert items.findall(unfolded) == items.findall(page)


def test_on_a_screen_a_comment_is_above_its_line_where_a_line_is_long() -> None:
    short, long = "chat hi      # ask\n", f"  chat {'x' * 70} # {'y' * 9}\n"
    assert manual.unfold(f"```sh\n{short}```\n") == f"```sh\n{short}```\n"
    assert manual.unfold(f"```sh\n{short}{long}a # b # c\n```\n{short}") == (
        f"```sh\n# ask\nchat hi\n  # {'y' * 9}\n  chat {'x' * 70}\n# b # c\na\n```\n{short}"
    )


def test_an_unknown_topic_names_its_nearest() -> None:
    for word, near in (("thread", "threads"), ("keys", "models"), ("postgres", "postgresql"), ("exit", "scripts")):
        with pytest.raises(UsageError) as caught:
            manual.read_page(word)
        assert near in caught.value.remedy
    with pytest.raises(UsageError) as caught:
        manual.read_page("../../nothing")
    assert "troubleshooting" in caught.value.remedy


def test_the_man_page_has_the_options_and_exit_codes() -> None:
    man_page = runpy.run_path(str(Path(__file__).parents[2] / ".ci" / "man_page.py"))["man_page"]
    page = man_page().replace(r"\-", "-")
    for name in options(get_command(app)):
        assert name in page
    assert ".SH EXIT STATUS" in page
    for line in page.splitlines():
        assert not line.startswith("'")
        assert re.match(r"\.(TH|SH|PP|EX|EE|TP|B|br)\b", line) or not line.startswith("."), line
    assert "`" not in page
    assert "**" not in page
