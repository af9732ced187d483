"""Images: how they are named, and how terminals show them."""

import base64
import io
import re
import sys

import pytest
from PIL import Image

from chatcli.events import ImageAttached, TextDelta
from chatcli.message import MessageShown
from chatcli.rendering import images
from chatcli.rendering.display import AbilityReported
from chatcli.rendering.images import Cells, DataImages, Protocol, image_size, known_protocol, picture
from chatcli.rendering.terminal.renderer import TerminalRenderer
from chatcli.rendering.theme import plain_text
from tests.rendering.screen import Terminal, cut, finished, render_markdown

PROTOCOLS: tuple[Protocol, ...] = ("kitty", "iterm", "sixel")
CELLS = Cells(80, 24, 8, 16)


def image(kind: str = "PNG", size: tuple[int, int] = (64, 48)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (255, 0, 0)).save(file, kind)
    return file.getvalue()


def uri(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def answer(text: str, pieces: int = 7, *, protocol: Protocol = "", attached: bytes = b"") -> Terminal:
    terminal = Terminal(80, 24)
    renderer = TerminalRenderer(terminal.console, terminal.console)
    renderer._screen.pictures.protocol = protocol
    if attached:
        renderer.render(ImageAttached("plots/chart.png", attached))
        terminal.bytes.truncate(0)
        terminal.bytes.seek(0)
    for piece in cut(text, [pieces]):
        renderer.render(TextDelta(piece))
    renderer.render(finished(text))
    return terminal


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-256color"}, ""),
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"LC_TERMINAL": "iTerm2"}, "iterm"),
        ({"WEZTERM_PANE": "0"}, "iterm"),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux"}, ""),
        ({"TERM": "screen-256color", "LC_TERMINAL": "iTerm2"}, ""),
    ],
)
def test_the_protocol_comes_from_what_the_terminal_says_of_itself(
    environment: dict[str, str], protocol: Protocol
) -> None:
    assert known_protocol(environment) == protocol


def test_kitty_gets_png_as_it_is_in_chunks_and_other_formats_as_png() -> None:
    noise = Image.effect_noise((100, 100), 50)
    file = io.BytesIO()
    noise.save(file, "PNG")
    shown = picture(file.getvalue(), "kitty", CELLS)
    chunks = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", shown)
    assert "".join(data for _, data in chunks) == base64.b64encode(file.getvalue()).decode()
    assert chunks[0][0] == "a=T,f=100,q=2,C=1,c=13,r=7,m=1"
    assert [control for control, _ in chunks[1:]] == [*["m=1"] * (len(chunks) - 2), "m=0"]
    assert all(len(data) <= 4096 for _, data in chunks)
    ((_, data),) = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", picture(image("JPEG"), "kitty", CELLS))
    assert base64.b64decode(data).startswith(b"\x89PNG")


def test_iterm_gets_the_file() -> None:
    data = image("GIF")
    encoded = base64.b64encode(data).decode()
    size = f"size={len(data)};width=8;height=3;preserveAspectRatio=1"
    assert f"\x1b]1337;File=inline=1;{size}:{encoded}\x07" in picture(data, "iterm", CELLS)


def test_sixel_has_the_pixels() -> None:
    picture_of_two = Image.new("RGB", (10, 12), (255, 0, 0))
    picture_of_two.paste((0, 0, 255), (0, 6, 10, 12))
    file = io.BytesIO()
    picture_of_two.save(file, "PNG")
    shown = picture(file.getvalue(), "sixel", CELLS)
    (sixel,) = re.findall(r"\x1bP(q.*)\x1b\\", shown)
    colors = {f"{r};{g};{b}": number for number, r, g, b in re.findall(r"#(\d+);2;(\d+);(\d+);(\d+)", sixel)}
    red, blue = colors["100;0;0"], colors["0;0;100"]
    assert sixel.startswith('q"1;1;10;12#')
    assert sixel.endswith(f"#{red}!10~-#{blue}!10~-")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_a_large_file_is_reduced(kind: str) -> None:
    file = io.BytesIO()
    Image.effect_noise((2000, 2000), 100).save(file, kind, quality=100)
    assert len(file.getvalue()) > 2_000_000
    for protocol in PROTOCOLS:
        assert 1000 < len(picture(file.getvalue(), protocol, CELLS)) < 500_000, protocol


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_image_is_never_larger_than_the_screen_and_leaves_the_cursor_below(protocol: Protocol) -> None:
    shown = picture(image(size=(4000, 3000)), protocol, CELLS)
    assert shown.startswith("\n" * 17 + "\x1b[17A\x1b7")
    assert shown.endswith("\x1b8\x1b[16B\r")


def test_what_is_no_image_or_too_large_is_not_shown() -> None:
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (100_000).to_bytes(4, "big") * 2 + b"\x08\x06\0\0\0\0\0\0\0"
    for broken in (b"", b"no image", image()[:40], bomb, b"<svg/>"):
        assert picture(broken, "kitty", CELLS) == ""
    assert image_size(b"no image") is None
    assert image_size(image("WEBP")) == (64, 48)


