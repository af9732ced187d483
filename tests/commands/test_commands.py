"""Slash commands: what they do to a thread and to files, what they refuse, and that none ends the conversation."""

from pathlib import Path

import pytest

from chatcli.attachments.attachment import Attachment
from chatcli.commands.all import all_commands
from chatcli.commands.lines import ParsedCommand, parse_command, parse_question, parse_shell, parse_word
from chatcli.commands.registry import Command, CommandContext, CommandRegistry, run_command
from chatcli.commands.threads import thread_choices
from chatcli.config.settings import Settings
from chatcli.conversation.conversation import Conversation
from chatcli.errors import MissingKeyError, UsageError
from chatcli.events import Event, Listing, Notice
from chatcli.rendering.display import ClipboardFilled, LinesShown, ThemeChosen, ThreadChanged
from chatcli.sessions.requests import Ask, Retry, TurnRequest
from chatcli.store.threads import ThreadSummary
from tests.conversing import ask, conversing
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.screen import QuietScreen
from tests.fakes.steps import Answer, call
from tests.fakes.web import FakeWeb


class Prompt:
    """Runs the slash commands of a conversation, for a user who answers `agrees` to each question."""

    def __init__(self, conversation: Conversation, *, agrees: bool | None = None) -> None:
        self.conversation = conversation
        self.screen = QuietScreen(agrees=agrees)
        self.context = CommandContext(conversation, all_commands(), Settings(), self.screen)
        self.turn: TurnRequest | None = None

    async def run(self, line: str) -> list[Event]:
        self.screen.shown, self.screen.asked, self.screen.prefilled = [], [], []
        parsed = parse_command(line)
        assert parsed is not None
        self.turn = await run_command(parsed, self.context)
        return self.screen.shown

    async def refused(self, line: str) -> str:
        """Run what is a mistake of the user; return the line that says so."""
        [notice] = await self.run(line)
        assert isinstance(notice, Notice)
        assert notice.level == "error"
        return notice.text


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (UsageError("it is wrong", remedy="Do this."), "it is wrong. Do this."),
        (ValueError("no number"), "no number"),
        (SystemExit(3), "sys.exit(3)"),
        (RuntimeError("broken"), "broken"),
    ],
)
async def test_no_command_ends_the_conversation(model: FakeOpenAI, error: BaseException, shown: str) -> None:
    async def fail(context: CommandContext, arguments: str) -> None:
        raise error

    async with conversing(model) as conversation:
        prompt = Prompt(conversation)
        prompt.context.registry = CommandRegistry([Command("fail", "", fail, "Others")], lambda name: None)
        assert shown in await prompt.refused("/fail")
        assert "Did you mean /fail?" in await prompt.refused("/fial x")
    assert model.requests == []


@pytest.mark.parametrize("agrees", [True, False])
async def test_a_command_that_misses_a_key_runs_once_it_is_given(model: FakeOpenAI, *, agrees: bool) -> None:
    given: list[str] = []

    async def need(context: CommandContext, arguments: str) -> Retry:
        given.append(arguments)
        if len(given) == 1:
            raise MissingKeyError("there is no key", remedy="Give one.", provider="openai")
        return Retry()

    async with conversing(model) as conversation:
        prompt = Prompt(conversation, agrees=agrees)
        prompt.context.registry = CommandRegistry([Command("need", "", need, "Others")], lambda name: None)
        assert await prompt.run("/need it") == []
    assert prompt.screen.asked == ["openai"]
    assert (given, prompt.turn) == ((["it", "it"], Retry()) if agrees else (["it"], None))


def test_what_a_line_is() -> None:
    assert parse_word(" EXIT ") == ParsedCommand("exit", "")
    assert parse_word("exit the loop") is None
    assert parse_command("/thread  a b ") == ParsedCommand("thread", "a b")
    assert (parse_command("//usr"), parse_question("//usr")) == (None, "/usr")
    assert (parse_shell("! ls "), parse_shell("!  "), parse_shell("ls!")) == ("ls", None, None)
    registry = all_commands()
    assert registry.find("quit") is registry.find("exit")


