"""A scripted conversation as text: who says what, line by line."""

from chatcli.events import Event
from chatcli.message import MessageShown
from chatcli.rendering.plain import PlainRenderer
from chatcli.sanitize import sanitize_line


class ScriptRenderer(PlainRenderer):
    """Writes each question after `User: ` and its answer, as it comes, after `AI: `."""

    def render(self, event: Event) -> None:
        """Show `event`; a broken pipe is the caller's to handle."""
        if isinstance(event, MessageShown):
            self._show(f"User: {sanitize_line(event.text)}\n")
        else:
            super().render(event)

    def _write_answer(self, text: str) -> None:
        super()._write_answer(f"AI: {text}" if text and not self._answered else text)