@pytest.mark.parametrize("pieces", [1, 7, 100_000])
@pytest.mark.parametrize("protocol", ["", "kitty", "iterm", "sixel"])
def test_an_image_in_an_answer_is_named_and_shown_where_the_terminal_can(pieces: int, protocol: Protocol) -> None:
    text = f"Here:\n\n![the chart]({uri(image())}) and text\n\nmore\n"
    terminal = answer(text, pieces, protocol=protocol)
    name = f"[image: the chart, 64x48, {len(image())} B]"
    assert picture(image(), protocol, CELLS) in terminal.bytes.getvalue()
    assert "base64" not in terminal.bytes.getvalue()
    if protocol in {"", "iterm"}:  # the emulator shows the others' sequences as text
        assert [line for line in terminal.lines() if line] == ["Here:", f"{name} and text", "more"]


@pytest.mark.parametrize(
    "text",
    [
        "![x](http://example.org/secret.png)",
        "![x](file:///etc/passwd)",
        "![x](/etc/logo.png)",
        "![x](other.png)",
        "![x](data:image/png;1;64x48;9B)",
        "![x][a]\n\n[a]: data:image/png;1;64x48;9B",
        "![x](data:image/svg+xml;base64,AAAA)",
    ],
)
def test_no_other_image_is_looked_for(text: str) -> None:
    shown = answer(text, protocol="kitty", attached=image()).bytes.getvalue()
    assert "\x1b_G" not in shown
    assert "x" in shown


@pytest.mark.parametrize("address", ["plots/chart.png", "chart.png"])
def test_an_answer_may_show_what_the_user_attached(address: str) -> None:
    shown = answer(f"![the chart]({address})\n", protocol="kitty", attached=image()).bytes.getvalue()
    assert picture(image(), "kitty", CELLS) in shown
    assert "the chart" in shown


@pytest.mark.parametrize(
    "text",
    [
        f"```md\n![x]({uri(image())})\n```\n",
        f"`![x]({uri(image())})`\n",
        f"[x]({uri(image())}) is a link\n",
    ],
)
@pytest.mark.parametrize("pieces", [1, 1000])
def test_code_and_links_keep_the_data(text: str, pieces: int) -> None:
    shown = "".join(answer(text, pieces, protocol="kitty").lines())
    assert "".join(shown.split()) == "".join("".join(map(plain_text, render_markdown(text, 80))).split())


def test_a_broken_image_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_DATA", 2000)
    for data in ("AAAA", "%%%", "A" * 5000):
        shown = answer(f"![x](data:image/png;base64,{data}) y", 50, protocol="kitty").lines()
        assert re.fullmatch(r"\[image: x, broken, [\d.]+ k?B\] y", "".join(shown))
    assert "broken" in "".join(answer("![x](data:image/png;base64,AAA", 50).lines())


@pytest.mark.parametrize("protocol", ["kitty", "iterm", "sixel", ""])
def test_without_pillow_an_image_is_named(monkeypatch: pytest.MonkeyPatch, protocol: Protocol) -> None:
    data = image()
    monkeypatch.setitem(sys.modules, "PIL", None)
    text = f"![x](data:image/png;base64,{base64.b64encode(data).decode()}) y"
    assert re.fullmatch(r"\[image: x, [\d.]+ k?B\] y", "".join(answer(text, 50, protocol=protocol).lines()))
    assert picture(data, protocol, CELLS) == ""


@pytest.mark.parametrize("size", [1, 3, 11, 1000])
def test_only_the_data_of_images_is_taken_out_of_a_text(size: int) -> None:
    text = f"a ](data:image/ b ![c] (d) ![e]({uri(image())} 'title') [f](g) ](data:imag"
    read: list[str] = []

    def is_code(part: str) -> bool:
        read.append(part)
        return False

    found = DataImages(is_code)
    for piece in cut(text, [size]):
        shown = found.feed(piece)
        read.append(shown)
    read.append(found.flush())
    expected = text.replace(uri(image()), f"data:image/png;1;64x48;{len(image())}B")
    assert "".join(read) == expected
    assert list(found.found.values()) == [image()]


def test_a_shown_message_and_an_attachment_are_drawn_and_sixel_is_learned() -> None:
    terminal = Terminal(80, 24)
    renderer = TerminalRenderer(terminal.console, terminal.console)
    renderer.render(ImageAttached("a.png", image()))
    assert terminal.bytes.getvalue() == ""
    renderer.render(AbilityReported("sixel"))
    renderer.render(ImageAttached("a.png", image()))
    renderer.render(MessageShown("assistant", f"![x]({uri(image())})"))
    assert terminal.bytes.getvalue().count("\x1bPq") == 2
