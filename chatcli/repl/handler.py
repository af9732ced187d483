"""Handle a line: a slash command (which may let the user pick something), a shell command or a question."""

import asyncio
import codecs
import os
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from pathlib import Path

from chatcli import events
from chatcli.attachments.attachment import Attachment, read_attachment
from chatcli.commands import registry
from chatcli.commands.all import all_commands
from chatcli.commands.documents import add_documents, check_takes_documents
from chatcli.commands.threads import drop_recalled
from chatcli.commands.tree import LIST
from chatcli.config.credentials import save_key
from chatcli.config.providers import PROVIDERS, Provider
from chatcli.config.secrets import Secret
from chatcli.config.settings import Settings
from chatcli.conversation.conversation import Conversation
from chatcli.errors import ChatcliError, InterruptedTurnError, UsageError
from chatcli.message import is_form
from chatcli.models.local.choice import offer_provider
from chatcli.rendering.renderer import Renderer, consume
from chatcli.repl.decisions import is_decided_by_key, read_decisions, read_form_answer, read_key
from chatcli.repl.mentions import Mentioned, find_mentioned, find_pasted
from chatcli.repl.notify import BELL, is_waiting, news, notification
from chatcli.repl.pastes import holds_folded, mark, plain, typed_mentions
from chatcli.repl.picker import Picker, TreeWalk, read_choice
from chatcli.repl.prompt import Prompt
from chatcli.repl.toolbar import Toolbar, thread_titles
from chatcli.repl.typeahead import busy
from chatcli.runtime.editor import edit_in_editor
from chatcli.runtime.program import command
from chatcli.sanitize import sanitize_line
from chatcli.sessions.requests import Ask
from chatcli.tools.leash import missed_interrupt

KEPT = 1_000_000
"""The most characters of a command's output that are kept for a question; the end of a longer output is kept."""
_POLL_SECONDS = 0.05


