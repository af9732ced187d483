"""The prompts of a session: questions, answers to what its thread waits for, and slash commands."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from langchain_core.tools import ToolException
from langgraph.errors import GraphRecursionError

from chatcli import events
from chatcli.attachments.attachment import Attachment
from chatcli.commands import registry
from chatcli.commands.lines import ParsedCommand, parse_command, parse_question
from chatcli.commands.threads import drop_recalled
from chatcli.config.providers import PROVIDERS
from chatcli.config.settings import ToolMode
from chatcli.errors import ChatcliError, CutAnswerError, MissingKeyError, UsageError
from chatcli.message import is_review
from chatcli.models.prices import spent
from chatcli.serve.acp.asking import Asker, InWordsError, read_words, words_decide
from chatcli.serve.acp.client import DismissedError, Fields, StoppedError, Terminal, invalid
from chatcli.serve.acp.prompts import read_prompt
from chatcli.serve.acp.session import EditorSession
from chatcli.serve.acp.updates import Updates, diff, history, listing_text, plan_of, status_update, text_chunk
from chatcli.sessions.interrupt_answers import read_answer
from chatcli.sessions.requests import Ask, Continue, Resume
from chatcli.sessions.stream import read_todos

END, CANCELLED, REFUSAL = "end_turn", "cancelled", "refusal"
_REASONS = {"length": "max_tokens", "max_tokens": "max_tokens", "content_filter": REFUSAL, "refusal": REFUSAL}


@dataclass(slots=True)
class Outcome:
    """How a turn, or a command, ended."""

    last: events.Event | None = None
    waits_for: list[events.ApprovalRequested] = field(default_factory=list)
    stopped: str = ""
    """Where the graph stopped at a breakpoint, in words."""


class Turns:
    """Runs the prompts of `session`, one after the other; its commands have this as their screen."""

    def __init__(self, session: EditorSession) -> None:
        self.id = session.id
        self.conversation = session.conversation
        self.settings = session.settings
        self.shown_model = str(session.conversation.model_name)
        """The model as the editor shows it."""
        self._session = session
        self._workspace = session.workspace
        self._updates = Updates(session.folder)
        if isinstance(session.workspace.terminal, Terminal):
            session.workspace.terminal.shown = self._updates.shown
        self._asker = Asker(session.client, self.id, self._updates)
        self.closing = False
        """Whether the session ends: then a question that is open is not answered by it."""
        self._stop = asyncio.Event()
        """What stops the prompt that runs."""
        self._asking: asyncio.Task[Any] | None = None
        self._answers: dict[str, Any] = {}
        """The answers to some of several requests, by ID, until all are there."""
        self._in_words: set[str] = set()
        """The requests that a prompt answers."""
        self._title = ""
        self._spent: Counter[str] = Counter()
        """The tokens that the turns of the prompt used."""
        root = self._workspace.root
        self._context = registry.CommandContext(self.conversation, session.commands, self.settings, self, folder=root)

    async def show_state(self) -> None:
        """Show what the thread waits for, so that the next prompt can answer it, and what of the window it takes."""
        for request in await (await self.conversation.session()).pending():
            if not is_review(request.payload):  # about calls, the user is asked when the next prompt comes
                self._in_words.add(request.interrupt_id)
            await self._asker.show(request)
        if not self.conversation.has_own_graph:
            fitted = await (await self.conversation.chat_session()).context()
            await self._send_usage(fitted.tokens, fitted.budget)

    async def replay(self) -> None:
        """Show the thread's messages again, and its list of what is to be done."""
        session = await self.conversation.session()
        await self._update(*history(await session.messages(), self._updates))
        if todos := read_todos(await session.state()):
            await self._update(plan_of(todos))
        waiting = await session.pending()
        if not any(is_review(request.payload) for request in waiting):
            await self._update(*self._updates.end_calls())

    def stop_asking(self) -> None:
        """End the question that the user is asked."""
        if self._asking is not None:
            self._asking.cancel()

    async def run(self, blocks: Any, stop: asyncio.Event, mode: ToolMode | None) -> Fields:
        """Run the prompt `blocks` until `stop` is set, and return why it ended.

        The `mode` decides which calls of tools run unasked; it is None where there are no tools. Raises `StoppedError`
        if it was stopped, `RequestError` if the blocks are not those of a prompt, and another `ChatcliError` if the
        turn failed.
        """
        self._stop = stop
        self._check_stop()
        text, attachments, problems = await self.conversation.read(
            partial(read_prompt, blocks, self.settings, self._workspace)
        )
        for problem in problems:
            await self._update(text_chunk(f"{problem}\n", "agent_thought_chunk"))
        if not text and not attachments:
            raise invalid("the prompt is empty")
        self._spent.clear()
        self._check_stop()
        if mode is not None:
            (await self.conversation.chat_session()).toolbox.rules.mode = mode
        try:
            command = parse_command(text)
            found = None if command is None else self._context.registry.find(command.name)
            if command is not None and found is not None and found.in_editor:
                reason = await self._obey(command)
            else:
                reason = await self._ask(parse_question(text), attachments)
        finally:
            if not self._in_words:
                await self._update(*self._updates.end_calls())
            with suppress(ChatcliError):  # then what ended the prompt is reported
                await self._show_changes()
        return {"stopReason": reason, **({"usage": dict(self._spent)} if self._spent["totalTokens"] else {})}

    async def _obey(self, command: ParsedCommand) -> str:
        if command.name == "docs":
            command = ParsedCommand(command.name, self._in_folder(command.arguments))
        request = await registry.run_command(command, self._context)
        self._check_stop()
        return END if request is None else await self._follow(await self._show_turn(self.conversation.run(request)))

    async def show(self, event: events.Event) -> None:
        """Show `event`, if an editor has a place for it."""
        await self._update(*self._updates.of(event))

    async def choose(self, what: str, choices: Sequence[registry.Choice], printed: events.Event | None = None) -> str:
        """Show the choices: the next prompt names one."""
        if printed is not None:
            await self.show(printed)
        if not any(choice.argument for choice in choices):  # each is named as it is given
            listing = listing_text(registry.choices_listing(what, choices))
            await self._update(text_chunk(f"{listing}\n\nChoose one: `/{what} NAME`\n"))
        return ""

    async def walk(self, rows: object, read: object) -> None:
        """Return None: an editor shows no tree."""

    async def confirm(self, question: str, line: str, *, by_key: bool = False) -> bool | None:
        """Return the user's answer; where the editor can't ask, a prompt with `line` is a yes."""
        try:
            return bool(await self._interruptible(self._asker.confirm(question, "Yes", "No")))
        except InWordsError:
            await self._update(text_chunk(f"{question} Send `{line}` for yes.\n"))
        except StoppedError:  # it ends the prompt, not the command alone
            self._stop.set()
        return None

    async def ask_key(self, provider: str) -> bool:
        """Raise `MissingKeyError`, as a key is no text of a conversation."""
        title, variable = PROVIDERS[provider].title, PROVIDERS[provider].key_variables[0]
        raise MissingKeyError(f"{title} needs a key", remedy=f"Set {variable}.", provider=provider)

    async def edit(self, path: Path) -> None:
        """Show where the file is."""
        await self._update(text_chunk(f"The facts are in {path}\n"))

    def prefill(self, text: str, *, optional: bool = False, in_editor: bool = False) -> None:
        """Do nothing: the input is the editor's."""

    def _in_folder(self, arguments: str) -> str:
        """Return the arguments of /docs with a path in the session's folder, not in the process's."""
        word, blank, path = arguments.partition(" ")
        path = path.strip().strip("'\"")
        return f"{word} {self._workspace.root / path}" if blank and path and not path.startswith("~") else arguments

    async def _ask(self, text: str, attachments: Sequence[Attachment]) -> str:
        """Ask `text`, or answer with it what the thread waits for; then go on until nothing is waited for."""
        session = await self.conversation.session()
        pending = list(await session.pending(shown=False))
        if pending and (reason := await self._settle(pending, Ask(text, attachments))):
            return reason
        if pending:
            await self._update(text_chunk("\n\n"))  # between its answer and that to the question
        if (notice := await session.stopped_notice()) is not None:
            reason = await self._follow(Outcome(stopped=notice.text))
            if reason != END or self._in_words:
                return reason
            if (notice := await session.stopped_notice()) is not None:
                await self._update(text_chunk(f"{notice.text}\n"))
                return END
        self._check_stop()
        if self._context.waiting and not self.conversation.takes_recall:
            await self._update(*self._updates.of(drop_recalled(self._context)))
        attachments, self._context.waiting = (*self._context.waiting, *attachments), ()
        return await self._follow(await self._show_turn(self.conversation.run(Ask(text, attachments))))

    async def _settle(self, pending: Sequence[events.ApprovalRequested], question: Ask) -> str:
        """Answer what the thread waits for, with `question` if that fits; return why the prompt ends, else ""."""
        try:
            answered = self._answer_in_words(pending, question.text)
        except UsageError as error:
            await self._update(text_chunk(f"{error.message}. {error.remedy}\n"))
            return END
        try:
            reason = await self._follow(Outcome(waits_for=list(pending)))
        except DismissedError:
            if not (answered or self._stop.is_set()):
                return ""
            if not answered:
                await self._show_turn(self.conversation.store_without_asking(question))
            raise
        return reason if answered or reason != END or self._in_words else ""

    async def _goes_on(self, notice: str) -> bool:
        """Return whether the user lets a graph go on that stopped at a breakpoint."""
        with suppress(InWordsError):
            return bool(await self._interruptible(self._asker.confirm(notice, "Go on", "Stay here")))
        return False

    async def _follow(self, outcome: Outcome) -> str:
        """Answer what the turn of `outcome` waits for, and the next one; return why the prompt ends."""
        while outcome.waits_for or outcome.stopped:
            if outcome.stopped:
                if not await self._goes_on(outcome.stopped):
                    return END
                turn = self.conversation.run(Continue())
            elif (answers := await self._answer_or_refuse(outcome.waits_for)) is not None:
                turn = self.conversation.run(Resume(answers))
            else:
                return END
            outcome = await self._show_turn(turn)
        match outcome.last:
            case events.TurnInterrupted():
                if not self.closing:  # the graph may not have reached the calls that were decided on
                    await self._refuse(await (await self.conversation.session()).pending(shown=False))
                return CANCELLED
            case events.TurnFailed(error=error):
                return await self._failed(error)
            case events.TurnFinished(finish_reason=reason):
                return _REASONS.get(reason, END)
            case _:
                return END

    async def _failed(self, error: ChatcliError) -> str:
        """Return why the prompt ends after `error`; raise it unless the protocol has a reason for it."""
        too_long = isinstance(error.__cause__, GraphRecursionError)
        if not too_long and not isinstance(error, CutAnswerError):
            raise error
        await self._update(text_chunk(f"\n\n{error.message}. {error.remedy}\n"))
        return "max_turn_requests" if too_long else REFUSAL

    def _answer_in_words(self, pending: Sequence[events.ApprovalRequested], text: str) -> bool:
        """Let `text` answer the first of `pending` that is open; return whether it did."""
        request = next((request for request in pending if request.interrupt_id not in self._answers), None)
        if request is None:
            return False
        if not is_review(request.payload):
            answer = read_words(request, text)
        elif request.interrupt_id in self._in_words:
            answer = read_answer(request, text)
        elif (answer := words_decide(request, text)) is None:
            return False
        self._answers[request.interrupt_id] = answer
        self._in_words.discard(request.interrupt_id)
        return True

    async def _answer_or_refuse(self, requests: Sequence[events.ApprovalRequested]) -> dict[str, Any] | None:
        """Return the answers of `_answer_all`; where the user dismisses a question about calls, these are refused."""
        try:
            answers = await self._answer_all(requests)
            self._check_stop()
        except DismissedError:
            await self._refuse(requests)
            raise
        return answers

    async def _refuse(self, requests: Sequence[events.ApprovalRequested]) -> None:
        reviews = [request for request in requests if is_review(request.payload)]
        if reviews and not await self.conversation.refuse_calls():
            for request in reviews:  # the next prompt gives the answer
                with suppress(UsageError):  # no decision here is a no
                    self._answers[request.interrupt_id] = read_answer(request, "reject")

    async def _answer_all(self, requests: Sequence[events.ApprovalRequested]) -> dict[str, Any] | None:
        """Return the user's answer to each of `requests`, by ID; None where the next prompt is to answer one."""
        ids = {request.interrupt_id for request in requests}
        self._answers = {key: value for key, value in self._answers.items() if key in ids}
        self._in_words &= ids
        await (await self.conversation.session()).pending()  # the user sees them now
        for request in requests:
            if request.interrupt_id in self._answers:
                continue
            if request.interrupt_id in self._in_words:
                return None
            toolbox = None if self.conversation.has_own_graph else (await self.conversation.chat_session()).toolbox
            try:
                answer = await self._interruptible(self._asker.ask(request, toolbox))
            except InWordsError:
                self._in_words.add(request.interrupt_id)
                return None
            self._answers[request.interrupt_id] = answer
        answers, self._answers = self._answers, {}
        return answers

    async def _interruptible(self, asking: Any) -> Any:
        """Await a question to the user, which `cancel` ends."""
        self._check_stop()
        self._asking = asyncio.ensure_future(asking)
        try:
            return await self._asking
        except asyncio.CancelledError:
            self._check_stop()
            raise
        finally:
            self._asking = None

    async def _show_turn(self, turn: AsyncGenerator[events.Event, None]) -> Outcome:
        outcome = Outcome()
        async with aclosing(turn) as closing:
            async for event in closing:
                if isinstance(event, events.ApprovalRequested):
                    outcome.waits_for.append(event)
                elif isinstance(event, events.ToolCallStarted):
                    await self._start_call(event)
                else:
                    await self._update(*self._updates.of(event))
                if isinstance(event, events.TurnFinished):
                    used = event.usage
                    self._spent.update(
                        inputTokens=used.input_tokens, outputTokens=used.output_tokens, totalTokens=used.total_tokens
                    )
                    await self._send_usage(event.context_tokens, event.context_budget)
                    if event.finish_reason == events.STOPPED and (
                        notice := await (await self.conversation.session()).stopped_notice()
                    ):
                        outcome.stopped = notice.text
                outcome.last = event
        return outcome

    async def _start_call(self, event: events.ToolCallStarted) -> None:
        """Show a call that begins; of one that changes a file, the change."""
        if event.name == "write_todos" and (todos := read_todos(event.arguments)):
            self._updates.hidden.add(event.call_id)
            await self._update(plan_of(todos))
            return
        chat = None if self.conversation.has_own_graph else await self.conversation.chat_session()
        tool = chat.toolbox.tools.get(event.name) if chat is not None else None
        content: list[Fields] = []
        if chat is not None and tool is not None and tool.changes:
            with suppress(ToolException):  # it is not run either
                change = await asyncio.to_thread(chat.toolbox.plan, tool, event.arguments)
                content = [diff(str(self._updates.root / change.shown), change.before, change.after or "")]
        await self._update(self._updates.start(event.call_id, event.name, event.arguments, content))
        rules = await chat.allowed() if chat is not None else []
        if chat is None or tool is None or chat.toolbox.rules.allows(tool, event.arguments, rules):
            await self._update(status_update(self._updates.shown[event.call_id], "in_progress"))

    async def _send_usage(self, used: int, size: int | None) -> None:
        """Send how many tokens of the model's window are used, and what the thread has cost, if that is known."""
        if size is None:  # the protocol has no update without it
            return
        update: Fields = {"sessionUpdate": "usage_update", "used": used, "size": size}
        paid = await asyncio.to_thread(spent, await self.conversation.answered())
        if paid.complete or paid.cost_usd:
            update["cost"] = {"amount": paid.cost_usd, "currency": "USD"}
        await self._update(update)

    async def _show_changes(self) -> None:
        """Send the session's title and its model where they are others now."""
        found = await asyncio.to_thread((await self.conversation.threads()).find, self.id)
        if found is not None:
            if found.title != self._title:
                self._title = found.title
                info = {"title": found.title, "updatedAt": found.updated_at}
                await self._update({"sessionUpdate": "session_info_update", **info})
            if (backend := self.conversation.backend).keeps_threads:  # editors list sessions by their folders
                with suppress(OSError):  # then it is listed without
                    await asyncio.to_thread(backend.grants(self.id).name, "folder", str(self._updates.root))
        if str(self.conversation.model_name) != self.shown_model:
            self.shown_model = str(self.conversation.model_name)
            await self._update({"sessionUpdate": "config_option_update", "configOptions": self._session.options()})

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise StoppedError if self.closing else DismissedError

    async def _update(self, *updates: Fields) -> None:
        terminal = self._workspace.terminal
        for update in updates:
            ends = update["sessionUpdate"] == "tool_call_update" and update.get("status") in ("completed", "failed")
            if ends and isinstance(terminal, Terminal) and update["toolCallId"] in terminal.calls:
                terminal.calls.discard(update["toolCallId"])
                update.pop("content", None)  # the terminal stays in its place
            await self._session.client.update(self.id, update)
