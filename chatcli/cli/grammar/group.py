"""The grammar of `chat`: sub-commands, or words that are a prompt; and its help."""

import re
import sys
from collections.abc import Collection, Sequence
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

from chatcli.runtime.options import BY_HEADING, ESCAPED, OTHER, WORD, near_subcommand, split
from chatcli.runtime.program import CHAT, Program, current_program

_typers: Any = getattr(TyperOption, "get_runtime_param", None)
WrongArguments: Any = typer.BadParameter.__bases__[0]
"""What Typer raises for arguments that it can't take. Typer itself exports it only since 0.28."""
SUBCOMMAND = "chatcli.subcommand"
"""The key of the sub-command in a context's `meta`, if the arguments name one."""
MAX_DIGITS = 18
READS_STDIN = "chatcli.reads_stdin"
"""This key is in a context's `meta` where `-` takes the place of the prompt."""
EXAMPLES = (
    ('chat "why is the sky blue?"', "Print one answer."),
    ('git diff | chat "review this"', "Ask about piped text."),
    ("chat --thread work", "Talk in a thread that is kept."),
    ("chat -c --json hello | jq .content", "Continue the last thread, in a script."),
)
_COLUMN, _EXAMPLE = 24, 36
"""The width of the first column of `--help`, and of its examples."""
EXIT_CODES = (
    ("0", "Done."),
    ("1", "A failure of chatcli."),
    ("2", "Bad usage or configuration."),
    ("3", "A key is missing or was refused."),
    ("4", "The model refused the request."),
    ("5", "The store can't be used."),
    ("75", "A temporary failure: try again later."),
    ("130", "Interrupted."),
)


class Subcommand(TyperCommand):
    """A sub-command whose Typer app, `app` in its own `module`, is imported when the command line names it."""

    def __init__(self, name: str, module: str, help: str) -> None:  # noqa: A002 - the name that Typer gives it
        super().__init__(name, help=help, rich_markup_mode=None)
        self.module = module

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read `args` as the real command does, and return its context."""
        command: Any = get_command(import_module(self.module).app)
        if current_program() is not CHAT:
            for absent in _OF_CHAT.get(self.name or "", ()):
                del command.commands[absent]
        _leave_out(command, current_program())
        return command.make_context(info_name, args, parent, **extra)


SUBCOMMANDS = (
    Subcommand("threads", "chatcli.cli.subcommands.threads", "List, show, search, change and export threads."),
    Subcommand("models", "chatcli.cli.subcommands.models", "List models, and choose the default."),
    Subcommand("roles", "chatcli.cli.subcommands.roles", "Named system prompts with variables."),
    Subcommand("keys", "chatcli.cli.subcommands.keys", "Keep providers' keys: in the keyring, or a file."),
    Subcommand("config", "chatcli.cli.subcommands.config", "Show and edit settings; print JSON Schemas."),
    Subcommand("trust", "chatcli.cli.subcommands.trust", "Trust the files of a folder; list what is trusted."),
    Subcommand("docs", "chatcli.cli.subcommands.docs", "Index, search, list and forget documents."),
    Subcommand("memory", "chatcli.cli.subcommands.memory", "List, add, edit and forget remembered facts."),
    Subcommand("mcp", "chatcli.cli.subcommands.mcp", "Serve other programs by MCP; add, list and remove servers."),
    Subcommand("usage", "chatcli.cli.subcommands.usage", "Sum the tokens and costs of threads, by model."),
    Subcommand("acp", "chatcli.cli.subcommands.acp", "Answer an editor by the Agent Client Protocol."),
    Subcommand("doctor", "chatcli.cli.subcommands.doctor", "Check what is installed, configured and reachable."),
    Subcommand("help", "chatcli.cli.subcommands.help", "Show a page of the manual, or list its topics."),
)


OF_GRAPHS = ("threads", "config", "acp", "mcp", "doctor", "help")
"""The sub-commands that a builder's program has."""
_OF_CHAT = {"mcp": ("add", "list", "remove", "login", "logout")}
"""What of them it does not have: its graph brings its own tools."""


