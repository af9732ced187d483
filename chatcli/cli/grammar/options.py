"""The options of `runtime.options` in Typer's form, for the commands that take them."""

import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from chatcli.cli.grammar.completion import offer, offer_files
from chatcli.runtime.options import BY_HEADING, OPTIONS, Option, scoped

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


ANNOTATIONS = {
    option.name: _in_typers_form(option, heading) for heading, options in BY_HEADING.items() for option in options
}
"""Each option in Typer's form, by its name."""
Store, Url = ANNOTATIONS["store"], ANNOTATIONS["url"]


def takes_options(names: Iterable[str] = ANNOTATIONS, **more: Any) -> Callable[[Any], Any]:
    """Return a decorator that lets Typer see the options `names`, and `more`, of a command that takes `**options`."""
    annotations = {name: ANNOTATIONS[name] for name in names} | more
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
