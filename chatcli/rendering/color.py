"""Whether there are colours: --color, NO_COLOR (https://no-color.org) and FORCE_COLOR."""

import os
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def wants_color(mode: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the user wants colours also where there is no terminal; `mode` is auto, always or never."""
    forced = bool(environment.get("FORCE_COLOR")) and not environment.get("NO_COLOR")
    return mode == "always" or (mode == "auto" and forced)


def build_console(stream: IO[str], mode: str) -> "Console":
    """Return a console on `stream`; in "auto", rich looks at NO_COLOR, FORCE_COLOR, COLORTERM and TERM."""
    from rich.console import Console

    forced = True if wants_color(mode) else None
    no_color = {"always": False, "never": True}.get(mode)
    return Console(file=stream, force_terminal=forced, no_color=no_color)
