"""Images on a terminal that says that it shows them, and `/paste`."""

import base64
import io
from typing import Any

import pytest
from PIL import Image

from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer

MODEL = ("-m", "openai:gpt-4o-mini")


@pytest.fixture
def image(home: Home) -> bytes:
    """Give an image, which is also the file cat.png of the folder."""
    file = io.BytesIO()
    Image.new("RGB", (16, 32), (255, 0, 0)).save(file, "PNG")
    (home.work / "cat.png").write_bytes(file.getvalue())
    return file.getvalue()


def paste_tool(home: Home) -> dict[str, str]:
    """Return an environment in which cat.png is in the clipboard."""
    script = f'case "$1" in --list-types) echo image/png;; *) cat {home.work}/cat.png;; esac'
    (home.work / "wl-paste").write_text(f"#!/bin/sh\n{script}\n")
    (home.work / "wl-paste").chmod(0o755)
    return {"PATH": f"{home.work}:{home.env['PATH']}", "WAYLAND_DISPLAY": "w"}


def images_of(content: Any) -> list[str]:
    return [part["image_url"]["url"] for part in content if part["type"] == "image_url"]


@pytest.mark.executable
def test_without_pillow_an_image_is_refused_and_a_text_is_not(chat: Chat, fake: FakeOpenAI, image: bytes) -> None:
    hidden = chat.home.root / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['PIL'] = None\n")
    (chat.home.work / "notes.txt").write_text("Notes.")
    env = {"PYTHONPATH": str(hidden)}
    result = chat("-f", "cat.png", "what is it?", env=env)
    assert (result.returncode, result.stdout, len(fake.requests)) == (2, "", 0), result
    first, second = result.stderr.splitlines()
    assert first == "error: cat.png: images need the extra images"
    assert second.startswith("Install it: ")
    assert second.endswith("[images]'")
    assert chat("-f", "notes.txt", "what is it?", env=env).returncode == 0


def test_a_pasted_image_is_sent_and_shown_as_is_one_of_the_answer(
    terminal: OpenTerminal, home: Home, fake: FakeOpenAI, image: bytes
) -> None:
    encoded = base64.b64encode(image).decode()
    fake.default = Answer(f"It is ![a cat](data:image/png;base64,{encoded}).\n\nDone")
    tty = terminal(*MODEL, env={**paste_tool(home), "KITTY_WINDOW_ID": "1"})
    tty.wait_for_prompt()
    for name in ("pasted.png", "pasted-2.png"):
        tty.send_line("/paste")
        tty.wait_for(f"{name} is sent with the next question")
        tty.wait_for_prompt()
    tty.send_line("what is it?")
    tty.wait_for("Done")
    tty.wait_for_prompt()
    assert images_of(fake.requests[0].body["messages"][-1]["content"]) == [f"data:image/png;base64,{encoded}"] * 2
    assert tty.raw.count(f"\x1b_Ga=T,f=100,q=2,C=1,c=2,r=2,m=0;{encoded}\x1b\\".encode()) == 3
    assert "[image: a cat, 16x32" in tty.text()


def test_a_terminal_that_reports_sixel_shows_an_attached_image(
    terminal: OpenTerminal, fake: FakeOpenAI, image: bytes
) -> None:
    tty = terminal(*MODEL)
    tty.wait_for_prompt()
    assert b"\x1b[c" in tty.raw
    tty.send("look at ")
    tty.send("\x1b[?62;4;22c")
    tty.send_line("@cat.png")
    fake.wait_for_requests(1)
    tty.wait_for_prompt()
    assert tty.raw.count(b"\x1bPq") == 1
    assert fake.requests[0].last.startswith("look at @cat.png")


def test_elsewhere_an_image_is_named_and_what_paste_misses_too(
    terminal: OpenTerminal, home: Home, fake: FakeOpenAI, image: bytes
) -> None:
    fake.default = Answer("See ![a cat](http://127.0.0.1:9/cat.png) and ![b](data:image/png;base64,AAAA)")
    tty = terminal(*MODEL, env={**paste_tool(home), "KITTY_WINDOW_ID": "1", "TMUX": "tmux,1,0"})
    tty.wait_for_prompt()
    assert b"\x1b[c" not in tty.raw
    tty.send_line("look at @cat.png")
    tty.wait_for("See a cat (http://127.0.0.1:9/cat.png) and [image: b, broken, 3 B]")
    tty.wait_for_prompt()
    (home.work / "cat.png").write_bytes(b"")
    tty.send_line("/paste")
    tty.wait_for("there is no image in the clipboard")
    assert b"\x1b_G" not in tty.raw
