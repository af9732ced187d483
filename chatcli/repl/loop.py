"""The REPL: read a line, route it, show its events."""

import asyncio
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

from chatcli.attachments.attachment import Attachment
from chatcli.attachments.mentions import find_mentions
from chatcli.attachments.read import read_attachment
from chatcli.commands.registry import (
    CommandContext,
    CommandRegistry,
    ParsedCommand,
    parse_command,
    parse_question,
    parse_shell,
)
from chatcli.commands.run import run_command
from chatcli.commands.shell import ShellCommand
from chatcli.conversation import Conversation
from chatcli.errors import ChatcliError
from chatcli.events import (
    WAITING,
    ApprovalRequested,
    EditorRequested,
    Event,
    ExitRequested,
    InputPrefilled,
    KeyRequested,
    Notice,
    SaveRequested,
    ShellFinished,
    ThreadChoice,
    ThreadsOffered,
    TurnFinished,
)
from chatcli.export import ExportFormat, format_of, thread_lines, write_file
from chatcli.keys import keep_key
from chatcli.providers import PROVIDERS, Provider
from chatcli.rendering.consume import consume
from chatcli.rendering.renderer import Renderer
from chatcli.repl.hangup import silence_dead_terminal
from chatcli.repl.prompt import Prompt
from chatcli.secret import Secret
from chatcli.settings import Settings


class Repl:
    """Holds a conversation at the terminal until the user leaves.

    Args:
        conversation: What the lines go to.
        registry: The slash commands.
        settings: The user's choices, for the commands.
        renderer: Shows the events.
        prompt: The input line.

    """

    def __init__(
        self,
        conversation: Conversation,
        registry: CommandRegistry,
        settings: Settings,
        renderer: Renderer,
        prompt: Prompt,
    ) -> None:
        self._conversation = conversation
        self._context = CommandContext(conversation, registry, settings)
        self._renderer = renderer
        self._prompt = prompt
        self._leaving = False
        self._stopped = False
        self._prefill = ""
        self._in_editor = False
        self._interrupt = conversation.interrupt
        self._waiting: tuple[Attachment, ...] = ()

    async def run(
        self,
        first: str | None = None,
        attachments: Sequence[Attachment] = (),
        *,
        choices: Sequence[ThreadChoice] = (),
    ) -> bool:
        """Ask `first`, if given, then whatever is typed; return whether a signal ended it, not the user.

        The `attachments` go along with the first question. With `choices`, the user picks one of these threads before.
        """
        self._waiting = tuple(attachments)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop)
        with self._prompt.held():
            if choices:
                await self.pick(choices)
            if first is not None:
                await self._handle(self._ask(first, mentions=False))
            while not self._leaving:
                try:
                    line = await self._prompt.read(self._prefill, in_editor=self._in_editor)
                except EOFError:
                    break
                self._prefill, self._in_editor = "", False
                if line.strip():
                    await self._route(line)
        return self._stopped

    async def _route(self, line: str) -> None:
        if command := parse_command(line):
            await self._handle(run_command(command, self._context))
        elif shell_line := parse_shell(line):
            shell = ShellCommand(shell_line)
            await self._handle(shell.run(), shell.interrupt)
        else:
            await self._handle(self._ask(parse_question(line)))

    async def _ask(self, text: str, *, mentions: bool = True) -> AsyncGenerator[Event, None]:
        """Ask `text`, with the files that it mentions as `@path`."""
        try:
            mentioned = await asyncio.to_thread(_read_mentioned, text) if mentions and "@" in text else []
        except ChatcliError as error:
            yield Notice(f"{error.message}. {error.remedy}".rstrip(), "error")
            return
        attachments, self._waiting = (*self._waiting, *mentioned), ()
        # A question of the command line's is never taken for an answer.
        ask = self._conversation.say if mentions else self._conversation.run_turn
        async with aclosing(ask(text, attachments)) as events:
            async for event in events:
                yield event

    async def _handle(self, events: AsyncIterator[Event], interrupt: Callable[[], None] | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._interrupt = interrupt or self._conversation.interrupt
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        try:
            with self._prompt.busy(self._interrupt) as draft:
                last = await consume(events, self._renderer)
                waiting = isinstance(last, TurnFinished) and last.finish_reason == WAITING
                if waiting or isinstance(last, ApprovalRequested):
                    draft.hold()
        finally:
            loop.remove_signal_handler(signal.SIGINT)
        await self._follow(last)

    async def _follow(self, last: Event | None) -> None:
        """Do what the last event of a line asks of the input line."""
        match last:
            case ExitRequested():
                self._leaving = True
            case InputPrefilled(text):
                self._prefill = text
            case EditorRequested(text):
                self._prefill, self._in_editor = text, True
            case SaveRequested(path):
                await self._save(path)
            case ShellFinished() if last.output.strip():
                self._offer(last)
            case ThreadsOffered(choices):
                await self.pick(choices)
            case KeyRequested(provider, line):
                await self._ask_key(PROVIDERS[provider], line)
            case _:
                pass

    async def _save(self, path: Path) -> None:
        try:
            document = await self._conversation.document()
            await asyncio.to_thread(write_file, path, thread_lines(document, format_of(path) or ExportFormat.MD))
        except (ChatcliError, OSError) as error:
            self._renderer.render(Notice(f"{path} was not written: {error}", "error"))
        else:
            self._renderer.render(Notice(f"saved to {path}"))

    def _offer(self, shell: ShellFinished) -> None:
        """Keep a command's output at hand for the next question; nothing is sent unless the user puts it there."""
        pastes = self._prompt.pastes
        text = f"\n```console\n$ {shell.command}\n{shell.output.rstrip()}\n```\n"
        pastes.offered = pastes.add(f"output of {shell.command}", text)
        self._renderer.render(Notice("Ctrl-X Ctrl-O puts this output into your question"))

    async def pick(self, choices: Sequence[ThreadChoice]) -> None:
        """Let the user pick one of `choices`, and go on with it."""
        if (thread_id := await self._prompt.pick(choices)) is not None:
            await self._handle(run_command(ParsedCommand("thread", thread_id), self._context))

    async def _ask_key(self, provider: Provider, line: str) -> None:
        """Ask for the key that `line` needs, offer to keep it, and enter the line again."""
        key = Secret(await self._prompt.ask(f"Key for {provider.title}: ", hidden=True))
        if not key.get_secret_value():
            self._renderer.render(Notice(f"{provider.title} needs a key, and none was given", "error"))
            return
        self._context.settings.use_key(provider.prefix, key)
        if (await self._prompt.ask("Keep it for the next time? [y/N] ")).lower() in ("y", "yes"):
            kept = await asyncio.to_thread(keep_key, provider.prefix, key)
            self._renderer.render(Notice(f"the key of {provider.title} is kept in {kept}"))
        await self._route(line)

    def _stop(self) -> None:
        silence_dead_terminal()
        self._leaving = self._stopped = True
        self._interrupt()
        self._prompt.leave()


def _read_mentioned(text: str) -> list[Attachment]:
    return [read_attachment(source) for source in find_mentions(text)]
