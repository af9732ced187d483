"""Emacs with agent-shell and Neovim with CodeCompanion: driven without a screen, and replayed from what they sent.

`.ci/editors FOLDER` fetches the plugins; `CHATCLI_TEST_PLUGINS` names the folder. With `UPDATE_SNAPSHOTS=1`, a driven
editor's messages, and the kinds of those that it gets, are written to `tests/serve/editors/`.
"""

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import EXECUTABLE, Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Hang, Reply, Request, Stall, call
from tests.serve.editor import LIMIT
from tests.serve.test_acp import MODEL
from tests.waiting import WAIT_SECONDS

FOLDER = Path(__file__).parent / "editors"
PAGE = Path(__file__).parents[2] / "chatcli" / "manual" / "editors.md"
SECONDS = 400


@dataclass(frozen=True)
class Driven:
    """An editor: the `command` that runs its script, the `language` of its settings in the manual, and its plugins."""

    command: tuple[str, ...]
    script: str
    language: str
    plugins: tuple[str, ...]
    rejects: Reply
    """What the model does after a refusal: agent-shell stops the turn with it."""


EDITORS = {
    "emacs": Driven(
        ("emacs", "-Q", "--batch", "-l"), "agent_shell.el", "elisp", ("acp.el", "agent-shell", "shell-maker"), Hang()
    ),
    "nvim": Driven(
        ("nvim", "--headless", "--clean", "-S"),
        "codecompanion.lua",
        "lua",
        ("codecompanion.nvim", "plenary.nvim"),
        Answer("Then I don't.", chunks=1),
    ),
}


@dataclass(frozen=True)
class Step:
    """What the user types and decides, and what the model does: first, and with the result of its call.

    Where it `cancels`, the user stops the answer at that text.
    """

    say: str
    first: Reply
    then: Reply | None = None
    decision: str = ""
    cancels: str = ""


READ, EDIT = call("read_file", path=".env"), call("edit_file", path="notes.txt", old_text="nine", new_text="ten")
STEPS = (
    Step("When does it open?", Answer("At nine.", chunks=1)),
    Step("Read my key.", READ, Answer("I have read it.", chunks=1), "allow"),
    Step("Read it again.", READ, None, "reject"),
    Step("Correct the notes.", EDIT, Answer("It is corrected.", chunks=1), "allow"),
    Step("Tell me a story.", Stall("Once upon a time"), cancels="Once upon a time"),
    Step("And now?", Answer("Here I am.", chunks=1)),
)


def prepare(chat: Chat, fake: FakeOpenAI, rejects: Reply) -> None:
    """Write the files, and let the model play the steps."""
    (chat.home.work / ".env").write_text("KEY=secret\n")
    (chat.home.work / "notes.txt").write_text("The harbour opens at nine.\n")

    def play(request: Request) -> Reply:
        asked = [text for role, text in request.messages if role == "user"][-1]
        step = next(step for step in STEPS if asked.endswith(step.say))
        return (step.then or rejects) if request.messages[-1][0] == "tool" else step.first

    fake.default = play


