"""Handle a line: a slash command (which may let the user pick something), a shell command or a question."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, aclosing, contextmanager, suppress
from functools import partial
from pathlib import Path

from chatcli import events
from chatcli.attachments.attachment import Attachment, read_attachment
from chatcli.commands import registry
from chatcli.commands.all import all_commands
from chatcli.commands.branches import TreeRow
from chatcli.commands.files import add_documents, check_takes_documents
from chatcli.commands.lines import ParsedCommand, parse_command, parse_question, parse_shell, parse_word
from chatcli.commands.threads import drop_recalled
from chatcli.config.credentials import save_key
from chatcli.config.providers import PROVIDERS
from chatcli.config.secrets import Secret
from chatcli.config.settings import Settings
from chatcli.conversation.conversation import Conversation
from chatcli.errors import ChatcliError, InterruptedTurnError
from chatcli.message import Excerpt, is_form
from chatcli.models.local.choice import offer_provider
from chatcli.rendering import display
from chatcli.rendering.renderer import Renderer, consume
from chatcli.repl.decisions import is_decided_by_key, read_decisions, read_form_answer, read_key
from chatcli.repl.mentions import Mentioned, find_mentioned, find_pasted
from chatcli.repl.notify import BELL, is_waiting, news, notification
from chatcli.repl.pastes import holds_folded, mark, plain, typed_mentions
from chatcli.repl.picker import Picker, TreeWalk, read_choice
from chatcli.repl.prompt import Prompt
from chatcli.repl.shell import ShellCommand
from chatcli.repl.toolbar import Toolbar, thread_titles
from chatcli.repl.typeahead import Typeahead, busy
from chatcli.runtime.editor import edit_in_editor
from chatcli.runtime.program import command
from chatcli.sanitize import sanitize_line
from chatcli.sessions.requests import Ask


class LineHandler:
    """Handles the lines of `prompt`, which go to `conversation`; `renderer` shows their events.

    It is the screen of the commands. The `attachments` go along with the first question. The prompt gets a `toolbar` if
    there is to be one.
    """

    def __init__(
        self,
        settings: Settings,
        conversation: Conversation,
        renderer: Renderer,
        prompt: Prompt,
        attachments: Sequence[Attachment],
        *,
        toolbar: bool,
    ) -> None:
        self.conversation = conversation
        self.on_open: Callable[[], None] = lambda: None
        self.entered = 0.0
        """When the line was entered, by the monotonic clock."""
        self.context = registry.CommandContext(conversation, all_commands(), settings, self, waiting=tuple(attachments))
        self._renderer = state = Toolbar(conversation, renderer, lambda: thread_titles(conversation.backend))
        self._prompt = prompt
        self._interrupt = self.conversation.interrupt
        self._line, self._stopped = "", False
        """The line that was entered, with its marks, and whether Ctrl-C has stopped it."""
        self._reading = ExitStack()
        """Ends the reading of keys beside the work on a line."""
        self._draft: Typeahead
        self._shown: events.Event | None = None
        """What the running command has shown last."""
        state.on_change, state.on_theme = prompt.refresh, prompt.use_theme
        # The local model's server ends what it reads before it begins the question that is typed now.
        prompt.when_typed(conversation.expect_question)
        if toolbar:
            prompt.toolbar = state.text
            self.on_open = state.learn_thread
            conversation.title_writer.on_end = state.learn_titles

    async def handle(self, line: str) -> None:
        """Run the command in `line`, or ask the question."""
        self._line = line
        command, shell_line = parse_word(line) or parse_command(line), parse_shell(line)
        if (command or shell_line) and holds_folded(line):
            self._prefill(line)
            problem = "a folded paste can't be part of a command: look at it by Ctrl-X Ctrl-E"
            self._renderer.render(events.Notice(problem))
        elif command:
            typed = ParsedCommand(plain(command.name), plain(command.arguments))
            await self._work(self._command(typed))
        elif shell_line:
            shell = ShellCommand(plain(shell_line))
            await self._work(self._show_all(shell.run()), shell.interrupt)
        else:
            question = parse_question(line)
            if (pasted := await self._choose_pasted(question)) is None and self._prompt.left:
                await self.keep(line)
            elif pasted is None:
                self._prefill(line)
                self._renderer.render(events.Notice("nothing was sent"))
            else:
                await self._work(self._show_all(self._ask(question, pasted)))

    async def keep(self, line: str) -> None:
        """Store the question `line` without asking it; do nothing if `line` is a command."""
        if not (parse_word(line) or parse_command(line) or parse_shell(line)):
            question = Ask(plain(parse_question(line)), self.context.waiting)
            await self._work(self._show_all(self.conversation.store_without_asking(question)))

    def _prefill(self, line: str, *, optional: bool = True, in_editor: bool = False) -> None:
        """Let the next line begin with the marked `line`, see `Prompt.prefill`."""
        self._prompt.prefill(self._prompt.pastes.fold_again(line), optional=optional, in_editor=in_editor)

    async def _choose_pasted(self, question: str) -> Mentioned | None:
        """Ask which files named in pasted parts of `question` to attach; return them, or None to send nothing."""
        pasted = await asyncio.to_thread(find_pasted, question, self.conversation.mcp_servers.names)
        rows = await asyncio.to_thread(pasted.described)
        if not rows:
            return pasted
        self._renderer.render(events.Notice("the pasted text names:"))
        for row in rows:
            self._renderer.render(events.Notice(f"  {row}"))
        asked = "Attach that?" if len(rows) == 1 else "Attach these?"
        keys = {"y": "yes", "n": "no (Enter)"}
        key = await read_key(self._prompt, self._renderer.render, keys, asked, default="n")
        return {"y": pasted, "n": Mentioned()}.get(key)

    async def ask_first(self, text: str, resources: Sequence[tuple[str, str]] = ()) -> None:
        """Ask the question of the command line, never a command or an answer, with `resources`: a server and a URI."""
        self._line = mark(text)
        await self._work(self._show_all(self._ask(self._line, Mentioned(resources=tuple(resources)), typed=False)))

    async def resume(self, threads: Sequence[registry.Choice]) -> None:
        """Let the user pick one of `threads`, and open it."""
        if picked := await self._pick("thread", threads):
            await self._work(self._command(ParsedCommand("thread", picked)))

    def interrupt(self) -> None:
        """Stop what is running."""
        self._interrupt()

    async def _ask(self, question: str, pasted: Mentioned, *, typed: bool = True) -> AsyncGenerator[events.Event, None]:
        """Ask `question`, which is marked, with the files that it mentions as `@path`, and use its folders `@DIR/`.

        What pasted parts of it mention goes along only as far as it is in `pasted`. If it was not `typed`, it answers
        no request. If Ctrl-C stops it before its answer begins, it is in the input line again.
        """
        waiting, text, servers = self.context.waiting, plain(question), self.conversation.mcp_servers
        settings = self.context.settings
        try:
            found = await asyncio.to_thread(find_mentioned, typed_mentions(question), servers.names)
            read = partial(read_attachment, allow_private=settings.allow_private_urls, timeout=settings.timeout)
            files = (*found.files, *pasted.files)
            # Without files there is nothing to stop here: a question of words alone is stopped as a turn, and kept.
            mentioned = await self.conversation.read(lambda: list(map(read, files))) if files else []
            mentioned += await servers.read_resources([*found.resources, *pasted.resources])
            if folders := [*found.folders, *pasted.folders]:
                check_takes_documents(self.conversation)
                yield await add_documents(self.conversation, folders)
        except ChatcliError as error:
            yield events.Notice(f"{error.message}. {error.remedy}".rstrip(), "error")
            if isinstance(error, InterruptedTurnError):
                self._prefill(self._line)
                if self._prompt.left:  # nobody sees that line again
                    async for event in self.conversation.store_without_asking(Ask(text, waiting)):
                        yield event
            return
        if missing := found.missing:
            names = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            yield events.Notice(f"there is no file {names}: sent as text", "warning")
        if not self.conversation.takes_recall and any(each.kind == "recalled" for each in waiting):
            yield drop_recalled(self.context)
        attachments, self.context.waiting = (*self.context.waiting, *mentioned), ()
        asked, begun = Ask(text, attachments, typed=typed), False
        stopped = self._stopped or self._prompt.left
        run = self.conversation.store_without_asking if stopped else self.conversation.run
        async with aclosing(run(asked)) as turn:
            async for event in turn:
                yield event
                begun |= isinstance(event, events.TextDelta | events.ToolCallStarted)
        unanswered = self._stopped and not begun and isinstance(event, events.TurnInterrupted) and not event.content
        if unanswered and await self.conversation.take_back():
            self.context.waiting = waiting
            self._prefill(self._line)
            self._prompt.skip_line_before_next()
            yield events.Notice("no answer had begun: your question is in the input line again")

    async def _work(self, work: Awaitable[events.Event | None], interrupt: Callable[[], None] | None = None) -> None:
        """Await `work` on a line, whose result is the last event, and read keys meanwhile; `interrupt` stops it."""
        began = time.monotonic()
        self._interrupt = interrupt or self.conversation.interrupt
        self._stopped = False
        with self._reading:
            self._read_keys()
            if starting := not self.conversation.engine.is_open:
                self._renderer.render(display.ProgramStarting(time.monotonic() - self.entered))
            last = await work
            if starting:
                self._renderer.render(display.ProgramStarting(None))
            if is_waiting(last):
                self._draft.hold()
            if isinstance(last, events.TurnFinished):
                provider = self.conversation.model_name.provider
                if offer := offer_provider(self.context.settings, provider):
                    self._renderer.render(events.Notice(offer))
            await self._call_user(last, time.monotonic() - began)
            if isinstance(last, events.TerminalEvent):
                await self.conversation.begin_title(last)
        if isinstance(last, events.TerminalEvent) and not is_waiting(last):
            self._prompt.skip_line_before_next()
        if is_waiting(last):
            await self.decide()
        elif isinstance(last, display.ShellFinished) and last.output.strip():
            # It is sent only if the user inserts it.
            text = f"\n```console\n$ {last.command}\n{last.output.rstrip()}\n```\n"
            self._prompt.pastes.offered = self._prompt.pastes.add(f"output of {last.command}", text)
            self._renderer.render(events.Notice("Ctrl-X Ctrl-O puts this output into your question"))

    def _read_keys(self) -> None:
        """Read keys until `_reading` is closed."""
        loop = asyncio.get_running_loop()

        def stop() -> None:
            self._stopped = True
            self._interrupt()

        loop.add_signal_handler(signal.SIGINT, stop)
        self._reading.callback(loop.remove_signal_handler, signal.SIGINT)
        self._draft = self._reading.enter_context(busy(self._prompt, self._renderer.render, stop))

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Leave the keyboard to a question of the running command in a `with` block."""
        self._renderer.render(display.ProgramStarting(None))
        self._reading.close()
        try:
            yield
        finally:
            self._interrupt = self.conversation.interrupt
            self._read_keys()

    async def _show_all(self, given: AsyncIterator[events.Event]) -> events.Event | None:
        return await consume(given, self._renderer, hides=is_decided_by_key)

    async def _command(self, parsed: ParsedCommand) -> events.Event | None:
        """Run a command, and the turn that follows it; return the last event."""
        self._shown = None
        request = await registry.run_command(parsed, self.context)
        if request is None or self._prompt.left:
            return self._shown
        return await self._show_all(self.conversation.run(request))

    async def _call_user(self, last: events.Event | None, seconds: float) -> None:
        """Ring, if the user looks elsewhere, for the last event of a line that took `seconds`."""
        settings, focus = self.context.settings, self._prompt.focus
        if not focus.away or not (text := news(last, seconds, settings.notify_after)):
            return
        if settings.notify == "auto":
            title = await asyncio.to_thread(_title, self.conversation)
            focus.send(notification(command(), f"{text}: {title}" if title else text, os.environ))
        focus.send(BELL)

    async def decide(self) -> None:
        """Let the user decide by keys on the calls that the thread waits for, or fill in the form of a server."""
        try:
            request = await (await self.conversation.session()).open_request()
        except ChatcliError as error:
            self._renderer.render(events.Notice(f"{error.message}. {error.remedy}".rstrip(), "error"))
            return
        if request is None:
            return
        if is_form(request.payload):
            answer = await read_form_answer(self._prompt, self._renderer.render, request)
        elif is_decided_by_key(request):
            answer = await read_decisions(self._prompt, self._renderer.render, request)
        else:
            return
        if answer is not None:
            await self._work(self._show_all(self.conversation.run(Ask(answer, typed=True))))

    # What commands ask of the screen: see `Screen`.

    async def show(self, event: events.Event) -> None:
        """Show `event`, unless the user is to decide on it by keys."""
        self._shown = event
        if not is_decided_by_key(event):
            self._renderer.render(event)

    async def choose(self, what: str, choices: Sequence[registry.Choice], printed: events.Event | None = None) -> str:
        """Let the user pick from a list, and return the choice; in plain text, show `printed` instead."""
        if self._prompt.plain and printed is not None:
            self._renderer.render(printed)
            return ""
        with self._asking():
            return await self._pick(what, choices)

    async def _pick(self, what: str, choices: Sequence[registry.Choice]) -> str:
        if self._prompt.left:
            return ""
        if self._prompt.plain:
            picked = await read_choice(self._prompt, what, choices, self._renderer.render)
        else:
            picker = Picker(self._prompt, what, choices)
            self._interrupt = picker.leave
            picked = await picker.pick()
        return "" if picked is None else picked.argument or picked.name

    async def walk(
        self, rows: Sequence[TreeRow], read: Callable[[int], Awaitable[Mapping[int, Excerpt]]]
    ) -> str | None:
        """Return the command that the user chooses in the tree; None in plain text."""
        if self._prompt.plain or self._prompt.left:
            return None
        with self._asking():
            walk = TreeWalk(self._prompt, rows)
            self._interrupt = walk.leave
            return await walk.choose(read)

    async def confirm(self, question: str, line: str, *, by_key: bool = False) -> bool | None:
        """Return the user's answer to `question`."""
        with self._asking():
            if by_key:
                key = await read_key(self._prompt, self._renderer.render, {"y": "yes", "n": "no"}, question)
                agreed = {"y": True, "n": False}.get(key)
            else:
                agreed = await self._agrees(question) or None
        if agreed is None:
            self._renderer.render(events.Notice("nothing was changed"))
        return agreed

    async def _agrees(self, question: str) -> bool:
        return (await self._prompt.line(f"{question} [y/N] ") or "").lower() in ("y", "yes")

    async def ask_key(self, provider: str) -> bool:
        """Ask for a key, and offer to save it."""
        title = PROVIDERS[provider].title
        with self._asking():
            key = Secret(await self._prompt.line(f"Key for {title}: ", hidden=True) or "")
            if not key:
                self._renderer.render(events.Notice(f"{title} needs a key, and you gave none", "error"))
                return False
            self.context.settings.credentials.use_key(provider, key)
            if await self._agrees("Keep the key for the next time?"):
                kept = await asyncio.to_thread(save_key, provider, key)
                self._renderer.render(events.Notice(f"the key of {title} is kept in {kept}"))
        return True

    async def edit(self, path: Path) -> None:
        """Open the user's editor on the file at `path`."""
        with self._asking(), self._prompt.given_away():
            await asyncio.to_thread(edit_in_editor, path)

    def prefill(self, text: str, *, optional: bool = False, in_editor: bool = False) -> None:
        """Let the next line begin with `text`; what was typed for the editor may give orders."""
        typed = in_editor and plain(self._line) == self._line
        self._prefill(text if typed else mark(text), optional=optional, in_editor=in_editor)


def _title(conversation: Conversation) -> str:
    """Return the title of the thread; empty if it has none, or its store can't be read now."""
    if not (conversation.backend.runs_here and conversation.backend.keeps_threads):
        return ""  # a server would be asked for each line
    with suppress(ChatcliError):
        found = conversation.backend.threads().find(conversation.thread_id)
        return "" if found is None else sanitize_line(found.title)
    return ""
