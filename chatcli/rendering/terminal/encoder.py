"""Styled lines as the bytes of one console: its colours, or none."""

from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style

from chatcli.rendering.lines import Line
from chatcli.rendering.theme import Theme

_SYSTEMS = {
    "standard": ColorSystem.STANDARD,
    "256": ColorSystem.EIGHT_BIT,
    "truecolor": ColorSystem.TRUECOLOR,
}


class Encoder:
    """Encodes lines for `console` in the colours of `theme`; each line begins and ends without any style."""

    def __init__(self, console: Console, theme: Theme) -> None:
        self._theme = theme
        self._system = _SYSTEMS.get(console.color_system or "")
        self._no_color = console.no_color
        self._codes: dict[Style, tuple[str, str]] = {}

    def encode(self, line: Line) -> str:
        """Return the text of `line` with its escape sequences."""
        parts: list[str] = []
        for text, style in line:
            before, after = self._codes.get(style) or self._learn(style)
            parts += (before, text, after)
        return "".join(parts)

    def _learn(self, style: Style) -> tuple[str, str]:
        shown = style.without_color if self._no_color else self._theme.resolve(style)
        before, _, after = shown.render("\0", color_system=self._system).partition("\0")
        self._codes[style] = before, after
        return before, after
