"""The style of each kind of text, in the sixteen colours of terminals, and the themes, which define these colours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from rich.color import Color
from rich.style import Style

PLAIN = Style()
DIM = Style(dim=True)
STRONG = Style(bold=True)
EMPHASIS = Style(italic=True)
STRUCK = Style(strike=True)
CODE = Style(color="cyan")
MATH = Style(color="green")
LINK = Style(underline=True)
URL = Style(color="blue")
HEADINGS = (
    Style(bold=True, underline=True, color="magenta"),
    Style(bold=True, color="magenta"),
    Style(bold=True),
)
CODE_THEME = "ansi_dark"


def heading(level: int) -> Style:
    """Return the style of a heading of `level` 1 to 6."""
    return HEADINGS[min(level, len(HEADINGS)) - 1]


@dataclass(frozen=True)
class Theme:
    """The sixteen colours on one kind of background.

    Attributes:
        name: The name by which the user chooses the theme.
        colors: For each colour name that the styles use, a number among the 256 colours, which all terminals show
            alike. For a missing name, the terminal's own colour is used.
        dim: The colour number of dim text; None to use the terminal's own dim style.
        background: The RGB background for which the colours were chosen; None if it is not known.
        colored: Whether colours are used.

    """

    name: str
    colors: Mapping[str, int] = field(default_factory=dict)
    dim: int | None = None
    background: tuple[int, int, int] | None = None
    colored: bool = True

    def resolve(self, style: Style) -> Style:
        """Return `style` with the colours of this theme."""
        return _resolve(self.name, style)


TERMINAL = Theme("terminal")
MONO = Theme("mono", colored=False)
DARK = Theme(
    "dark",
    {
        "red": 210,
        "green": 114,
        "yellow": 179,
        "blue": 111,
        "magenta": 176,
        "cyan": 80,
        "white": 252,
        "bright_black": 246,
        "bright_red": 217,
        "bright_green": 157,
        "bright_yellow": 222,
        "bright_blue": 117,
        "bright_magenta": 183,
        "bright_cyan": 123,
    },
    dim=246,
    background=(30, 30, 30),
)
LIGHT = Theme(
    "light",
    {
        "red": 124,
        "green": 22,
        "yellow": 94,
        "blue": 25,
        "magenta": 90,
        "cyan": 24,
        "white": 238,
        "bright_black": 241,
        "bright_red": 160,
        "bright_green": 28,
        "bright_yellow": 94,
        "bright_blue": 26,
        "bright_magenta": 91,
        "bright_cyan": 24,
    },
    dim=241,
    background=(255, 255, 255),
)
THEMES = {theme.name: theme for theme in (DARK, LIGHT, MONO, TERMINAL)}


def find_theme(name: str) -> Theme:
    """Return the theme `name`; "auto" is the terminal's own colours until the terminal reports its background."""
    return THEMES.get(name, TERMINAL)


@lru_cache(maxsize=1024)
def _resolve(name: str, style: Style) -> Style:
    theme = THEMES[name]
    if not theme.colored:
        return style.without_color
    number = theme.colors.get(style.color.name) if style.color is not None else None
    if style.dim and theme.dim is not None:
        number = number or theme.dim
        style = style + Style(dim=False)
    return style + Style(color=Color.from_ansi(number)) if number is not None else style
