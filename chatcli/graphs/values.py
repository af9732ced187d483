"""What the user gives a graph beside the messages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
