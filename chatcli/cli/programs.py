"""The programs of builders: a graph of theirs at this terminal, and a command of their own. See `chatcli.library`."""

import asyncio
import inspect
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from chatcli.errors import BadGraphError, GraphError
from chatcli.events import Notice, ToolCallFinished, ToolCallStarted
from chatcli.graphs.user.kinds import Kind, kind_of
from chatcli.graphs.user.spec import GraphSpec
from chatcli.graphs.values import GraphArguments, plain_values
from chatcli.library import as_python_error, claim_name, options_of, program_of, spec_of
from chatcli.runtime.program import Program, SlashCommand, running

_COMMAND = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SLASH_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
_OURS = ("chat", "chatcli", "threadchat")


def run(
    graph: object = None,
    *,
    model: str | None = None,
    thread: str | None = None,
    name: str | None = None,
    store: str | None = None,
    commands: Sequence[SlashCommand] = (),
    show: Callable[[ToolCallStarted | ToolCallFinished | Notice], str | None] | None = None,
    **given: Unpack[GraphArguments],
) -> int:
    """Talk with `graph` at this terminal, until the user leaves; in a pipe, answer what comes through it.

    Nothing is read from `sys.argv`: see `command`. The `.env` of the current folder sets nothing.

    Args:
        graph: What answers; see `chatcli.library`.
        model: `provider:model`, in place of `graph`: the plain chat with it.
        thread: The thread to resume, or to create; a new one by default.
        name: What the graph is called, by default its own name.
        store: Where threads are kept, as `sqlite:///PATH`, `postgresql://...` or `memory:`; by default where `chat`
            keeps them.
        commands: Slash commands of the program's own, beside those of `chat`.
        show: Takes the start or the end of a tool call, or a custom event of the graph, which is a `Notice` whose
            `data` is what the graph wrote. It returns Markdown to print in place of the usual line, or None for the
            usual one. Where it fails, a warning says so, and the usual line follows.
        given: What the graph gets: `context`, `configurable`, `input`, `input_key` and `output_key`, as in `ask`.

    Returns:
        The exit code: 0, or that of what failed, which was printed. See `chat help scripts`.

    Raises:
        TypeError: `graph` is no graph, or an argument is of another type.
        ValueError: The graph can't be used, its factory failed, or an argument can't be what it is.
        RuntimeError: It was called where an event loop runs, or outside of the main thread.

    """
    _check_main_thread("run")
    values = plain_values(**given)
    spec = spec_of(graph, model, name, values, thread)
    options = options_of(model, thread, store, values)
    own = _checked_commands(commands)
    if show is not None and not callable(show):
        raise TypeError(f"show must be a function, not {type(show).__name__}")
    claim_name(spec, store, given=name is not None)
    shown = None if show is None else _explained(show)
    program = replace(program_of(spec, ""), commands=own, show=shown, eager=_is_open(spec, thread))
    return _at_terminal(program, [], options)


def command(
    graph: object,
    *,
    name: str,
    version: str | None = None,
    help: str | None = None,  # noqa: A002 - as the option is called
    store: str | None = None,
    **given: Unpack[GraphArguments],
) -> Callable[..., int]:
    """Return the function that runs the program `name`: the whole command line of `chat`, on `graph` alone.

    It is for `[project.scripts]`: it takes the process's arguments, or those of its own argument, and returns the exit
    code. What makes no sense for a graph (`--model` and the like) is absent.

    Args:
        graph: What answers; see `chatcli.library`. A factory keeps `--help` and completion quick.
        name: The program's command.
        version: What `--version` prints; by default that of the installed package that has the command.
        help: The first lines of `--help`.
        store: Where threads are kept if the user does not say; by default a file in the user's data folder of `name`.
        given: What the graph gets, as in `ask`; an option of the user goes before each.

    Raises:
        TypeError: `graph` is no graph.
        ValueError: The graph can't be used, or an argument can't be what it is.

    """
    values = plain_values(**given)
    spec = spec_of(graph, None, _checked_command(name), values)
    assert spec is not None
    settings = options_of(None, None, store, values)
    claim_name(spec, f"program {name}", given=True)

    def main(arguments: Sequence[str] | None = None) -> int:
        """Run the program with `arguments`, by default those of the process; return the exit code."""
        from platformdirs import PlatformDirs

        from chatcli.store.location import SQLITE

        _check_main_thread("the program")
        folder = Path(PlatformDirs(name, appauthor=False).user_data_dir)
        program = replace(
            program_of(spec, name),
            version=_version(name) if version is None else version,
            help=f"Chat with {name}." if help is None else inspect.cleandoc(help),
            settings={"store": f"{SQLITE}{folder / 'threads.db'}", **settings},
        )
        if arguments is not None:
            return _at_terminal(program, list(arguments), {})
        from chatcli.cli.process import run_here

        with running(program), _process_kept():
            try:
                run_here()
            except SystemExit as end:
                return end.code if isinstance(end.code, int) else 0

    return main


