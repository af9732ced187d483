"""Progress told in lines: the start, every tenth of a download, the end."""

from chatcli.events import Progress, size
from chatcli.sanitize import sanitize_line

_STEP = 10  # percent


class ProgressLines:
    """Turns the many `Progress` events of a label into the few lines that a log should hold."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}  # label -> the last percentage that was told

    def line(self, event: Progress) -> str | None:
        """Return the line to show for `event`, or None when nothing new is worth one."""
        label = sanitize_line(event.label)
        if event.finished:
            self._told.pop(label, None)
            return f"{label}: done"
        percent = 100 * event.done // event.total if event.unit == "bytes" and event.total else 0
        step = percent // _STEP * _STEP
        if label not in self._told:
            self._told[label] = step
            return f"{label}..." if not event.total else f"{label} ({size(event.total)})..."
        if step <= self._told[label]:
            return None
        self._told[label] = step
        return f"{label}: {step} %"
