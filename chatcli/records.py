"""What `dataclasses` has, with frozen classes that take a third of the time to make."""

# `dataclasses` compiles six methods for each of them, 8 % of the CPU of a one-shot with its 114 classes. Here, only
# `__init__` is compiled; all classes share the others.

from dataclasses import KW_ONLY, FrozenInstanceError, asdict, field, fields, replace
from dataclasses import dataclass as _dataclass
from typing import TYPE_CHECKING, Any

__all__ = ["KW_ONLY", "asdict", "dataclass", "field", "fields", "replace"]


class _Frozen:
    """The methods of every frozen class."""

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, name):  # `__init__` has set it
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        return _values(self) == _values(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self) -> int:
        return hash(_values(self))

    def __repr__(self) -> str:
        shown = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)  # type: ignore[arg-type]
        return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _values(record: Any) -> tuple[object, ...]:
    return tuple([getattr(record, name) for name in record._compared])


if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, /, **options: Any) -> Any:
        """Return what `dataclasses.dataclass` does; a class with `frozen` and `slots` has its methods from here."""
        if cls is None:
            return lambda cls: dataclass(cls, **options)
        if not (options.get("frozen") and options.get("slots")):
            return _dataclass(cls, **options)
        compares, shows = options.get("eq", True), options.get("repr", True)
        names = ("__setattr__", "__delattr__", *(("__eq__", "__hash__") * compares), *(("__repr__",) * shows))
        made = _dataclass(cls, **options | {"frozen": False, "eq": False, "repr": False})
        made._compared = tuple(each.name for each in fields(made) if each.compare)
        for name in set(names) - set(cls.__dict__):
            setattr(made, name, _Frozen.__dict__[name])
        return made