class PromptGroup(TyperGroup):
    """A group whose first word is a sub-command, or else, with all that follows, the prompt.

    Options may come anywhere among the words of a prompt; those of `chat` itself come before a sub-command. The words
    after `--` are always the prompt. `-` alone means that the prompt is read from standard input.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for command in SUBCOMMANDS:
            self.add_command(command)

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer's own
        """Leave the prompt's words in `ctx.args`, or a sub-command and its arguments to `TyperGroup`."""
        index = self._first_word(ctx, args)
        first = None if index is None else args[index]
        if index is not None and not ctx.resilient_parsing and (meant := self._ask_what_is_meant(args, index)):
            args, first = [*args[:index], meant, *args[index + 1 :]], meant
        if first in self.commands:
            ctx.meta[SUBCOMMAND] = first
            return super().parse_args(ctx, args)
        ctx.allow_interspersed_args = True
        # Not a group's own method, which would take the first word for a sub-command.
        words = TyperCommand.parse_args(self, ctx, args)
        if first == "-" and words == ["-"]:
            ctx.meta[READS_STDIN] = True
        return words

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # typer's own
        """Write the sub-commands and examples, then the options under their headings."""
        _write_section(formatter, "Commands", [(name, command.help or "") for name, command in self.commands.items()])
        name = current_program().name
        examples = [(re.sub(rf"\b{CHAT.name}\b", name, line), meaning) for line, meaning in EXAMPLES]
        _write_section(formatter, "Examples", examples, width=_EXAMPLE)
        rows: dict[str, list[tuple[str, str]]] = {heading: [] for heading in BY_HEADING}
        for option in self.get_params(ctx):
            if (row := option.get_help_record(ctx)) is not None:
                rows[getattr(option, "rich_help_panel", None) or OTHER].append(row)
        for heading, found in rows.items():
            if found:  # a builder's program does not have them all
                _write_section(formatter, heading, found)

    def format_epilog(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # typer's own
        """Write the exit codes, a line each."""
        _write_section(formatter, "Exit codes", EXIT_CODES)

    def _first_word(self, ctx: typer.Context, args: list[str]) -> int | None:
        """Return where in `args` the first word is; None if there is none before `--`."""
        parser = self.make_parser(ctx)
        parser.allow_interspersed_args = False
        _options, words, _order = parser.parse_args(list(args))
        before = len(args) - len(words)
        escaped = before > 0 and args[before - 1] == "--"
        return before if words and not escaped else None

    def _ask_what_is_meant(self, args: list[str], index: int) -> str:
        """Return the sub-command that the user, asked on the terminal, means by the word at `index`; empty for none.

        They are asked only about a word that is alone, or before what is an action of that sub-command.
        """
        meant = near_subcommand(args[index], tuple(self.commands))
        streams = (sys.stdin, sys.stdout, sys.stderr)
        if not meant or not all(stream is not None and stream.isatty() for stream in streams):
            return ""
        words = [word for option, word in split(args) if option in (WORD, ESCAPED)]
        if len(words) > 1 and words[1] not in _actions(self.commands[meant]):
            return ""
        line = " ".join((current_program().name, meant, *args[index + 1 : index + 2]))
        print(f"did you mean `{line}`? [y/N: send as a question] ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
        if not answer:
            raise typer.Abort
        return meant if answer.strip().lower() in ("y", "yes") else ""


def restrict_to_program(group: TyperGroup, program: Program) -> None:
    """Take out of `group` what `program` does not have, and give it the program's name and help."""
    if program is CHAT:
        return
    group.name, group.help = program.name, program.help or None
    _leave_out(group, program)
    group.commands = {name: one for name, one in group.commands.items() if name in OF_GRAPHS}


def _leave_out(command: Any, program: Program) -> None:
    """Take out of `command` and its sub-commands the options of settings that `program` does not have."""
    command.params = [one for one in command.params if one.name not in program.without]
    for one in getattr(command, "commands", {}).values():
        if not isinstance(one, Subcommand):
            _leave_out(one, program)


def _actions(command: Any) -> Collection[str]:
    """Return the names of what `command`, a sub-command, can do, if it has several."""
    return getattr(get_command(import_module(command.module).app), "commands", {}).keys()


def _write_section(formatter: Any, heading: str, rows: Sequence[tuple[str, str]], width: int = _COLUMN) -> None:
    """Write `rows` under `heading`; their first column is `width` wide, as in other sections."""
    with formatter.section(heading):
        formatter.write_dl([(first.ljust(width), second) for first, second in rows], col_max=width)


def skip_pydantic_coercion() -> None:
    """Make Typer skip the coercion of text and of options that were not given.

    It builds a pydantic validator for every parameter, even one that was not given, which doubles the time of a quick
    command. There is no public hook, so a private method of Typer is replaced; tests/e2e/test_imports.py notices when
    that has no effect any more. Typer has it since 0.29.
    """
    if _typers is None:
        return
    for kind in (TyperOption, TyperArgument):
        kind.get_runtime_param = lambda parameter: _Coercion()  # type: ignore[assignment, method-assign, return-value]


def _whole_number(value: Any, limits: Any) -> int | None:
    """Return `value`, or the number that it spells, if it is within `limits`; None where Typer has to say more."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= MAX_DIGITS:
        value = int(value)
    low, high = limits.min, limits.max
    fits = type(value) is int and (low is None or value >= low) and (high is None or value <= high)
    return value if fits else None


class _Coercion:
    """Returns text and whole numbers, and coerces other values with Typer's own coercion."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        kind = param.type_descriptor.annotation
        if kind is str:
            return value
        if kind == list[str]:
            return list(value)
        if kind is int and (number := _whole_number(value, param.type_descriptor.parameter_info)) is not None:
            return number
        return _typers(param).coerce(value, param=param, ctx=ctx)
