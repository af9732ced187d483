"""/tree: the branches of a thread, gone through with the arrow keys, taken over as a summary, or printed."""

from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat
from tests.e2e.terminal import Terminal
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Fail

USAGE = "arrows move, Enter goes there"


def ask(tty: Terminal, fake: FakeOpenAI, question: str, answer: str) -> None:
    count = len(fake.requests)
    fake.script(Answer(answer))
    tty.send_line(question)
    fake.wait_for_requests(count + 1)
    tty.wait_for_prompt()


def fork_thread(tty: Terminal, fake: FakeOpenAI) -> None:
    """Ask one, then two and three, go back to one, and ask four."""
    tty.wait_for_prompt()
    ask(tty, fake, "one?", "The first.")
    ask(tty, fake, "two?", "The second,\nwhich is longer than the others.")
    ask(tty, fake, "three?", "The third.")
    tty.send_line("/undo 2")
    tty.clear_prompt("two?")
    ask(tty, fake, "four?", "The fourth.")


def open_tree(tty: Terminal, *, wanted: str = "The first.") -> list[str]:
    """Open the tree and wait for its answers; return its rows."""
    tty.send_line("/tree")
    return tree(tty, wanted)


def tree(tty: Terminal, wanted: str) -> list[str]:
    tty.wait_for(lambda _: USAGE in tty.screen() and wanted in shown(tty))
    return shown(tty).split("\n")


def shown(tty: Terminal) -> str:
    return tty.screen().rpartition("/tree\n")[2].partition(USAGE)[0]


def users(fake: FakeOpenAI) -> list[str]:
    return [text for role, text in fake.requests[-1].messages if role == "user"]


def test_the_tree_is_walked_with_the_arrow_keys(fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal("-t", "abc", size=(80, 24))
    fork_thread(tty, fake)
    rows = open_tree(tty, wanted="The second,")
    assert [row.split() for row in rows[:4]] == [
        ["*", "1", "one?", "The", "first."],
        ["2", "├", "two?", "The", "second,", "which", "is", "longer", *rows[1].split()[8:]],
        ["3", "│", "three?", "The", "third."],
        [">", "*", "4", "four?", "<-", "here", "The", "fourth."],
    ]
    assert all(len(row) <= 80 for row in rows)
    tty.send_key("up")
    tree(tty, "> three?\n\n  The third.")
    tty.send_key("up")
    assert "which is longer than the others." in "\n".join(tree(tty, "> two?"))
    tty.send_key("escape")
    tty.wait_for_prompt()
    assert USAGE not in tty.screen()
    ask(tty, fake, "five?", "The fifth.")
    assert users(fake) == ["one?", "four?", "five?"]
    open_tree(tty)
    for _ in range(3):
        tty.send_key("up")
    tree(tty, "> two?")
    tty.send_key("enter")
    tty.wait_for_prompt()
    ask(tty, fake, "six?", "The sixth.")
    assert users(fake) == ["one?", "two?", "six?"]
    rows = open_tree(tty, wanted="The fourth.")
    assert [row[4] for row in rows[:6]] == list("145236")
    tty.send_key("left")
    tree(tty, "> two?")
    tty.send_key("left")
    tree(tty, "> one?")
    tty.send("\x1b[H")
    tty.send("\x1b[F")
    tree(tty, "> six?")
    tty.send_key("enter")  # there already
    tty.wait_for_prompt()


def test_a_branch_is_taken_over_as_a_summary(chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal("-t", "abc", size=(80, 24))
    fork_thread(tty, fake)
    open_tree(tty)
    tty.send("s")  # of the current branch
    tty.wait_for("turn 4 is on the current branch")
    tty.wait_for_prompt()
    fake.script(Fail(400, {"error": {"message": "I can't."}}))
    open_tree(tty)
    tty.send_key("up")
    tty.send("s")
    tty.wait_for("I can't.")
    tty.wait_for_prompt()
    ask(tty, fake, "five?", "The fifth.")
    assert users(fake) == ["one?", "four?", "five?"]
    fake.script(Answer("Two and three were answered."))
    open_tree(tty)
    for _ in range(3):
        tty.send_key("up")
    tree(tty, "> two?")
    tty.send("s")
    tty.wait_for("Two and three were answered.")
    tty.wait_for_prompt()
    asked = fake.requests[-1].last
    assert "human: two?" in asked
    assert "ai: The third." in asked
    assert "one?" not in asked
    assert "four?" not in asked
    ask(tty, fake, "six?", "The sixth.")
    summary = "Summary of another branch of this conversation, that of turn 2:\nTwo and three were answered."
    assert users(fake) == ["one?", "four?", "five?", f"{summary}\nsix?"]
    tty.send_line("/undo")
    tty.clear_prompt("six?")
    tty.send_line("/undo")  # the summary
    tty.wait_for_prompt()
    ask(tty, fake, "seven?", "The seventh.")
    assert users(fake) == ["one?", "four?", "five?", "seven?"]
    tty.send_line("/rewind 6")
    tty.wait_for_prompt()
    ask(tty, fake, "eight?", "The eighth.")
    assert [m["role"] for m in chat.messages("abc")][-5:] == ["summary", *("user", "assistant") * 2]


def test_the_tree_is_printed_in_plain_text(chat: Chat, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    tty = terminal("-t", "abc", "--plain", size=(80, 24))
    tty.send_line("/tree")
    tty.wait_for("the thread has no turns yet")
    fork_thread(tty, fake)
    tty.send_line("/tree")
    tty.wait_for("<- here")
    tty.wait_for_prompt()
    assert USAGE not in tty.text()
    assert [line.split() for line in tty.text().split("\n") if line.split()[:2] in (["2", "+"], ["*", "4"])] == [
        ["2", "+", "two?", "The", "second,", "which", "is", "lo..."],
        ["*", "4", "four?", "<-", "here", "The", "fourth."],
    ]
    printed = chat("threads", "show", "abc", "--tree")
    assert printed.stdout.splitlines()[-1].split() == ["*", "4", "four?", "<-", "here", "The", "fourth."]
    asked = chat("threads", "show", "abc", "--tree", "--json").json()["tree"]
    assert [(turn["turn"], turn["parent"], turn["current"], turn["answer"][:9]) for turn in asked] == [
        (1, None, True, "The first"),
        (2, 1, False, "The secon"),
        (3, 2, False, "The third"),
        (4, 1, True, "The fourt"),
    ]
    tty.send_line("/tree nonsense")
    tty.wait_for("/tree takes list, or summary")
    tty.send_line("/tree summary 9")
    tty.wait_for("there is no turn 9")
