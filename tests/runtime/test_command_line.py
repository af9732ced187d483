"""The grammar that is known before Typer is imported, against Typer's own."""

import functools
import random
from types import ModuleType

import pytest
import typer
from typer.core import TyperOption
from typer.main import get_command

from chatcli.cli.app import app, given_settings, read_command_line
from chatcli.cli.grammar.group import SUBCOMMAND, WrongArguments
from chatcli.cli.grammar.group import SUBCOMMANDS as COMMANDS
from chatcli.cli.subcommands import acp, mcp
from chatcli.config.settings import Settings
from chatcli.helper import eligible as asking
from chatcli.runtime.options import (
    ESCAPED,
    OPTIONS,
    SCOPES,
    SUBCOMMANDS,
    VALUED,
    WORD,
    Option,
    near_subcommand,
    read_plain,
    scoped,
    split,
)
from chatcli.runtime.signals import wanted_format


def options(*, flags: bool) -> list[TyperOption]:
    command = get_command(app)
    found = [one for one in command.get_params(typer.Context(command)) if isinstance(one, TyperOption)]
    return [one for one in found if bool(one.is_flag or one.count) == flags]


def test_the_copy_is_the_grammar() -> None:
    assert set(SUBCOMMANDS) == {command.name for command in COMMANDS}
    assert {name for one in options(flags=False) for name in one.opts} == VALUED
    flags = {name for one in options(flags=True) for name in (*one.opts, *one.secondary_opts)}
    assert flags | {"-h", "--help"} >= asking._ELSEWHERE  # Typer may add those when it reads a command line
    assert not flags & VALUED


def test_each_option_has_known_scopes_and_a_setting() -> None:
    for option in OPTIONS:
        assert set(option.scopes) <= set(SCOPES)
        assert (option.name in Settings.names()) != ("start" in option.scopes), option.name


@pytest.mark.parametrize("server", [acp, mcp])
def test_a_server_takes_every_option_that_is_about_no_terminal_and_no_question(server: ModuleType) -> None:
    command = get_command(server.app)
    taken = {one.name for one in command.get_params(typer.Context(command))}
    assert {"no_memory", "no_instructions", "recall", "model", "graph", "debug"} <= taken
    assert taken.isdisjoint(scoped("terminal", "question"))


def test_any_command_line_is_split_as_typer_splits_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatcli.cli.app.get_command", functools.cache(get_command))  # 5 ms each
    chance = random.Random(7)
    valued = [name for name in sorted(VALUED) if name not in ("--temperature", "--timeout", "--max-tokens")]
    valued = [name for name in valued if name not in ("--context-tokens", "--max-steps", "--tool-timeout")]
    flags = ["--quiet", "-q", "-c", "--helper", "--no-tools", "--tools", "--yes", "--allow-private-urls", "--json"]
    pieces = [*valued, *flags, *(f"{name}=--json" for name in valued if name.startswith("--"))]
    pieces += ["-qc", "-qtabc", "-mgpt", "-qm", "word", "-", "--", "two words", "threads", "--format", "text"]
    parameters = {name: one.name for one in options(flags=False) for name in one.opts}
    for _ in range(1000):
        line = chance.choices(pieces, k=chance.randint(0, 6))
        try:
            context = read_command_line(line)
        except WrongArguments:
            continue  # a value is missing at the end
        parts = list(split(line))
        words = [part for part in parts if part[0] in (WORD, ESCAPED)]
        if SUBCOMMAND in context.meta:
            assert words[0] == (WORD, context.meta[SUBCOMMAND]), line
            continue
        assert [word for _, word in words] == context.args, line
        given: dict[str | None, list[str | None]] = {}
        for option, value in parts:
            if option in parameters:
                given.setdefault(parameters[option], []).append(value)
        for name, values in given.items():
            taken = context.params[name or ""]
            assert ([*taken] if isinstance(taken, list | tuple) else [str(taken)]) == (
                values if isinstance(taken, list | tuple) else values[-1:]
            ), line
        assert (wanted_format(line) == "json") == (context.params["json"] or context.params["format"] == "json"), line


TEXTS = ("work", "", "-x", "--", "two words", "a=b")
NUMBERS = ("0", "7", "007", "0.5", ".5", "5.", "-1", "+1", " 7", "7_0", "1e3", "nan", "x", "", "\u0663", "9" * 30, ".")


def _as_typer_reads(line: list[str]) -> tuple[dict[str, object], list[str]] | None:
    """Return the settings and the words, None where Typer refuses the line or finds a sub-command."""
    try:
        context = read_command_line(line)
    except WrongArguments:
        return None
    if context.meta:
        return None
    given = given_settings(context.params).items()
    # Before 0.26, Typer gives tuples.
    return {key: list(one) if isinstance(one, tuple) else one for key, one in given if one is not None}, context.args


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.key)
def test_an_option_is_read_as_typer_reads_it(option: Option, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatcli.cli.app.get_command", functools.cache(get_command))  # 5 ms each
    flags = [flag for flags in option.flags for flag in flags.split("/")]
    values = () if not option.metavar else NUMBERS if option.kind in (int, float) else TEXTS
    lines = [[flag, value] for flag in flags for value in values]
    lines += [[flag] for flag in flags] + [[f"{flag}={value}"] for flag in flags for value in (*values, "x")]
    lines += [[flag, first, flags[0], second] for flag in flags for first in values[:2] for second in values[:2]]
    one = lines[0]
    lines += [["-q", *one, "--store", "memory:"], ["why", *one, "--", "-x"], ["--", *one], [*one, "--", "threads"]]
    lines += [[*one, word] for word in ("word", "two words", "-", "threads", "Threadz", "hlep", "")]
    read = {tuple(line): found for line in lines if (found := read_plain(line)) is not None}
    for line, found in read.items():
        assert found == _as_typer_reads(list(line)), line
    is_setting = "start" not in option.scopes
    assert (tuple(one) in read, (*one, "two words") in read, ("--", *one) in read) == (is_setting, is_setting, True)


def test_what_is_left_to_typer() -> None:
    for line in ("--system x --role y", "--thread x --continue", "--version", "threads list", "hi -", "-", "dcotor"):
        assert read_plain(line.split()) is None
    assert read_plain(["--max-tokens", "9" * 5000]) is None  # which Python reads as no number
    assert read_plain(["hello", "threads"]) == ({}, ["hello", "threads"])


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("hello --json", "json"),
        ("-- hello --json", ""),
        ("-s --json hello", ""),
        ("-qs --json hello", ""),
        ("--system=--json hello", ""),
        ("--format text --format=jsonl hello", "jsonl"),
        ("--format json --nonsense", "json"),
        ("threads list --json", "json"),
        ("doctor --repair --json", "json"),
        ("hello --format", ""),
    ],
)
def test_the_format_that_is_wanted(line: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHATCLI_FORMAT", raising=False)
    assert wanted_format(line.split()) == wanted
    monkeypatch.setenv("CHATCLI_FORMAT", "markdown")
    assert wanted_format(line.split()) == (wanted or "markdown")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        *(("threadz", "threads"), ("dcotor", "doctor"), ("hlep", "help"), ("Model", "models"), ("confg", "config")),
        *(("hello", ""), ("threads", ""), ("why", ""), ("modles are fun", ""), ("-", ""), ("", "")),
    ],
)
def test_what_a_mistyped_sub_command_means(word: str, meant: str) -> None:
    assert near_subcommand(word) == meant
