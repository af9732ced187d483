import pytest
from rich.style import Style

from chatcli.message import MessageShown
from chatcli.rendering.build import build_console, wants_color
from chatcli.rendering.display import MatchShown
from chatcli.rendering.terminal.renderer import TerminalRenderer
from chatcli.rendering.theme import DARK, LIGHT, MONO, THEMES, Theme, find_code_theme
from tests.rendering.screen import Terminal

NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")


def luminance(color: tuple[int, int, int]) -> float:
    """Compute the relative luminance of https://www.w3.org/TR/WCAG21/#dfn-relative-luminance."""
    parts = [value / 255 for value in color]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    "theme", [theme for theme in THEMES.values() if theme.background], ids=lambda theme: theme.name
)
def test_every_colour_can_be_read(theme: Theme) -> None:
    assert theme.background is not None
    styles = {name: Style(color=name) for name in [*NAMES[1:], *(f"bright_{name}" for name in NAMES[:-1])]}
    for name, style in (styles | {"dim": Style(dim=True)}).items():
        color = theme.resolve(style).color
        assert color is not None
        assert color.number is not None
        assert color.number >= 16, f"{name} is left to the terminal"
        assert contrast(color.get_truecolor(), theme.background) >= 4.5, name


def test_mono_keeps_attributes_only() -> None:
    assert MONO.resolve(Style(color="red", bold=True)) == Style(bold=True)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_what_a_search_finds_has_the_colours_of_the_theme(theme: Theme) -> None:
    terminal = Terminal(80, 24)
    renderer = TerminalRenderer(terminal.console, terminal.console, theme=theme)
    renderer.render(MatchShown("work", "Work", "user", (("a ", False), ("word", True))))
    written = terminal.bytes.getvalue()
    assert f"\x1b[38;5;{theme.dim}muser: \x1b[0ma \x1b[1;38;5;{theme.colors['magenta']}mword\x1b[0m" in written


def test_what_is_dimmed_has_a_colour_of_its_own() -> None:
    for theme in (DARK, LIGHT):
        style = theme.resolve(Style(dim=True))
        assert not style.dim
        assert style.color is not None


@pytest.mark.parametrize(
    ("mode", "environment", "wanted"),
    [
        ("auto", {}, False),
        ("auto", {"FORCE_COLOR": "1"}, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ("always", {"NO_COLOR": "1"}, True),
        ("never", {"FORCE_COLOR": "1"}, False),
    ],
)
def test_what_decides_about_colours(mode: str, environment: dict[str, str], wanted: bool) -> None:
    assert wants_color(mode, environment) is wanted


def test_the_option_goes_before_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setenv("NO_COLOR", "1")
    assert build_console(io.StringIO(), "auto").no_color
    always = build_console(io.StringIO(), "always")
    assert always.is_terminal
    assert not always.no_color
    monkeypatch.delenv("NO_COLOR")
    assert build_console(io.StringIO(), "never").no_color


@pytest.mark.parametrize("movable", [True, False])
def test_code_has_the_colours_of_the_chosen_style(movable: bool) -> None:
    shown = []
    for code_theme in ("auto", "monokai"):
        terminal = Terminal()
        renderer = TerminalRenderer(
            terminal.console, terminal.console, code_theme=find_code_theme(code_theme), movable=movable
        )
        renderer.render(MessageShown("assistant", "```python\nreturn 1\n```\n"))
        renderer.close()
        shown.append(terminal.bytes.getvalue())
    keyword = "\x1b[38;2;102;217;239m"
    assert [keyword in text for text in shown] == [False, True]