async def test_copy_counts_answers_from_the_end(model: FakeOpenAI) -> None:
    code = "```\n{}\n```"
    model.script(Answer(code.format("one")), Answer(code.format("two")), Answer("three"))
    async with conversing(model) as conversation:
        prompt = Prompt(conversation)
        assert "no answer" in await prompt.refused("/copy")
        for question in ("a", "b", "c"):
            await ask(conversation, question)
        copied = [event for line in ("/copy", "/copy 3", "/copy code") for event in await prompt.run(line)]
        for wrong in ("/copy 4", "/copy 0", "/copy x"):
            await prompt.refused(wrong)
    assert all(isinstance(event, ClipboardFilled) for event in copied)
    assert [event.text.strip() for event in copied if isinstance(event, ClipboardFilled)] == [
        "three",
        code.format("one"),
        "two",
    ]


async def test_save_overwrites_nothing_unasked(model: FakeOpenAI, own_folders: Path) -> None:
    page = own_folders / "a page.md"
    page.write_text("mine")
    async with conversing(model) as conversation:
        await ask(conversation, "hello")
        prompt = Prompt(conversation, agrees=False)
        assert await prompt.run("/save a page.md") == []
        assert prompt.screen.asked == ["a page.md exists. Overwrite it?"]
        assert page.read_text() == "mine"
        assert await prompt.run("/save a page.md yes") == [Notice("saved to a page.md")]
        assert prompt.screen.asked == []
        assert "hello" in page.read_text()
        await prompt.run("/save new.html")
        assert prompt.screen.asked == []
        assert "hello" in (own_folders / "new.html").read_text()
        assert ".jsonl" in await prompt.refused("/save a.txt")
        assert "was not written" in await prompt.refused("/save nowhere/a.md")


