"""Runs a one-shot or a script, and returns its exit code."""

import asyncio
import os
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from chatcli.attachments.attachment import Attachment
from chatcli.cli.report import report_traceback
from chatcli.cli.run.dispatch import Question, Request
from chatcli.cli.run.resuming import print_hint
from chatcli.config.settings import Settings
from chatcli.conversation.conversation import Conversation
from chatcli.errors import ExitCode, InternalError, StoppedGraphError, UnansweredRequestError, UsageError
from chatcli.events import STOPPED, WAITING, ApprovalRequested, Event, Notice, TurnFailed, TurnFinished, TurnInterrupted
from chatcli.message import MessageShown, is_form
from chatcli.models.local.choice import offer_provider
from chatcli.rendering.renderer import Renderer, consume
from chatcli.repl.decisions import is_decided_by_key, read_decisions, read_form_answer
from chatcli.runtime.program import current_program
from chatcli.runtime.signals import take_signals
from chatcli.sanitize import reveal
from chatcli.sessions.requests import AnswerInWords, Ask
from chatcli.text import tell

_MOST_KEYS = 1024
"""Bytes that are read at once of what is typed."""


def run_once(settings: Settings, conversation: Conversation, renderer: Renderer, request: Request) -> ExitCode:
    """Ask the `request`, show the answer with `renderer`, close it, and return the exit code."""
    with closing(renderer):
        if request.script:
            last = asyncio.run(play(conversation, renderer, request.script, request.attachments))
        else:
            last = asyncio.run(_answer(settings, conversation, renderer, request))
    reason = last.finish_reason if isinstance(last, TurnFinished) else ""
    error = last.error if isinstance(last, TurnFailed) else None
    waits = reason == WAITING or isinstance(error, UnansweredRequestError)
    stopped = reason == STOPPED or isinstance(error, StoppedGraphError)
    if (waits or stopped) and not conversation.keeps_threads:
        tell("The thread ends here. To go on with such a thread, ask in a conversation.")
    elif waits or stopped:
        print_hint(settings, conversation.backend, conversation.thread_id, stopped=stopped)
    if isinstance(last, TurnFailed) and settings.debug:
        report_traceback(last.error, settings.credentials.redact)
    return _exit_code(last)


async def _answer(settings: Settings, conversation: Conversation, renderer: Renderer, request: Request) -> Event | None:
    take_signals(asyncio.get_running_loop(), conversation.interrupt)
    try:
        if current_program().eager:
            await conversation.open()
        if request.answer is not None:
            events = conversation.run(AnswerInWords(request.answer))
        else:
            assert request.prompt is not None
            served = await conversation.mcp_servers.read_resources(request.resources)
            events = conversation.run(Ask(request.prompt, (*request.attachments, *served)))
        if not has_user(settings):
            return await consume(events, renderer)
        last = await consume(events, renderer, hides=is_decided_by_key)
        last = await answer_waiting(conversation, renderer, last)
        if isinstance(last, TurnFinished) and (offer := offer_provider(settings, conversation.model_name.provider)):
            renderer.render(Notice(offer))
        return last
    finally:
        await conversation.close()


def _exit_code(last: Event | None) -> ExitCode:
    match last:
        case TurnFinished():
            return ExitCode.OK
        case TurnInterrupted():
            return ExitCode.INTERRUPTED
        case TurnFailed(error=error):
            return error.exit_code
        case _:
            raise InternalError("the turn ended without a terminal event")


async def play(
    conversation: Conversation, renderer: Renderer, questions: Sequence[Question], attachments: Sequence[Attachment]
) -> Event | None:
    """Ask the questions, the first with `attachments`, until a turn does not finish; return the last event."""
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        conversation.interrupt()

    take_signals(asyncio.get_running_loop(), stop)
    last: Event | None = None
    try:
        for line, text in questions:
            if stopped:  # between two turns
                return TurnInterrupted(conversation.thread_id, "", str(conversation.model_name), "", 0)
            renderer.render(MessageShown("user", text))
            last = await consume(conversation.run(Ask(text, attachments)), renderer)
            attachments = ()
            waits = isinstance(last, TurnFinished) and last.finish_reason in (WAITING, STOPPED)
            if not isinstance(last, TurnFinished) or (waits and line != questions[-1][0]):
                tell(f"the script stopped at line {line}; its thread is {conversation.thread_id}")
                break
    finally:
        await conversation.close()
    return last


