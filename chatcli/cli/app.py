"""The `chat` command: its options, and the start of a run with them."""

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup
from typer.main import get_command

from chatcli import __version__
from chatcli.cli.grammar import group
from chatcli.cli.grammar.completion import offer, offer_files, run_completion, variable
from chatcli.errors import ChatcliError, ExitCode, UsageError
from chatcli.runtime.options import BY_HEADING, OPTIONS, OTHER, Option, scoped
from chatcli.runtime.program import CHAT, current_program
from chatcli.runtime.signals import leave_signals_to_python
from chatcli.text import one_line

app = typer.Typer(
    cls=group.PromptGroup,
    name="chat",
    invoke_without_command=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="[PROMPT]... | COMMAND [ARGS]...",
)


_NO_SETTINGS = scoped("start")
"""The flags that are False, not None, where they are not given."""
SERVED = tuple(option.name for option in OPTIONS if option.name not in scoped("terminal", "question"))
"""The options of a server, `chat acp` or `chat mcp`."""


def _in_typers_form(option: Option, heading: str) -> Any:
    kind: Any = list[str] if option.kind is list else option.kind
    more: dict[str, Any] = {"metavar": option.metavar} if option.metavar else {}
    if option.complete == "files":
        more["autocompletion"] = offer_files
    elif option.complete:
        more["autocompletion"] = offer(option.complete, *([option.name] if option.complete == "words_of" else ()))
    if option.name not in _NO_SETTINGS:
        kind = kind | None
        more["show_default"] = False
    return Annotated[kind, typer.Option(*option.flags, help=option.help, rich_help_panel=heading, **more)]


_ANNOTATIONS = {
    option.name: _in_typers_form(option, heading) for heading, options in BY_HEADING.items() for option in options
}
"""Each option in Typer's form, by its name."""
Store, Url = _ANNOTATIONS["store"], _ANNOTATIONS["url"]


def takes_options(names: Iterable[str] = _ANNOTATIONS, **more: Any) -> Callable[[Any], Any]:
    """Return a decorator that lets Typer see the options `names`, and `more`, of a command that takes `**options`."""
    annotations = {name: _ANNOTATIONS[name] for name in names} | more
    parameters = [inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
    for name, annotation in annotations.items():
        default = False if name in _NO_SETTINGS else None
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(name, kind, annotation=annotation, default=default))

    def decorate(command: Any) -> Any:
        command.__signature__ = inspect.Signature(parameters)
        command.__annotations__ = {"ctx": typer.Context, **annotations}
        return command

    return decorate


def _show_version(value: bool) -> None:
    if value:
        program = current_program()
        print(f"{program.name} {__version__ if program is CHAT else program.version}".rstrip())
        raise typer.Exit


def given_settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings among the parameters of `chat`; None for each one that was not given."""
    from chatcli.config.settings import Settings

    # A repeatable option that was not given is an empty list.
    given = {name: value or None if isinstance(value, list | tuple) else value for name, value in params.items()}
    if params.get("json"):
        given["format"] = "json"
    names = set(Settings.names())
    return {name: value for name, value in given.items() if name in names}


_EAGER: dict[str, Any] = {"callback": _show_version, "is_eager": True, "expose_value": False}
Version = Annotated[bool, typer.Option("--version", help="Print the version.", rich_help_panel=OTHER, **_EAGER)]


@app.callback()
@takes_options(version=Version)
def chat(ctx: typer.Context, **options: Any) -> None:
    """Chat with a language model: in a conversation, or with one prompt and the piped text.

    Without PROMPT, the piped text is the prompt; without both, a conversation begins. "-" reads the prompt from stdin.
    """
    from chatcli.cli.load_settings import load_settings

    continue_, resume, interactive = options["continue_"], options["resume"], options["interactive"]
    if options["system"] is not None and options["role"] is not None:
        raise UsageError("--system and --role exclude each other", remedy="Give one of them.")
    given = given_settings(ctx.params)
    if continue_ + resume + (options["thread"] is not None) > 1:
        raise UsageError("--thread, --continue and --resume exclude each other", remedy="Give one of them.")
    if ctx.invoked_subcommand is not None:
        leave_signals_to_python()
    # They must work, above all, when the config file or a trusted .env is wrong.
    if ctx.invoked_subcommand in ("config", "doctor", "trust", "help"):
        ctx.obj = given
        return
    converses = ctx.invoked_subcommand is None and (interactive or resume or not ctx.args)
    ctx.obj = settings = load_settings(given, starts_conversation=converses)
    if ctx.invoked_subcommand is None:
        from chatcli.cli.run.dispatch import start  # with asyncio, which a quick sub-command does without

        from_stdin = group.READS_STDIN in ctx.meta
        words = [] if from_stdin else ctx.args
        raise typer.Exit(
            start(settings, words, from_stdin=from_stdin, continue_=continue_, resume=resume, interactive=interactive)
        )


def read_command_line(args: list[str], *, resilient: bool = False) -> typer.Context:
    """Return the context that Typer makes of `chat ARGS`; do nothing yet.

    A `resilient` reading prints nothing, and ignores what is wrong. Raises `WrongArguments`, and `typer.Exit` if the
    arguments ask for help or the version, which was printed.
    """
    # Not `command.main()`, which swallows a broken pipe.
    context = _command().make_context(current_program().name, list(args), resilient_parsing=resilient)
    return cast("typer.Context", context)


def is_helper_run(args: list[str], has_input: bool) -> bool:
    """Return whether the helper may run `chat ARGS`; `has_input` says whether there is piped input. Print nothing."""
    from chatcli.cli.run.dispatch import fits_helper
    from chatcli.config.settings import Settings

    try:
        context = read_command_line(args, resilient=True)
        asks = bool(context.args) or has_input
        if not asks or group.SUBCOMMAND in context.meta or context.params["interactive"] or context.params["resume"]:
            return False
        settings = Settings.load(given_settings(context.params))
        return fits_helper(settings, continue_=context.params["continue_"])
    except (ChatcliError, OSError, group.WrongArguments, typer.Exit):
        return False  # it fails in its own process instead


def _command() -> TyperGroup:
    program = current_program()
    command = _chat_command() if program is CHAT else _made_command()
    group.restrict_to_program(command, program)
    return command


def _made_command() -> TyperGroup:
    group.skip_pydantic_coercion()
    command = get_command(app)
    assert isinstance(command, TyperGroup)
    return command


_chat_command = cache(_made_command)
"""Returns the command line of `chat`, which a run in the helper needs twice."""


def run_command_line(args: list[str]) -> int:
    """Run `chat ARGS`, or complete it for a shell, and return the exit code."""
    if variable() in os.environ:
        run_completion(_command())
        return ExitCode.OK
    code: int = ExitCode.OK
    try:
        with read_command_line(args) as context:
            context.command.invoke(context)
    except typer.Exit as end:
        code = end.exit_code
    except group.WrongArguments as error:
        raise UsageError(one_line(error.format_message()), remedy=f"See `{current_program().name} --help`.") from None
    except typer.Abort:
        return ExitCode.INTERRUPTED
    sys.stdout.flush()
    return code