@pytest.mark.weekly
@pytest.mark.parametrize("name", EDITORS)
def test_an_editor_asks_approves_writes_and_cancels(chat: Chat, fake: FakeOpenAI, name: str) -> None:
    driven, root = EDITORS[name], chat.home.root
    plugins = Path(os.environ.get("CHATCLI_TEST_PLUGINS", "none")).resolve()
    if shutil.which(name) is None or not all((plugins / plugin).is_dir() for plugin in driven.plugins):
        pytest.skip(f"{name} or its plugins (.ci/editors, CHATCLI_TEST_PLUGINS) are missing")
    prepare(chat, fake, driven.rejects)
    played = [{name: getattr(step, name) for name in ("say", "decision", "cancels")} for step in STEPS]
    (root / "steps.json").write_text(json.dumps(played))
    settings = re.findall(rf"```{driven.language}\n(.*?)```", PAGE.read_text(), re.DOTALL)[-1]
    (root / "settings").write_text(settings)
    relay = [sys.executable, str(FOLDER / "relay.py"), str(root / "wire"), str(EXECUTABLE), *MODEL]
    (root / "bin").mkdir()
    (root / "bin" / "chat").write_text(f'#!/bin/sh\nexec {shlex.join(relay)} "$@"\n')
    (root / "bin" / "chat").chmod(0o755)
    env = {
        **chat.home.env,
        "PATH": f"{root / 'bin'}{os.pathsep}{chat.home.env['PATH']}",
        "CHATCLI_TEST_PLUGINS": str(plugins),
        "SETTINGS": str(root / "settings"),
        "STEPS": str(root / "steps.json"),
        "SHOWN": str(root / "shown"),
    }
    command = [*driven.command, str(FOLDER / driven.script)]
    done = subprocess.run(
        command, env=env, cwd=chat.home.work, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = (root / "shown").read_text()
    for text in ("At nine.", "I have read it.", "+The harbour opens at ten.", "It is corrected.", "Here I am."):
        assert text in shown
    assert (chat.home.work / "notes.txt").read_text() == "The harbour opens at ten.\n"
    lines = recorded((root / "wire").read_text(), str(root))
    reasons = [kind.partition(" stopped: ")[2] for line in lines if " stopped: " in (kind := line.get("agent", ""))]
    refused = "cancelled" if isinstance(driven.rejects, Hang) else "end_turn"
    assert reasons == ["end_turn", "end_turn", refused, "end_turn", "cancelled", "end_turn"]
    if os.environ.get("UPDATE_SNAPSHOTS"):
        (FOLDER / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def recorded(wire: str, root: str) -> list[dict[str, Any]]:
    """Return the lines of a relay: the editor's messages without what differs each time, the agent's kinds."""
    lines = [json.loads(line) for line in wire.splitlines()]
    session = next(line["agent"]["result"]["sessionId"] for line in lines if "sessionId" in str(line.get("agent")))
    text = json.dumps(lines).replace(root, "$HOME").replace(session, "$SESSION")
    return [
        {"agent": kind_of(message)} if sender == "agent" else {"editor": message}
        for line in json.loads(text)
        for sender, message in line.items()
    ]


def kind_of(message: Mapping[str, Any]) -> str:
    """Return what kind of message of the agent this is, with the number of a request or an answer."""
    params = message.get("params", {})
    match message:
        case {"method": "session/update"}:
            update = params["update"]
            return " ".join(filter(None, (update["sessionUpdate"], update.get("status"))))
        case {"method": "session/request_permission", "id": number}:
            contents = [content["type"] for content in params["toolCall"].get("content", ())]
            return " ".join([f"request {number} permission", *contents, *(one["kind"] for one in params["options"])])
        case {"method": method, "id": number}:
            return f"request {number} {method}"
        case {"error": error, "id": number}:
            return f"answer {number} error: {error['code']}"
        case {"result": {"stopReason": reason}, "id": number}:
            return f"answer {number} stopped: {reason}"
        case _:
            return f"answer {message['id']}"


@pytest.mark.parametrize("name", EDITORS)
async def test_what_an_editor_sent_gets_the_same_kinds_of_messages(chat: Chat, fake: FakeOpenAI, name: str) -> None:
    prepare(chat, fake, EDITORS[name].rejects)
    lines = [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]

    async with asyncio.timeout(WAIT_SECONDS):
        agent = await asyncio.create_subprocess_exec(
            EXECUTABLE,
            *MODEL,
            *("acp", "--tools"),
            env=chat.home.env,
            cwd=chat.home.work,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            limit=LIMIT,
        )
        assert agent.stdin is not None
        assert agent.stdout is not None
        got: list[str] = []
        session = ""
        for number, line in enumerate(lines):
            if "agent" in line:
                continue
            # All that had come before the editor sent this has to be here, too.
            awaited = [line["agent"] for line in lines[:number] if "agent" in line]
            while not Counter(awaited) <= Counter(got):
                message = json.loads(await agent.stdout.readline())
                got.append(kind_of(message))
                session = session or message.get("result", {}).get("sessionId", "")
            text = json.dumps(line["editor"]).replace("$HOME", str(chat.home.root)).replace("$SESSION", session)
            agent.stdin.write(f"{text}\n".encode())
            await agent.stdin.drain()
        while len(got) < sum("agent" in line for line in lines):
            got.append(kind_of(json.loads(await agent.stdout.readline())))
        agent.stdin.close()
        got += [kind_of(json.loads(line)) async for line in agent.stdout]
        assert await agent.wait() == 0
    expected = [line["agent"] for line in lines if "agent" in line]
    assert sorted(got) == sorted(expected)
    assert list(_in_order(got)) == list(_in_order(expected))


def _in_order(kinds: list[str]) -> Iterator[str]:
    """Yield what has an order: an editor may ask for its list of sessions at any time."""
    return (kind for kind in kinds if not kind.startswith("answer") or " stopped: " in kind)
