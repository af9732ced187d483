"""What the user gives a graph beside the messages: where it comes from, and how it is kept and shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, Unpack, cast, get_args

from chatcli.config.secrets import HIDDEN, names_secret
from chatcli.config.values import check_plain, parse_typed
from chatcli.errors import UsageError
from chatcli.runtime.program import current_program
from chatcli.text import did_you_mean

if TYPE_CHECKING:
    from chatcli.config.settings import Settings

Kind = Literal["context", "configurable", "input"]
"""A group of values, as its option is called."""
KINDS: tuple[Kind, ...] = get_args(Kind)
RESERVED = ("thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map", "run_id")
"""The keys of `configurable` by which a run finds its thread."""


@dataclass(frozen=True, kw_only=True)
class GraphValues:
    """What the user gives a graph beside the messages; plain JSON values, which the state folder remembers."""

    context: Mapping[str, Any] = field(default_factory=dict)
    """The fields of the runtime context."""
    configurable: Mapping[str, Any] = field(default_factory=dict)
    """The keys of the `configurable` part of a run's config."""
    input: Mapping[str, Any] = field(default_factory=dict)
    """The keys of the graph's input beside the question."""
    input_key: str | None = None
    """The key of the input that takes the question; None: to be found in the graph's schema."""
    output_key: str | None = None
    """The key of the output that is the answer; None: to be found in the graph's schema."""

    def __bool__(self) -> bool:
        """Return whether anything is given."""
        return bool(self.context or self.configurable or self.input or self.input_key or self.output_key)

    def of(self, kind: Kind) -> Mapping[str, Any]:
        """Return the values of `kind`."""
        return cast("Mapping[str, Any]", getattr(self, kind))

    def over(self, other: Self) -> Self:
        """Return these values, and those of `other` that are not among them."""
        return replace(
            other,
            **{kind: {**other.of(kind), **self.of(kind)} for kind in KINDS},
            input_key=self.input_key or other.input_key,
            output_key=self.output_key or other.output_key,
        )

    def with_value(self, kind: Kind, key: str, value: Any) -> Self:
        """Return these values with another one for `key`."""
        changed: dict[str, Any] = {kind: {**self.of(kind), key: value}}
        return replace(self, **changed)

    def without(self, kind: Kind, key: str) -> Self:
        """Return these values without `key`."""
        changed: dict[str, Any] = {kind: {name: value for name, value in self.of(kind).items() if name != key}}
        return replace(self, **changed)

    def as_json(self) -> dict[str, Any]:
        """Return the given values as JSON, for `read`."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in found.items() if value}

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """Return the values that `as_json` wrote, without parts that it can't have written."""
        tables = {kind: data[kind] for kind in KINDS if isinstance(data.get(kind), dict)}
        keys = {name: data[name] for name in ("input_key", "output_key") if isinstance(data.get(name), str)}
        return cls(**tables, **keys)


@dataclass(frozen=True, kw_only=True)
class GivenValues:
    """What a run is given: `chosen` for the thread that it begins on, `default` where a thread has nothing itself."""

    chosen: GraphValues = field(default_factory=GraphValues)
    default: GraphValues = field(default_factory=GraphValues)

    @classmethod
    def of_settings(cls, settings: "Settings") -> Self:
        """Return the values of the options, and those of the environment and the config file for any thread."""
        names = [one.name for one in fields(GraphValues) if one.name in settings.names()]
        chosen = {name: getattr(settings, name) for name in names if settings.is_option(name)}
        default = {name: getattr(settings, name) for name in names if not settings.is_option(name)}
        # A builder's program has its own, which an option does not replace as a whole.
        ours = current_program().settings
        default |= {name: ours[name] for name in names if name in ours}
        return cls(chosen=GraphValues(**chosen), default=GraphValues(**default))

    def for_thread(self, remembered: GraphValues, *, first: bool) -> GraphValues:
        """Return the values of a thread that has `remembered` some; the run begins on the `first` one."""
        chosen = self.chosen if first else GraphValues()
        return chosen.over(remembered).over(self.chosen).over(self.default)


