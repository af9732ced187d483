"""/model, /role, /theme and /docs without a name: a list to pick from, which Esc leaves as it was."""

import signal

from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home
from tests.e2e.terminal import Terminal
from tests.fakes.openai_server import FakeOpenAI


def offered(tty: Terminal, question: str) -> list[str]:
    """Wait for the list below `question`, and return its rows."""
    tty.wait_for(lambda _: f"which {question}?" in tty.cursor_line() and "\n> " in tty.screen().partition("which ")[2])
    return [line for line in tty.screen().rpartition("which ")[2].split("\n")[1:] if line]


def test_a_model_is_picked_and_its_columns_stay(home: Home, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    fake.models = ["gpt-fake", "gpt-other", "a-model-with-a-very-long-name-indeed"]
    tty = terminal("-t", "abc", "-m", "openai:gpt-fake", size=(80, 24))
    tty.wait_for_prompt()
    tty.send_line("/model")
    rows = offered(tty, "model")
    assert [row for row in rows if row.startswith("> * openai:gpt-fake ")]
    assert all(len(row) <= 80 for row in rows)
    column = next(row for row in rows if "gpt-other" in row).index("http")
    tty.send("other")
    tty.wait_for(lambda _: "very-long-name" not in tty.screen())
    (left,) = offered(tty, "model")
    assert left.index("http") == column
    tty.send_key("enter")
    tty.wait_for("model openai:gpt-other")
    tty.wait_for_prompt()
    tty.send_line("/model")
    assert [row for row in offered(tty, "model") if row.startswith("> * openai:gpt-other ")]
    tty.send_key("up")
    tty.send_key("escape")
    tty.wait_for_prompt()
    tty.send_line("Hi")
    fake.wait_for_requests(1)
    assert fake.requests[0].body["model"] == "gpt-other"
    assert "which" not in tty.screen().rpartition("model openai:gpt-other")[2]


def test_a_role_and_a_theme_are_picked_with_the_arrow_keys(
    home: Home, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    tty = terminal("-t", "abc")
    tty.wait_for_prompt()
    tty.send_line("/theme")
    assert [row for row in offered(tty, "theme") if row.startswith("> * auto")]
    tty.send_key("down")
    tty.send_key("down")
    tty.send_key("enter")
    tty.wait_for("theme light")
    tty.wait_for_prompt()
    tty.send_line("/theme")
    assert [row for row in offered(tty, "theme") if row.startswith("> * light")]
    tty.send_key("ctrl-c")
    tty.wait_for_prompt()
    tty.send_line("/role")
    rows = offered(tty, "role")
    assert rows[0].startswith("> * none")
    tty.send("nothing like this")
    tty.wait_for("nothing fits")
    tty.send_key("enter")  # picks nothing
    tty.send_key("ctrl-u")
    tty.send_key("down")
    name = rows[1].split()[0]
    tty.wait_for(lambda _: any(row.startswith(f">   {name} ") for row in offered(tty, "role")))
    tty.send_key("enter")
    tty.wait_for_prompt()
    assert f"role {name}" in tty.text()


def test_documents_are_picked_into_and_out_of_a_thread(
    chat: Chat, home: Home, fake: FakeOpenAI, terminal: OpenTerminal
) -> None:
    for name in ("guide", "notes"):
        (home.work / name).mkdir()
        (home.work / name / "a.md").write_text(f"The {name} say how to frobnicate.\n")
    assert chat("docs", "index", "guide", "notes").returncode == 0
    tty = terminal("-t", "abc")
    tty.wait_for_prompt()
    tty.send_line("/docs")
    assert [row.split()[:2] for row in offered(tty, "document")] == [[">", "guide"], ["notes", "folder,"]]
    tty.send("notes")
    tty.wait_for(lambda _: "guide" not in tty.screen())
    tty.send_key("enter")
    tty.wait_for("answers now come from notes;")
    tty.wait_for_prompt()
    tty.send_line("/docs")
    assert offered(tty, "document")[0].startswith("> * notes")
    tty.send_key("enter")
    tty.wait_for("removed: notes")
    tty.wait_for_prompt()
    tty.send_line("/docs list")
    tty.wait_for("this thread has no documents")


def test_in_plain_text_the_commands_print(home: Home, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    (home.work / "notes").mkdir()
    tty = terminal("-t", "abc", "--plain", "-m", "openai:gpt-fake", "--docs", "notes")
    tty.wait_for_prompt()
    printed = {"/model": "model openai:gpt-fake", "/role": "no role. Roles: ", "/theme": "themes: auto, dark"}
    for command, line in (printed | {"/docs": "notes   folder"}).items():
        tty.send_line(command)
        tty.wait_for(line)
        tty.wait_for_prompt()
    assert "which" not in tty.text()


def test_a_signal_ends_a_list(home: Home, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal("-t", "abc")
    tty.wait_for_prompt()
    tty.send_line("/theme")
    offered(tty, "theme")
    tty.signal(signal.SIGTERM)
    assert tty.exit_code() == 130
    assert tty.settings() == tty.settings_before


def test_no_documents_are_no_index(home: Home, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal("--no-save")
    tty.wait_for_prompt()
    tty.send_line("/docs")
    tty.wait_for("this thread has no documents")
    assert not [path for path in home.files() if path.name == "documents.db"]
