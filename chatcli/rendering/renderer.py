"""The protocol that every kind of output follows."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from chatcli.events import Event


class Renderer(Protocol):
    """Shows events; the only consumer of a session's output.

    Neither method waits or starts a thread; what the output raises (a broken pipe) is the caller's to handle.
    """

    def render(self, event: "Event") -> None:
        """Show `event`. Events come in the order that `chatcli.events` guarantees."""

    def close(self) -> None:
        """Leave the output in a sane state; called once, also after a failure."""
