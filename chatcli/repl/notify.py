"""A bell and a notification for a user who is looking elsewhere."""

from collections.abc import Mapping

from chatcli.events import STOPPED, WAITING, ApprovalRequested, Event, TurnFailed, TurnFinished

BELL = "\a"
_LONGEST = 120
"""The most characters of a notification."""

# OSC 9 takes one text, OSC 777 a title and a text. A terminal that knows neither ignores them; they are sent only where
# a variable names one that does, since some give OSC 9 other meanings.
_OSC_9 = frozenset({"iTerm.app", "iTerm2"})
_OSC_777 = frozenset({"WezTerm", "ghostty", "WarpTerminal"})
_OSC_777_TERMS = ("xterm-kitty", "xterm-ghostty", "foot", "wezterm", "rxvt-unicode")
_OSC_777_VARIABLES = ("KITTY_WINDOW_ID", "GHOSTTY_RESOURCES_DIR", "WEZTERM_PANE", "VTE_VERSION")


def is_waiting(last: Event | None) -> bool:
    """Return whether `last`, the last event of a line, means that a graph or a tool waits for the user."""
    if isinstance(last, TurnFinished):
        return last.finish_reason in (WAITING, STOPPED)
    return isinstance(last, ApprovalRequested)


def news(last: Event | None, seconds: float, after: float) -> str:
    """Return the news for a user who looks elsewhere, empty for none.

    `last` is the last event of a line, which took `seconds`. Nobody needs to be called for an answer that takes at most
    `after` seconds.
    """
    if is_waiting(last):
        return "a question waits for you"
    if seconds <= after:
        return ""
    if isinstance(last, TurnFailed):
        return "the answer failed"
    return "the answer is complete" if isinstance(last, TurnFinished) else ""


def notification(program: str, text: str, environment: Mapping[str, str]) -> str:
    """Return the sequence that shows `text` on the desktop, empty where the terminal is not known to have one.

    `text` may come from anybody. Only its printable characters are kept, so it can't end the sequence. In tmux, the
    sequence passes to the terminal around it if the user allows that (`allow-passthrough`).
    """
    text, program = _plain(text), _plain(program)
    if "STY" in environment:  # GNU Screen keeps it to itself
        return ""
    named = environment.get("LC_TERMINAL") or environment.get("TERM_PROGRAM")
    if named in _OSC_9:
        sequence = f"\x1b]9;{program}: {text}\x1b\\"
    elif (
        named in _OSC_777
        or environment.get("TERM", "").startswith(_OSC_777_TERMS)
        or any(map(environment.get, _OSC_777_VARIABLES))
    ):
        sequence = f"\x1b]777;notify;{program};{text}\x1b\\"
    else:
        return ""
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\" if environment.get("TMUX") else sequence


def _plain(text: str) -> str:
    kept = "".join(character for character in text if character.isprintable())
    return kept.replace(";", ",")[:_LONGEST]  # a semicolon separates title and text
