"""Keeps Typer from importing pydantic for words that need no coercion."""

from typing import Any

from typer.core import TyperArgument, TyperOption

_typers = TyperOption.get_runtime_param


def spare_pydantic() -> None:
    """Let Typer leave alone what is text or was not given.

    By itself it builds a pydantic validator for every parameter, also for one that is not given, which doubles the
    time of a quick command. It has no hook for that.
    """
    for kind in (TyperOption, TyperArgument):
        kind.get_runtime_param = _coercion  # type: ignore[assignment, method-assign]


def _coercion(parameter: TyperOption | TyperArgument) -> "_Coercion":
    return _Coercion()


class _Coercion:
    """Coerces a parameter's value, by Typer's own coercion where there is something to coerce."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        kind = param.type_descriptor.annotation
        if kind is str:
            return value
        if kind == list[str]:
            return list(value)
        return _typers(param).coerce(value, param=param, ctx=ctx)
