"""Draws the README's pictures from the program's own output: `python -m tests.pictures`, with `--check` only compares.

They are what the executable writes to a terminal, against a scripted server, replayed into rich's SVG export.
"""

import io
import re
import sys
import tempfile
from itertools import groupby
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

from tests.e2e.program import EXECUTABLE, Home
from tests.e2e.terminal import Terminal
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Calls

FOLDER = Path(__file__).parent / "pictures"
WIDTH = 84
CONSTANTS = (
    (r"\d+\.\d s", "0.8 s"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d", "2026-01-01 12:00"),
    (r"127\.0\.0\.1:\d+", "localhost:8000"),
)
"""What differs from run to run, and what stands in the pictures instead."""
SKY = """\
Air scatters **short** waves far more than long ones, by *Rayleigh's law*, $I \\propto \\lambda^{-4}$:

| colour | wavelength | scattered |
|--------|-----------:|----------:|
| blue   |     450 nm |      4.4 x |
| red    |     650 nm |      1.0 x |

```python
def scattered(wavelength: float) -> float:
    return (650 / wavelength) ** 4  # relative to red
```

> [!NOTE]
> At sunset the path is longer, and red is left. O<sub>3</sub> absorbs some.
"""


def main() -> int:
    """Draw the pictures, or report which are not current; return the exit code."""
    stale = []
    for name, picture in draw().items():
        path = FOLDER / f"{name}.svg"
        if "--check" not in sys.argv:
            FOLDER.mkdir(exist_ok=True)
            path.write_text(picture)
        elif not path.exists() or path.read_text() != picture:
            stale.append(str(path.relative_to(FOLDER.parent)))
    if stale:
        print(f"not current: {', '.join(stale)}; run python -m tests.pictures", file=sys.stderr)
    return 1 if stale else 0


def draw() -> dict[str, str]:
    """Return the pictures' SVG by name."""
    with tempfile.TemporaryDirectory() as folder, FakeOpenAI() as server:
        home = Home.below(Path(folder))
        home.env.update(OPENAI_BASE_URL=server.base_url, OPENAI_API_KEY="none", COLORTERM="truecolor")
        home.env["CHATCLI_MODEL"] = "openai:gpt-5-mini"
        return {
            "recording": converse(home, server),
            "tree": fork(home, server),
            "models": pick_model(home, server),
            "threads": list_threads(home),
            "approval": approve(home, server),
        }


def converse(home: Home, server: FakeOpenAI) -> str:
    """Return a moving picture of two questions and their answers."""
    tty = open_chat(home, "sky")
    for question, text in (("Why is the sky blue?", SKY), ("And in one sentence?", "Air scatters *blue* most.")):
        server.script(Answer(text))
        tty.send_line(question)
        tty.wait_for(lambda shown, asked=f"> {question}\n": "tokens in" in shown.partition(asked)[2])  # type: ignore[misc]
        tty.wait_for_prompt()
    return recording(tty, "chat -t sky")


def recording(tty: Terminal, title: str) -> str:
    """Return what the screen of `tty` shows as an SVG in which the lines appear one by one, and questions are typed."""
    lines = ["".join(cell.data for cell in row).rstrip() for row in tty.cells()]
    while not lines[-1]:
        lines.pop()
    svg = re.sub(
        rf'<text[^>]*-line-{len(lines) - 1}\)".*?</text>', "", picture(tty, title)
    )  # the prompt, never clipped
    moment, appears = 0.5, []
    for line in lines:
        keys = len(line) if line.startswith("> ") else 1
        appears.append([moment + 0.07 * key for key in range(keys)])
        moment += 0.07 * keys + (1.2 if keys > 1 else 0.1)
    end = moment + 5
    for number, moments in enumerate(appears):
        times = ";".join(f"{moment / end:.4f}" for moment in (0, *moments))
        widths = ";".join(f"{12.2 * (key + 1):.1f}" for key in range(len(moments) - 1))
        values = ";".join(filter(None, ("0", widths, "1024.8")))
        move = f'<animate attributeName="width" dur="{end:.1f}s" repeatCount="indefinite" calcMode="discrete" '
        move += f'keyTimes="{times}" values="{values}"/>'
        svg = re.sub(rf'(-line-{number}">\s*<rect [^>]*)/>', rf"\1>{move}</rect>", svg)
    return svg


def approve(home: Home, server: FakeOpenAI) -> str:
    """Return a picture of a change that the model wants to make, with its diff."""
    notes = home.work / "todo.md"
    notes.write_text("# To do\n\n- water the plants\n- buy milk\n")
    edit = {"path": "todo.md", "old_text": "- buy milk\n", "new_text": "- buy milk, two litres\n- call Ada\n"}
    server.script(Calls([("edit_file", edit)]))
    tty = open_chat(home, "todo", "--tools")
    tty.send_line("Two litres of milk, and I have to call Ada.")
    tty.wait_for("n no")
    return picture(tty, "chat -t todo --tools")


def fork(home: Home, server: FakeOpenAI) -> str:
    """Return a picture of `/tree` after a turn was undone and asked otherwise."""
    talk = {
        "Where shall we go in May?": "Lisbon is warm by then, and not yet full.",
        "How long is the flight?": "Three hours from Zurich, without a stop.",
        "And what does it cost?": "About 180 francs if you book in March.",
        "/undo 2": "",
        "Can we go there by train?": "Yes: to Barcelona in a day, and on by way of Madrid. Plan two nights.",
    }
    tty = open_chat(home, "trip")
    for line, answer in talk.items():
        server.script(*([Answer(answer)] if answer else []))
        tty.send_line(line)
        tty.wait_for(f"> {line}")
        tty.clear_prompt("How long is the flight?" if line == "/undo 2" else "")
    tty.send_line("/clear")
    tty.wait_for(lambda _: "flight" not in tty.screen())
    tty.send_line("/tree")
    tty.wait_for(lambda _: "Three hours" in tty.screen() and "Plan two nights" in tty.screen())
    tty.send_key("up")
    tty.send_key("up")
    tty.wait_for(lambda _: "> How long is the flight?" in tty.screen())
    return picture(tty, "/tree")


def pick_model(home: Home, server: FakeOpenAI) -> str:
    """Return a picture of `/model`, which offers the models that can be used."""
    tty = open_chat(home, "pick")
    tty.send_line("/model")
    tty.wait_for(lambda _: "\n> *" in tty.screen())
    return picture(tty, "/model")


def list_threads(home: Home) -> str:
    """Return a picture of `chat threads list`."""
    tty = Terminal([str(EXECUTABLE), "threads", "list"], env=home.env, cwd=home.work, size=(WIDTH, 12))
    tty.exit_code()
    return picture(tty, "chat threads list")


def open_chat(home: Home, thread: str, *options: str) -> Terminal:
    """Return a terminal with `chat` on `thread`, which waits for a line."""
    argv = [str(EXECUTABLE), "-t", thread, "--theme", "dark", *options]
    tty = Terminal(argv, env=home.env, cwd=home.work, size=(WIDTH, 30))
    tty.wait_for_prompt()
    return tty


def picture(tty: Terminal, title: str) -> str:
    """Return what the screen of `tty` shows as SVG; what differs from run to run is made the same."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    rows = [styled(row) for row in tty.cells()]
    while rows and not rows[-1].plain.strip():
        rows.pop()
    for row in rows:
        console.print(row, no_wrap=True)
    tty.close()
    svg = console.export_svg(title=title, unique_id=re.sub(r"\W+", "-", title).strip("-"))
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # a picture loads nothing from elsewhere


def styled(row: list[pyte.screens.Char]) -> Text:
    """Return a row of the screen as text, times and dates made constant."""
    text = Text()
    for style, cells in groupby(row, key=style_of):
        text.append("".join(cell.data for cell in cells), style)
    for pattern, constant in CONSTANTS:
        if match := re.search(pattern, text.plain):
            middle = Text(constant, style=text.get_style_at_offset(Console(), match.start()))
            text = text[: match.start()] + middle + text[match.end() :]
    return text


def style_of(cell: pyte.screens.Char) -> Style:
    """Return the style of a cell of the screen, in rich's words."""
    color = {"default": None, "brown": "yellow"}.get(cell.fg, cell.fg)
    if color and re.fullmatch("[0-9a-f]{6}", color):
        color = f"#{color}"
    return Style(color=color, bold=cell.bold, italic=cell.italics, underline=cell.underscore, reverse=cell.reverse)


if __name__ == "__main__":
    sys.exit(main())
