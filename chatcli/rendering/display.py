"""What the screen is told besides what the engine says: texts to show there, and changes of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from chatcli.events import SessionEvent
from chatcli.message import MessageShown
from chatcli.sanitize import reveal

_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan", "\\": "dim"}


@dataclass(frozen=True, slots=True)
class MarkdownShown(SessionEvent):
    """Markdown in place of the line of the call `call_id`, or of a notice if that is empty; not part of the answer."""

    text: str
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class LinesShown(SessionEvent):
    """Lines, each with its style, that are safe for a terminal, and of which nothing may be left out."""

    lines: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class MatchShown(SessionEvent):
    """A message that a search found: `parts` are the pieces of its text, each with whether it matches."""

    thread_id: str
    title: str
    role: str
    parts: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class ThreadChanged(SessionEvent):
    """The session now holds another thread."""

    thread_id: str
    messages: tuple[MessageShown, ...] = ()


@dataclass(frozen=True, slots=True)
class DraftChanged(SessionEvent):
    """What the user types while something runs: lines that wait to be sent, and last the one being typed.

    Without texts there is nothing to show.
    """

    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProgramStarting(SessionEvent):
    """A line waits for the program, which has been starting for `seconds`; None where it waits no longer."""

    seconds: float | None


class ScreenSuspended(SessionEvent):
    """Something else is about to use the screen: the user's shell, while this process is suspended."""


class ScreenResumed(SessionEvent):
    """The screen is this process's again, or has another size."""


@dataclass(frozen=True, slots=True)
class ShellOutput(SessionEvent):
    """The next piece of what a shell command writes; untrusted text, cut anywhere."""

    text: str


@dataclass(frozen=True, slots=True)
class ShellFinished(SessionEvent):
    """A shell command ended; `output` is all that it wrote."""

    command: str
    output: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class ClipboardFilled(SessionEvent):
    """The user asked for `text`, which is `what`, in the clipboard; untrusted text."""

    text: str
    what: str


class PlainToggled(SessionEvent):
    """The user wants Markdown shown as it is written, or rendered again."""


@dataclass(frozen=True, slots=True)
class ThemeChosen(SessionEvent):
    """The user, or the terminal by its background, chose the colours `name`."""

    name: str


@dataclass(frozen=True, slots=True)
class AbilityReported(SessionEvent):
    """The terminal said that it shows images by `sixel`, or is `wrapping` old lines again when it gets narrower."""

    ability: str


class ScreenCleared(SessionEvent):
    """The user asked for an empty screen."""


def diff_lines(diff: str) -> list[tuple[str, str]]:
    """Return the lines of a unified diff, safe for a terminal, each with its style; nothing is left out."""
    old, new, *lines = diff.split("\n")
    return [
        (reveal(old), "dim"),
        (reveal(new), "dim"),
        *((reveal(line), _DIFF_STYLES.get(line[:1], "")) for line in lines),
    ]