class ShellCommand:
    """Runs `command` in the user's shell; its output becomes events.

    The command has no access to the keyboard and the terminal, since the input line uses them.
    """

    def __init__(self, command: str) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._done = False
        self._ending: asyncio.Task[None] | None = None
        """Ends what an interrupted shell leaves running; None if nothing was interrupted."""

    async def run(self) -> AsyncIterator[events.Event]:
        """Yield the output as it arrives, then the exit code; closing the generator early kills the command."""
        self._process = process = await asyncio.create_subprocess_exec(
            os.environ.get("SHELL") or "/bin/sh",
            "-c",
            self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        output = ""
        try:
            while data := await process.stdout.read(65536):
                text = decoder.decode(data)
                output = (output + text)[-KEPT:]
                yield events.ShellOutput(text)
            code = await process.wait()
            if self._ending is not None:
                await self._ending
            self._done = True
            yield events.ShellFinished(self._command, output, code if code >= 0 else 128 - code)
        finally:
            self._send(signal.SIGKILL)
            await process.wait()

    def interrupt(self) -> None:
        """Interrupt the command, as Ctrl-C does; the second time, or once the shell itself is over, kill it.

        What an interrupted shell leaves running is killed too, such as its background jobs, which ignore interrupts.
        """
        if self._process is None:
            return
        if self._ending is not None or self._process.returncode is not None:
            self._send(signal.SIGKILL)
        else:
            self._send(signal.SIGINT)
            self._ending = asyncio.ensure_future(self._end(self._process))

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        while process.returncode is None:  # `wait` would also wait for the output of what is left
            await asyncio.sleep(_POLL_SECONDS)
            for missed in missed_interrupt(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(missed, signal.SIGINT)
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and not self._done:
            with suppress(ProcessLookupError, PermissionError):  # it has just ended (macOS), or runs as another user
                os.killpg(self._process.pid, number)


class LineHandler:
    """Handles the lines of `prompt`, which go to the conversation of `context`; `renderer` shows their events."""

    def __init__(self, context: registry.CommandContext, renderer: Renderer, prompt: Prompt) -> None:
        self.conversation = context.conversation
        self.leaving = False
        self.on_open: Callable[[], None] = lambda: None
        self.entered = 0.0
        """When the line was entered, by the monotonic clock."""
        self._context = context
        self._renderer = renderer
        self._prompt = prompt
        self._interrupt = self.conversation.interrupt
        self._line, self._stopped = "", False
        """The line that was entered, with its marks, and whether Ctrl-C has stopped it."""

    async def handle(self, line: str) -> None:
        """Run the command in `line`, or ask the question."""
        self._line = line
        command, shell_line = registry.parse_word(line) or registry.parse_command(line), registry.parse_shell(line)
        if (command or shell_line) and holds_folded(line):
            self._prefill(line)
            problem = "a folded paste can't be part of a command: look at it by Ctrl-X Ctrl-E"
            self._renderer.render(events.Notice(problem))
        elif command:
            typed = registry.ParsedCommand(plain(command.name), plain(command.arguments))
            await self._consume(registry.run_command(typed, self._context))
        elif shell_line:
            shell = ShellCommand(plain(shell_line))
            await self._consume(shell.run(), shell.interrupt)
        else:
            question = registry.parse_question(line)
            if (pasted := await self._choose_pasted(question)) is None:
                self._prefill(line)
                self._renderer.render(events.Notice("nothing was sent"))
            else:
                await self._consume(self._ask(question, pasted))

    async def keep(self, line: str) -> None:
        """Store the question `line` without asking it; do nothing if `line` is a command."""
        if not (registry.parse_word(line) or registry.parse_command(line) or registry.parse_shell(line)):
            question = Ask(plain(registry.parse_question(line)), self._context.waiting)
            await self._consume(self.conversation.store_without_asking(question))

    def _prefill(self, line: str, *, optional: bool = True) -> None:
        """Let the next line begin with the marked `line`, see `Prompt.prefill`."""
        self._prompt.prefill(self._prompt.pastes.fold_again(line), optional=optional)

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
        offered = events.KeysOffered({"y": "yes", "n": "no (Enter)"}, asked)
        key = await read_key(self._prompt, self._renderer.render, offered, default="n")
        return {"y": pasted, "n": Mentioned()}.get(key)

    async def ask_first(self, text: str, resources: Sequence[tuple[str, str]] = ()) -> None:
        """Ask the question of the command line, never a command or an answer, with `resources`: a server and a URI."""
        self._line = mark(text)
        await self._consume(self._ask(self._line, Mentioned(resources=tuple(resources)), typed=False))

    async def pick(self, offered: events.ChoicesOffered | events.TreeOffered) -> None:
        """Let the user choose from what is `offered`, and do it; in plain text, print instead."""
        if isinstance(offered, events.TreeOffered):
            command = await self._walk(offered.rows)
        elif offered.printed and self._prompt.plain:
            for event in offered.printed:
                self._renderer.render(event)
            return
        else:
            if self._prompt.plain:
                choice = await read_choice(self._prompt, offered, self._renderer.render)
            else:
                picker = Picker(self._prompt, offered)
                self._interrupt = picker.leave
                choice = await picker.pick()
            command = (
                None if choice is None else registry.ParsedCommand(offered.command, choice.argument or choice.name)
            )
        if command is not None:
            await self._consume(registry.run_command(command, self._context))

    async def _walk(self, rows: Sequence[events.TreeRow]) -> registry.ParsedCommand | None:
        """Return the user's choice in the tree of `rows`; in plain text, print the tree."""
        if self._prompt.plain:
            return registry.ParsedCommand("tree", LIST)
        session = await self.conversation.session()
        walk = TreeWalk(self._prompt, rows)
        self._interrupt = walk.leave
        return registry.parse_command(await walk.choose(session.said_around))

    def interrupt(self) -> None:
        """Stop what is running."""
        self._interrupt()

    async def _ask(self, question: str, pasted: Mentioned, *, typed: bool = True) -> AsyncGenerator[events.Event, None]:
        """Ask `question`, which is marked, with the files that it mentions as `@path`, and use its folders `@DIR/`.

        What pasted parts of it mention goes along only as far as it is in `pasted`. If it was not `typed`, it answers
        no request. If Ctrl-C stops it before its answer begins, it is in the input line again.
        """
        waiting, text, servers = self._context.waiting, plain(question), self.conversation.mcp_servers
        try:
            found = await asyncio.to_thread(find_mentioned, typed_mentions(question), servers.names)
            mentioned = await asyncio.to_thread(lambda: list(map(read_attachment, (*found.files, *pasted.files))))
            mentioned += await servers.read_resources([*found.resources, *pasted.resources])
            if folders := [*found.folders, *pasted.folders]:
                check_takes_documents(self.conversation)
                yield await add_documents(self.conversation, folders)
        except ChatcliError as error:
            yield events.Notice(f"{error.message}. {error.remedy}".rstrip(), "error")
            if isinstance(error, InterruptedTurnError):
                self._prefill(self._line)
            return
        if missing := found.missing:
            names = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            yield events.Notice(f"there is no file {names}: sent as text", "warning")
        if not self.conversation.takes_recall and any(each.kind == "recalled" for each in waiting):
            yield drop_recalled(self._context)
        attachments, self._context.waiting = (*self._context.waiting, *mentioned), ()
        asked, begun = Ask(text, attachments, typed=typed), False
        run = self.conversation.store_without_asking if self._stopped else self.conversation.run
        async with aclosing(run(asked)) as turn:
            async for event in turn:
                yield event
                begun |= isinstance(event, events.TextDelta | events.ToolCallStarted)
        unanswered = self._stopped and not begun and isinstance(event, events.TurnInterrupted) and not event.content
        if unanswered and await self.conversation.take_back():
            self._context.waiting = waiting
            self._prefill(self._line)
            self._prompt.skip_line_before_next()
            yield events.Notice("no answer had begun: your question is in the input line again")

    async def _consume(self, given: AsyncIterator[events.Event], interrupt: Callable[[], None] | None = None) -> None:
        loop, began = asyncio.get_running_loop(), time.monotonic()
        self._interrupt = interrupt or self.conversation.interrupt
        self._stopped = False

        def stop() -> None:
            self._stopped = True
            self._interrupt()

        loop.add_signal_handler(signal.SIGINT, stop)
        try:
            with busy(self._prompt, self._renderer.render, stop) as draft:
                if starting := not self.conversation.engine.is_open:
                    self._renderer.render(events.ProgramStarting(time.monotonic() - self.entered))
                last = await consume(given, self._renderer, hides=is_decided_by_key)
                if starting:
                    self._renderer.render(events.ProgramStarting(None))
                if is_waiting(last):
                    draft.hold()
                if isinstance(last, events.TurnFinished):
                    provider = self.conversation.model_name.provider
                    if offer := offer_provider(self._context.settings, provider):
                        self._renderer.render(events.Notice(offer))
                await self._call_user(last, time.monotonic() - began)
            if isinstance(last, events.TerminalEvent):
                await self.conversation.begin_title(last)
        finally:
            loop.remove_signal_handler(signal.SIGINT)
        if isinstance(last, events.TerminalEvent) and not is_waiting(last):
            self._prompt.skip_line_before_next()
        await (self.decide() if is_waiting(last) else self._follow(last))

    async def _call_user(self, last: events.Event | None, seconds: float) -> None:
        """Ring, if the user looks elsewhere, for the last event of a line that took `seconds`."""
        settings, focus = self._context.settings, self._prompt.focus
        if not focus.away or not (text := news(last, seconds, settings.notify_after)):
            return
        if settings.notify == "auto":
            title = await asyncio.to_thread(_title, self.conversation)
            focus.send(notification(command(), f"{text}: {title}" if title else text, os.environ))
        focus.send(BELL)

    async def _follow(self, last: events.Event | None) -> None:
        """Do what the last event of a line asks for."""
        match last:
            case events.ExitRequested():
                self.leaving = True
            case events.InputPrefilled(text, optional):
                self._prefill(mark(text), optional=optional)
            case events.EditorRequested(text, path):
                await self._edit(text, path)
            case events.ShellFinished(command, output) if output.strip():
                # It is sent only if the user inserts it.
                text = f"\n```console\n$ {command}\n{output.rstrip()}\n```\n"
                self._prompt.pastes.offered = self._prompt.pastes.add(f"output of {command}", text)
                self._renderer.render(events.Notice("Ctrl-X Ctrl-O puts this output into your question"))
            case events.ChoicesOffered() | events.TreeOffered():
                await self.pick(last)
            case events.ConfirmationRequested(question, line, otherwise):
                await self._confirm(question, line, otherwise)
            case events.KeyRequested(provider, line):
                await self._ask_key(PROVIDERS[provider], line)

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
            await self._consume(self.conversation.run(Ask(answer, typed=True)))

    async def _confirm(self, question: str, line: str, otherwise: str) -> None:
        if otherwise:
            offered = events.KeysOffered({"y": "yes", "n": "no"}, question)
            key = await read_key(self._prompt, self._renderer.render, offered)
            line = {"y": line, "n": otherwise}.get(key, "")
        elif not await self._agrees(question):
            line = ""
        if line:
            await self.handle(line)
        else:
            self._renderer.render(events.Notice("nothing was changed"))

    async def _agrees(self, question: str) -> bool:
        return (await self._prompt.line(f"{question} [y/N] ") or "").lower() in ("y", "yes")

    async def _edit(self, text: str, path: Path | None) -> None:
        """Let the user edit the file at `path`, or else the next line, which begins with `text`."""
        if path is None:
            pasted = plain(self._line) != self._line
            self._prompt.prefill(mark(text) if pasted else text, in_editor=True)
            return
        try:
            with self._prompt.given_away():
                await asyncio.to_thread(edit_in_editor, path)
        except UsageError as error:
            self._renderer.render(events.Notice(f"{error.message}. {error.remedy}", "error"))

    async def _ask_key(self, provider: Provider, line: str) -> None:
        """Ask for the key that `line` needs, offer to save it, and run the line again."""
        key = Secret(await self._prompt.line(f"Key for {provider.title}: ", hidden=True) or "")
        if not key:
            self._renderer.render(events.Notice(f"{provider.title} needs a key, and you gave none", "error"))
            return
        self._context.settings.credentials.use_key(provider.prefix, key)
        if await self._agrees("Keep the key for the next time?"):
            kept = await asyncio.to_thread(save_key, provider.prefix, key)
            self._renderer.render(events.Notice(f"the key of {provider.title} is kept in {kept}"))
        await self.handle(line)


def build_handler(
    settings: Settings,
    begin: Callable[[], Conversation],
    renderer: Renderer,
    prompt: Prompt,
    attachments: Sequence[Attachment],
    *,
    toolbar: bool,
) -> LineHandler:
    """Begin the conversation and return the handler of its lines; give the prompt a `toolbar` if there is to be one."""
    conversation = begin()
    state = Toolbar(conversation, renderer, lambda: thread_titles(conversation.backend))
    state.on_change, state.on_theme = prompt.refresh, prompt.use_theme
    context = registry.CommandContext(conversation, all_commands(), settings, waiting=tuple(attachments))
    handler = LineHandler(context, state, prompt)
    # The local model's server ends what it reads before it begins the question that is typed now.
    prompt.when_typed(conversation.expect_question)
    if toolbar:
        prompt.toolbar = state.text
        handler.on_open = state.learn_thread
        conversation.title_writer.on_end = state.learn_titles
    return handler


def _title(conversation: Conversation) -> str:
    """Return the title of the thread; empty if it has none, or its store can't be read now."""
    if not (conversation.backend.runs_here and conversation.backend.keeps_threads):
        return ""  # a server would be asked for each line
    with suppress(ChatcliError):
        found = conversation.backend.threads().find(conversation.thread_id)
        return "" if found is None else sanitize_line(found.title)
    return ""
