"""Keeps Typer from importing pydantic for values that need no coercion."""

from typing import Any

from typer.core import TyperArgument, TyperOption

_typers = TyperOption.get_runtime_param


def spare_pydantic() -> None:
    """Make Typer skip the coercion of text and of options that were not given.

    It builds a pydantic validator for every parameter, even one that was not given, which doubles the time of a quick
    command. There is no public hook, so a private method of Typer is replaced; tests/e2e/test_imports.py notices when
    that has no effect any more.
    """
    for kind in (TyperOption, TyperArgument):
        kind.get_runtime_param = _coercion  # type: ignore[assignment, method-assign]


def _coercion(parameter: TyperOption | TyperArgument) -> "_Coercion":
    return _Coercion()


class _Coercion:
    """Returns text as it is, and coerces other values with Typer's own coercion."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        kind = param.type_descriptor.annotation
        if kind is str:
            return value
        if kind == list[str]:
            return list(value)
        return _typers(param).coerce(value, param=param, ctx=ctx)