def _is_open(spec: GraphSpec | None, thread: str | None) -> bool:
    """Return whether it takes more than `spec_of` to see that the graph can be used: its factory, or what is stored."""
    kind = None if spec is None else kind_of(spec.target, spec.name)
    return kind is Kind.FACTORY or (kind is Kind.GRAPH and thread is not None)


def _explained(show: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
    """Return `show` so that what it raises is a GraphError that names the line of its code."""

    def explained(event: Any) -> str | None:
        try:
            return show(event)
        except Exception as error:
            from chatcli.graphs.user.load import describe

            raise GraphError(f"the program's function show failed: {describe(error)}") from error

    return explained


def _checked_commands(commands: Sequence[SlashCommand]) -> tuple[SlashCommand, ...]:
    """Return `commands`; refuse names that can't be typed, or that another command has."""
    if not commands:
        return ()
    from chatcli.commands.all import all_commands

    shipped, names = all_commands(), set[str]()
    for command in commands:
        if not isinstance(command, SlashCommand):
            raise TypeError(f"commands are of the type chatcli.SlashCommand, not {type(command).__name__}")
        if not _SLASH_NAME.fullmatch(command.name):
            raise ValueError(f"the command {command.name!r:.120} can't be typed: use letters, digits, - and _")
        if command.name in names or shipped.find(command.name) is not None:
            raise ValueError(f"the command /{command.name} exists already: give this one another name")
        names.add(command.name)
    return tuple(commands)


def _checked_command(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the name must be a text, not {type(name).__name__}")
    if not _COMMAND.fullmatch(name):
        raise ValueError(f"the name {name!r:.120} can't be a command's: letters, digits, -, _ and . can stand in it")
    if name.lower() in _OURS:
        raise ValueError(f"the name {name!r} is taken: that program is chatcli's own")
    return name


def _version(name: str) -> str:
    """Return the version of the installed package that has the command `name`, empty where there is none."""
    from importlib.metadata import entry_points

    for point in entry_points(group="console_scripts", name=name):
        if point.dist is not None:
            return point.dist.version
    return ""


def _check_main_thread(what: str) -> None:
    """Refuse a call that can't have the terminal."""
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(f"{what} has to be called in the main thread, which gets the signals")
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(f"{what} can't be called where an event loop runs: await chatcli.ask or chatcli.stream there")


def _at_terminal(program: Program, arguments: list[str], options: Mapping[str, Any]) -> int:
    """Run `program` in this process, and leave the process as it was; return the exit code."""
    from chatcli.cli.main import run as run_main

    with running(program), _process_kept():
        try:
            return int(run_main(arguments, options))
        except KeyboardInterrupt:
            return 130
        except BadGraphError as error:
            raise as_python_error(error.failure) from error.failure


@contextmanager
def _process_kept() -> Iterator[None]:
    """Restore what a run changes of the process: its signal handlers, and how its threads take turns."""
    from chatcli.runtime.signals import STOPPING

    numbers = (*STOPPING, signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT)
    handlers = {number: signal.getsignal(number) for number in numbers}
    interval = sys.getswitchinterval()
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        for number, handler in handlers.items():
            if handler is not None:  # it was set by other code than Python's
                signal.signal(number, handler)