class GraphArguments(TypedDict, total=False):
    """What a program gives its graph, as arguments of `run`, `command`, `ask` and `stream`."""

    context: Mapping[str, Any] | None
    configurable: Mapping[str, Any] | None
    input: Mapping[str, Any] | None
    input_key: str | None
    output_key: str | None


def plain_values(**given: Unpack[GraphArguments]) -> GraphValues:
    """Return the values that a program gives a graph, checked as far as possible without the schemas."""
    # Raises TypeError where a group is not a mapping or a key not a text; ValueError for a value that is not JSON, and
    # for the keys by which a run finds its thread.
    tables: dict[str, Any] = {}
    for kind in KINDS:
        values = given.get(kind)
        if not isinstance(values, Mapping | None):
            raise TypeError(f"{kind} must be a mapping, not {type(values).__name__}")
        for key, value in (values or {}).items():
            if not isinstance(key, str):
                raise TypeError(f"the keys of {kind} must be texts, not {type(key).__name__}")
            try:
                check_plain(value)
            except ValueError as error:
                raise ValueError(f"{kind}[{key!r}]: {error}") from None
        tables[kind] = dict(values or {})
    input_key, output_key = given.get("input_key"), given.get("output_key")
    for name, text in (("input_key", input_key), ("output_key", output_key)):
        if not isinstance(text, str | None):
            raise TypeError(f"{name} must be a text, not {type(text).__name__}")
    for key in tables["configurable"]:
        if problem := reserved(key):
            raise ValueError(problem)
    return GraphValues(**tables, input_key=input_key, output_key=output_key)


def reserved(key: str) -> str:
    """Return why the user can't set the key `key` of `configurable`; empty if they can."""
    if key in RESERVED or key.startswith("__"):
        return f"configurable[{key!r}] is set by chat itself"
    return ""


def parse_place(text: str) -> tuple[Kind, str, str]:
    """Read `KEY=VALUE`, `configurable.KEY=VALUE` or `input.KEY=VALUE` into kind, key and value, or raise ValueError."""
    name, value = parse_typed(text)
    kind, dot, key = name.partition(".")
    if dot and key and kind in KINDS:
        return kind, key, value
    return "context", name, value


def shown_key(kind: Kind, key: str) -> str:
    """Return the name of `key` as the user types it after `/set`."""
    return key if kind == "context" else f"{kind}.{key}"


def option(kind: Kind, key: str) -> str:
    """Return how the user gives `key`: on the command line, or in a conversation."""
    return f"--{kind} {key}=VALUE, or in a conversation /set {shown_key(kind, key)}=VALUE"


def shown_value(key: str, value: Any) -> str:
    """Return `value` in one line, without what is a secret by the name of its key."""
    import json  # not at the start: settings are read there

    value = _without_secrets(key, value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _without_secrets(key: str, value: Any) -> Any:
    if names_secret(key):
        return HIDDEN
    if isinstance(value, Mapping):
        return {name: _without_secrets(name, part) for name, part in value.items()}
    return [_without_secrets(key, part) for part in value] if isinstance(value, list) else value


def unknown_key(kind: Kind, key: str, known: list[str]) -> UsageError:
    """Return the error for a `key` that the graph does not have."""
    hint = did_you_mean(key, known)
    return UsageError(f"the graph's {kind} has no field {key}", remedy=f"{hint}It has: {', '.join(known) or 'none'}.")


def wrong_value(kind: Kind, key: str, value: Any, expected: str, reason: str = "") -> UsageError:
    """Return the error for a `value` that is not of the type `expected`; `reason` does not repeat the value."""
    shown = shown_value(key, value)
    given = repr(shown) if isinstance(value, str) else shown
    why = f"{reason}, not {given[:100]}" if reason else f"not {given[:100]}"
    return UsageError(
        f"the field {key} of the graph's {kind} is of the type {expected}: {why}",
        remedy=f"Give it: {option(kind, key)}",
    )
