"""Parameters and type hints in the code of a user: read, named for people, and used to check values."""

import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, Required, get_args, get_origin, get_type_hints

from typing_extensions import ReadOnly

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_QUALIFIERS = (Required, NotRequired, ReadOnly)


def type_hints(of: Any, *, extras: bool = True, names: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """Return the hints of a class or function, which may name `names` too; None if one can't be read at run time."""
    try:
        return get_type_hints(of, localns=dict(names or {}) or None, include_extras=extras)
    except Exception:  # noqa: BLE001 - to read a hint is to run it
        return None


def parameters_of(function: Any) -> list[inspect.Parameter]:
    """Return the parameters of a function or a class; none where Python does not know them, as of a builtin."""
    try:
        return [*inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        return []


def needed_parameters(function: Any) -> list[inspect.Parameter]:
    """Return the parameters of a function or a class without which it can't be called."""
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one for one in parameters_of(function) if one.default is one.empty and one.kind not in variable]


def without_qualifier(hint: Any) -> Any:
    """Return the type in `Required[...]`, `NotRequired[...]` or `ReadOnly[...]`; `Annotated` may be around these."""
    inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return without_qualifier(get_args(inner)[0]) if get_origin(inner) in _QUALIFIERS else hint


def without_annotation(hint: Any) -> Any:
    """Return the type in `Annotated[...]`."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return hint


def type_name(hint: Any) -> str:
    """Return the type for people, without the names of modules."""
    hint = without_annotation(hint)
    if isinstance(hint, type) and get_origin(hint) is None:
        return hint.__name__
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", str(hint))


def type_adapter(hint: Any) -> "TypeAdapter[Any] | None":
    """Return the adapter that checks values of the type, None if pydantic does not know it."""
    from pydantic import TypeAdapter  # late: whoever reads hints alone needs no pydantic

    try:
        return TypeAdapter(hint)
    except Exception:  # noqa: BLE001 - of a type that pydantic does not know, it raises anything
        return None