def has_user(settings: Settings) -> bool:
    """Return whether a user can be asked: at a terminal, without a script and without output for a program."""
    machine = settings.format in ("json", "jsonl") or settings.script is not None
    return not machine and sys.stdin.isatty() and sys.stderr.isatty()


async def answer_waiting(conversation: Conversation, renderer: Renderer, last: Event | None) -> Event | None:
    """Ask what the turn that ended with `last` waits for, until it is complete or the user leaves; return its end."""
    while isinstance(last, ApprovalRequested) or (isinstance(last, TurnFinished) and last.finish_reason == WAITING):
        text = await _read_answer(conversation, renderer)
        if not text:
            return last
        now = await consume(conversation.run(Ask(text, typed=True)), renderer, hides=is_decided_by_key)
        if not (isinstance(now, TurnFailed) and isinstance(now.error, UsageError)):  # it was no answer: ask again
            last = now
    return last


async def _read_answer(conversation: Conversation, renderer: Renderer) -> str:
    """Return the user's answer to the pending request, empty for none."""
    keyboard, request = _Keyboard(conversation), await (await conversation.session()).open_request()
    if request is not None and is_decided_by_key(request):
        decisions = await read_decisions(keyboard, renderer.render, request)
        if decisions is not None or not keyboard.begun:
            return decisions or ""
    elif request is not None and is_form(request.payload):
        return await read_form_answer(keyboard, renderer.render, request) or ""
    return await keyboard.line("> ") or ""


class _Keyboard:
    """The terminal of a one-shot: a line as the terminal edits it, or single keys."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._typed = ""
        self.begun = ""
        """What the next line begins with."""

    @contextmanager
    def single_keys(self) -> Iterator[None]:
        """Let the terminal give each key at once and show none; what was typed before, and the rest after, is lost."""
        before, now = termios.tcgetattr(sys.stdin), termios.tcgetattr(sys.stdin)
        now[3] &= ~(termios.ICANON | termios.ECHO)
        now[6][termios.VMIN], now[6][termios.VTIME] = 1, 0
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, now)
        try:
            yield
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)

    async def keys(self) -> str:
        """Return the keys that are typed next, empty for Ctrl-C."""
        self._typed = await self._read(lambda: os.read(sys.stdin.fileno(), _MOST_KEYS).decode(errors="replace"))
        return self._typed

    def unread(self) -> None:
        """Let the next line begin with what `keys` returned last."""
        self.begun = self._typed

    async def line(self, question: str, *, default: str = "") -> str | None:
        """Return the typed line, None for Ctrl-C and Ctrl-D; `default` stands above the question, to be changed."""
        begun, self.begun = self.begun, ""
        example = f"{reveal(default)}\n" if default else ""
        sys.stderr.write(f"{example}{question}{reveal(begun.strip())}")
        sys.stderr.flush()
        if begun.endswith(("\r", "\n")):
            sys.stderr.write("\n")
            return begun.strip()
        line = await self._read(sys.stdin.readline)
        return f"{begun}{line}".strip() if line else None

    async def _read(self, read: Callable[[], str]) -> str:
        """Return the text that `read` reads, empty for a signal; then let signals interrupt the conversation again."""
        loop = asyncio.get_running_loop()
        typed: asyncio.Future[str] = loop.create_future()

        def take(text: str) -> None:
            if not typed.done():
                typed.set_result(text)

        take_signals(loop, lambda: take(""))
        loop.add_reader(sys.stdin, lambda: take(read()))
        try:
            return await typed
        finally:
            loop.remove_reader(sys.stdin)
            take_signals(loop, self._conversation.interrupt)