async def test_files_go_along_in_their_order(model: FakeOpenAI, own_folders: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (own_folders / name).write_text(name)
    async with conversing(model) as conversation:
        prompt = Prompt(conversation)
        await prompt.run("/file a.txt")
        await prompt.run("/file b.txt")
        await prompt.refused("/file")
        await prompt.refused("/file c.txt")
        with FakeWeb() as web, FakeWeb() as other:
            web.pages["/moved"] = 302, {"Location": f"{other.url}/secret"}, b""
            assert "private address" in await prompt.refused(f"/file {web.url}/moved")
    assert [each.name for each in prompt.context.waiting] == ["a.txt", "b.txt"]


async def test_a_thread_is_deleted_after_a_yes_and_a_new_one_begins(model: FakeOpenAI) -> None:
    async with conversing(model, "mine") as conversation:
        await ask(conversation, "hello")
        prompt, threads = Prompt(conversation, agrees=False), await conversation.threads()
        assert await prompt.run("/delete") == []
        assert prompt.screen.asked == ["Delete thread mine for ever?"]
        await prompt.refused("/delete other")
        assert threads.find("mine") is not None
        prompt.screen.agrees = True
        deleted, changed = await prompt.run("/delete")
        assert deleted == Notice("deleted mine")
        assert isinstance(changed, ThreadChanged)
        assert changed.thread_id == conversation.thread_id != "mine"
        assert threads.find("mine") is None


async def test_a_thread_that_is_opened_says_what_it_waits_for(model: FakeOpenAI) -> None:
    async with conversing(model, "old") as conversation:
        async for _ in conversation.store_without_asking(Ask("why?")):
            pass
        prompt = Prompt(conversation)
        await prompt.run("/new")
        changed, notice = await prompt.run("/thread old")
        assert isinstance(changed, ThreadChanged)
        assert [message.text for message in changed.messages] == ["why?"]
        assert notice == Notice("the last question has no answer; /retry asks it again")
        await ask(conversation, "and now?")
        assert len(await prompt.run("/thread old")) == 1
        await prompt.refused("/rename a\x1b[31mb")


def test_threads_are_found_by_id_and_title() -> None:
    moment = "2026-01-01T00:00:00+00:00"
    threads = [
        ThreadSummary(name, title, "m", 1, moment, moment) for name, title in (("sky", "Stra\u00dfe"), ("x", "y"))
    ]
    found = [[choice.name for choice in thread_choices(threads, text)] for text in ("STRASSE", "SK", "", "z")]
    assert found == [["sky"], ["sky"], ["sky", "x"], []]
    assert [choice.current for choice in thread_choices(threads, current="x")] == [False, True]


def edited_in(conversation: Conversation) -> str | None:
    """Return the question that is edited."""
    return None if conversation.branching is None else conversation.branching.title


async def test_branches_begin_where_the_user_says(model: FakeOpenAI) -> None:
    async with conversing(model, "talk") as conversation:
        prompt = Prompt(conversation)
        for question in ("one", "two", "three"):
            await ask(conversation, question)
        session = await conversation.session()
        await prompt.run("/edit 3")
        assert prompt.screen.prefilled == ["one"]
        assert edited_in(conversation) == "one"
        await prompt.run("/config")
        assert edited_in(conversation) is None  # it is about something else
        for wrong in ("/edit 4", "/edit 0", "/undo x", "/rewind 9", "/fork a\nb"):
            await prompt.refused(wrong)
        [changed] = await prompt.run("/undo 2")
        assert prompt.screen.prefilled == ["two"]
        assert isinstance(changed, ThreadChanged)
        assert [message.text for message in changed.messages if message.role == "user"] == ["one"]
        conversation.backend.grants("talk").allow("fetch_url:example.org")
        _, forked = await prompt.run("/fork copy")
        assert forked == Notice("forked from talk")
        assert conversation.thread_id == "copy"
        assert conversation.backend.grants("copy").rules == ["fetch_url:example.org"]
    assert session.thread_id == "talk"


@pytest.mark.parametrize("agrees", [True, False, None])
async def test_undo_takes_back_what_was_written_if_the_user_agrees(
    model: FakeOpenAI, own_folders: Path, *, agrees: bool | None
) -> None:
    model.script(call("write_file", path="a.txt", content="new\n"), Answer("done"))
    async with conversing(model, tools=True) as conversation:
        await ask(conversation, "write it")
        prompt = Prompt(conversation, agrees=agrees)
        await prompt.run("/approve")
        assert prompt.turn == Ask("approve", typed=True)
        await ask(conversation, "approve", typed=True)
        assert (own_folders / "a.txt").read_text() == "new\n"
        assert "not waiting" in await prompt.refused("/approve")
        diff, *shown = await prompt.run("/undo")
        assert isinstance(diff, LinesShown)
        assert "-new" in [line for line, _ in diff.lines]
        assert prompt.screen.asked == ["Change these files back, too?"]
        assert (own_folders / "a.txt").exists() == (agrees is not True)
        assert [type(event) for event in shown] == {True: [ThreadChanged, Notice], False: [ThreadChanged], None: []}[
            agrees
        ]
        assert prompt.screen.prefilled == ([] if agrees is None else ["write it"])


async def test_only_changes_that_were_shown_are_taken_back(model: FakeOpenAI, own_folders: Path) -> None:
    model.script(call("write_file", path="a.txt", content="new\n"), Answer("done"))
    async with conversing(model, tools=True) as conversation:
        await ask(conversation, "write it")
        await ask(conversation, "approve", typed=True)
        prompt = Prompt(conversation)
        [shown] = await prompt.run("/undo 1 files")  # nothing was shown before
        assert isinstance(shown, LinesShown)
        assert (own_folders / "a.txt").exists()
        (own_folders / "a.txt").write_text("mine\n")
        prompt.screen.agrees = True
        _, kept = await prompt.run("/undo")
        assert isinstance(kept, Notice)
        assert kept.text.startswith("a.txt stays as it is")
        assert (own_folders / "a.txt").read_text() == "mine\n"


async def test_a_bound_is_an_amount_above_zero_or_off(model: FakeOpenAI) -> None:
    async with conversing(model) as conversation:
        prompt = Prompt(conversation)
        await prompt.run("/set max_cost=2")
        assert conversation.cost_bound.max_cost == 2
        for wrong in ("0", "-1", "nan", "much", ""):
            await prompt.refused(f"/set max_cost={wrong}")
        assert conversation.cost_bound.max_cost == 2
        await prompt.run("/set max_cost=OFF")
        assert conversation.cost_bound.max_cost is None


async def test_variables_of_a_role_are_set_one_by_one(model: FakeOpenAI, own_folders: Path) -> None:
    roles = own_folders / "config" / "chatcli" / "roles"
    roles.mkdir(parents=True)
    (roles / "poet.md").write_text("Write {form} about {what}.")
    async with conversing(model) as conversation:
        prompt = Prompt(conversation)
        assert await prompt.run("/role poet form=odes what=cats") == [Notice("role poet with form=odes, what=cats")]
        assert await prompt.run("/set what=dogs") == [Notice("role poet with form=odes, what=dogs")]
        assert await prompt.run("/role NONE") == [Notice("no role")]
        (roles / "none.md").write_text("Say nothing.")
        assert await prompt.run("/role none") == [Notice("role none")]


async def test_what_runs_unasked_is_listed_with_where_that_was_said(model: FakeOpenAI) -> None:
    async with conversing(model, tools=True, allow=["fetch_url:a.org"]) as conversation:
        prompt = Prompt(conversation)
        conversation.backend.grants(conversation.thread_id).allow("fetch_url:b.org")
        tools, rules = await prompt.run("/tools")
    assert isinstance(tools, Listing)
    assert "run_shell" in [row[0] for row in tools.rows]
    assert isinstance(rules, Listing)
    assert rules.rows == (("fetch_url:a.org", "this run"), ("fetch_url:b.org", "this thread"))
    async with conversing(model, tools=True, yes=True) as conversation:
        _, rules = await Prompt(conversation).run("/tools")
    assert isinstance(rules, Listing)
    assert rules.rows[0] == ("*", "this run (--yes)")


async def test_documents_are_added_and_removed_by_their_paths(model: FakeOpenAI, own_folders: Path) -> None:
    for name in ("a b.txt", "c.txt"):
        (own_folders / name).write_text(name)
    async with conversing(model) as conversation:
        prompt = Prompt(conversation)
        await prompt.run("/docs add c.txt")
        await prompt.run('/docs add "a b.txt"')
        assert list(conversation.documents) == [str(own_folders / "c.txt"), str(own_folders / "a b.txt")]
        for wrong in ("/docs remove d.txt", "/docs add", "/docs off now", "/docs c.txt"):
            await prompt.refused(wrong)
        assert await prompt.run("/docs remove c.txt") == [Notice("removed: c.txt")]
        assert list(conversation.documents) == [str(own_folders / "a b.txt")]
        await prompt.run("/docs off")
        assert list(conversation.documents) == []


async def test_the_screen_shows_what_holds_in_this_conversation(model: FakeOpenAI) -> None:
    async with conversing(model, "here") as conversation:
        prompt = Prompt(conversation)
        await prompt.refused("/theme pink")
        assert await prompt.run("/theme light") == [ThemeChosen("light"), Notice("theme light")]
        shown, *_ = await prompt.run("/config")
        everything, *_ = await prompt.run("/config all")
        await prompt.refused("/config some")
        await prompt.run("/exit")
        assert prompt.context.leaving
    assert isinstance(shown, Listing)
    assert isinstance(everything, Listing)
    rows = {row[0]: row[1:] for row in shown.rows}
    assert rows["theme"] == ("light", "this conversation")
    assert rows["thread"] == ("here", "this conversation")
    assert len(everything.rows) > len(shown.rows)


async def test_the_memory_is_switched_here_and_for_later(model: FakeOpenAI) -> None:
    async with conversing(model) as conversation:
        prompt = Prompt(conversation)
        assert await prompt.run("/memory add  I like tea ") == [Notice("remembered: I like tea")]
        knowledge = (await conversation.chat_session()).knowledge
        assert knowledge is not None
        await prompt.run("/memory off")
        sent = [knowledge.memory]
        assert Settings.load().no_memory
        assert (await prompt.run("/memory"))[-1] == Notice("the memory is off; /memory on sends facts again")
        await prompt.run("/memory on")
        sent.append(knowledge.memory)
        assert sent == [False, True]
        assert not Settings.load().no_memory
        for wrong in ("/memory forget tea", "/memory forget 9", "/memory add"):
            await prompt.refused(wrong)
        assert await prompt.run("/memory forget 1") == [Notice("forgotten: I like tea")]


async def test_what_is_recalled_leaves_the_files_that_wait(model: FakeOpenAI) -> None:
    model.script(Answer("We chose the flux pump."))
    async with conversing(model, "old") as conversation:
        await ask(conversation, "which pump do we take?")
    file = Attachment("a.txt", "text", "text/plain", text="a", size=1)
    async with conversing(model, "new") as conversation:
        prompt = Prompt(conversation)
        prompt.context.waiting = (file,)
        await prompt.run("/recall flux pump")
        assert [each.kind for each in prompt.context.waiting] == ["text", "recalled"]
        await prompt.run("/recall off")
        assert prompt.context.waiting == (file,)
