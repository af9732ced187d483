"""The input line."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import dropwhile
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.buffer import CompletionState
from prompt_toolkit.completion import CompleteEvent, Completer
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import vi_navigation_mode
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.key_binding import KeyPress, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import ColorDepth, DummyOutput, Output, create_output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import DynamicStyle, Style

from chatcli.repl.history import LineHistory
from chatcli.repl.keys import (
    Focus,
    Reply,
    enter_raw_mode,
    learn_sequences,
    line_keys,
    read_replies,
    read_unmarked_pastes,
    write_in_editor,
)
from chatcli.repl.pastes import Pastes, ShowPastes
from chatcli.text import FRAMES, START_INTERVAL, starting_text

GLYPH = "> "
GLYPH_COLORS = {"dark": "#5fd7d7", "light": "#005f87", "mono": ""}
"""The colour of the glyph in each theme, as that of a past question; in others it is the terminal's own cyan."""
DIM_COLORS = {"dark": "#949494", "light": "#626262"}
"""The colour of dim text in each theme, as the answers have it; in others it is the terminal's own dim style."""
_CHOSEN = "noreverse bg:#444444 #ffffff"
"""How the menu shows what is chosen: prompt-toolkit's own white on light grey is hard to read."""
_ESCAPE_SECONDS = 0.1
"""How long an Escape may be the beginning of another key."""
_COMMAND_SECONDS = 1.0
"""How long the first key of a command of vi waits for the next."""
_COMMAND_BEGUN = re.compile(r"/[\w-]*")
_MUTE_TERMINALS = ("", "dumb", "linux", "unknown")


def _typed(keys: list[KeyPress]) -> list[KeyPress]:
    """Return `keys` without what the terminal says by itself."""
    return [press for press in keys if press.key not in (Keys.CPRResponse, Keys.Ignore)]


def hold(keys: list[KeyPress]) -> list[KeyPress]:
    """Return `keys` with Enter as a newline: the lines were typed before the request that they would answer."""
    while keys and keys[-1].key is Keys.ControlM:
        keys = keys[:-1]
    return [KeyPress(Keys.ControlJ) if press.key is Keys.ControlM else press for press in keys]


async def ask_line(
    question: str, source: Input, output: Output, *, hidden: bool = False, default: str = "", **options: Any
) -> str:
    """Return the user's reply to `question`, without blanks around it; it is not shown if `hidden`.

    `question` stands before the line, which begins with `default`; `options` are others of prompt-toolkit's
    PromptSession. Raises `EOFError` at Ctrl-D, `KeyboardInterrupt` at Ctrl-C.
    """
    session: PromptSession[str] = PromptSession(question, is_password=hidden, input=source, output=output, **options)
    if not hidden or os.environ.get("TERM") != "dumb":
        return (await session.prompt_async(default=default)).strip()
    # There, prompt-toolkit shows every character as it is typed.
    session = PromptSession("", input=source, output=DummyOutput(), **options)
    with source.raw_mode():
        output.write(question)
        output.flush()
        try:
            return (await session.prompt_async()).strip()
        finally:
            output.write("\r\n")
            output.flush()


class Prompt:
    """Reads lines from the terminal, even if stdin is a pipe.

    With `keep_history`, later runs know the typed lines. With `vi`, the keys are those of vi, not of Emacs. `plain` is
    for a screen reader: there are no suggestions and no menus. If it is `spaced`, empty lines separate questions and
    answers. `asks` are requests to the terminal; `on_reply` gets what it says, but not whether it has the focus.
    """

    def __init__(
        self,
        completer: Completer,
        *,
        keep_history: bool,
        vi: bool = False,
        plain: bool = False,
        color: bool = True,
        theme: str = "auto",
        spaced: bool = True,
        asks: str = "",
        on_reply: Callable[[Reply], None] = lambda reply: None,
        asks_focus: bool = False,
    ) -> None:
        learn_sequences()
        self.plain = plain
        self.toolbar: Callable[[int], str] = lambda columns: ""
        """Returns the line below the input line, for a number of columns; empty if there is to be none."""
        self.when_shown: Callable[[], Awaitable[None]] | None = None
        """Started once, when the first prompt is on the screen: work that would delay the prompt."""
        self.when_continued: Callable[[], None] | None = None
        """Called when the process continues after another process has stopped it, if no line is being read."""
        self._begun: asyncio.Future[None] | None = None
        self._spaced, self._space_due = spaced, False
        self.use_theme(theme)
        self._prefill, self._optional, self._in_editor = "", False, False
        self._offers_commands = False
        self.pastes = Pastes(folds_all=os.environ.get("TERM") == "dumb")
        self.input = create_input(always_prefer_tty=True)
        self.output: Output = create_output(always_prefer_tty=True)
        mute = os.environ.get("TERM", "") in _MUTE_TERMINALS
        self._on_reply = on_reply
        reads_replies = not mute and read_replies(self.input, self._take_reply)
        if mute:
            read_unmarked_pastes(self.input)
        self.focus = Focus(self.output, reports=asks_focus and reads_replies and isinstance(self.output, Vt100_Output))
        self._asked = asks if reads_replies else ""
        self._leaving = asyncio.Event()
        """Set after a Ctrl-C on an empty line."""
        self.left = False
        """Whether a signal has ended the prompt: the user is asked nothing more."""
        self._answering: asyncio.Task[str] | None = None
        """Reads the answer to a question of `line`."""
        self._stopped_here = False
        self._pressed: asyncio.Queue[list[KeyPress]] = asyncio.Queue()
        self._read: list[KeyPress] = []
        """What `keys` has returned last."""
        self._unread: list[KeyPress] = []
        """What of it begins the next line."""
        keys = line_keys(self._leaving, self.pastes, self.focus)
        keys.add("c-z")(self._suspend_line)
        self._session: PromptSession[str] = PromptSession(
            GLYPH,
            multiline=True,
            vi_mode=vi,
            key_bindings=keys,
            completer=completer,
            complete_while_typing=False,
            complete_in_thread=True,  # a list of models may ask servers for theirs
            complete_style=CompleteStyle.READLINE_LIKE if plain else CompleteStyle.COLUMN,
            auto_suggest=None if plain else AutoSuggestFromHistory(),
            tempfile_suffix=".md",
            history=LineHistory(self.pastes, keep=keep_history),
            prompt_continuation="  ",
            input_processors=[ShowPastes()],
            style=DynamicStyle(lambda: self._style),
            color_depth=None if color else ColorDepth.DEPTH_1_BIT,
            input=self.input,
            output=self.output,
        )
        self._session.app.after_render += lambda _: self._begin()
        self._session.app.before_render += lambda _: self._choose_toolbar()
        if vi:
            self._session.app.ttimeoutlen = _ESCAPE_SECONDS
            self._session.app.key_processor.after_key_press += lambda _: self._wait_for_keys()
        self._session.default_buffer.on_text_changed += lambda _: self._leaving.clear()
        self._session.default_buffer.on_text_insert += lambda _: self._show_commands()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the terminal in raw mode from one line to the next; restore it at the end."""
        loop = asyncio.get_running_loop()
        with self.input.raw_mode():
            loop.add_signal_handler(signal.SIGCONT, self._continue)
            try:
                self._take_early_keys()
                self.focus.send(self._asked)
                with self.focus.held():
                    yield
            finally:
                loop.remove_signal_handler(signal.SIGCONT)

    def prefill(self, text: str, *, optional: bool = False, in_editor: bool = False) -> None:
        """Begin the next line with `text`, here or in the user's editor.

        If that is `optional`, a line that was entered before its prompt appears stays as it is: nobody has seen it
        with `text` before it.
        """
        self._prefill, self._optional, self._in_editor = text, optional, in_editor

    def use_theme(self, name: str) -> None:
        """Show the line in the colours of the theme `name`; one that was entered looks as a past question does."""
        dim = DIM_COLORS.get(name, "dim")
        styles = {"bottom-toolbar": f"noreverse {dim}", "auto-suggestion": dim, "accepted": "bold"}
        styles |= {"completion-menu.completion.current": _CHOSEN}
        self._style = Style.from_dict({**styles, "prompt": f"bold {GLYPH_COLORS.get(name, 'ansicyan')}"})

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Show in a `with` block that the program is starting, on a line that is removed at the end.

        What shows answers has an indicator of its own, and may still be being imported. Its turns take a few frames a
        second, so that an import is not slowed down.
        """
        began, loop = time.monotonic(), asyncio.get_running_loop()
        timer: asyncio.TimerHandle | None = None

        def paint(frame: int) -> None:
            nonlocal timer
            text = f"{FRAMES[frame % len(FRAMES)]} {starting_text(time.monotonic() - began)}"
            self.output.write_raw(f"\r\x1b[2m{text[: self.output.get_size().columns - 1]}\x1b[0m")
            self.output.flush()
            timer = loop.call_later(START_INTERVAL, paint, frame + 1)

        paint(0)
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
            self.output.write_raw("\r\x1b[K")
            self.output.flush()

    def skip_line(self) -> None:
        """Leave a line empty on the screen, as between a question and its answer."""
        if self._spaced:
            self.output.write("\r\n")
            self.output.flush()

    def skip_line_before_next(self) -> None:
        """Leave a line empty before the next prompt."""
        self._space_due = True

    async def read(self) -> str:
        """Return the next line, which may contain newlines; what was pasted is marked, see `pastes`.

        Raises `EOFError` if the user wants to leave.
        """
        if self.left:
            raise EOFError
        if self._space_due:
            self._space_due = False
            self.skip_line()
        self._leaving.clear()
        text, in_editor = self._prefill, self._in_editor
        if self._optional:
            keys = [*get_typeahead(self.input), *self.input.read_keys()]
            store_typeahead(self.input, keys)
            if any(press.key is Keys.ControlM for press in keys):  # a line was entered before its prompt
                text = ""
        self._prefill, self._optional, self._in_editor = "", False, False

        open_editor = partial(write_in_editor, self._session.default_buffer, self.focus, self.pastes)
        line = await self._session.prompt_async(default=text, pre_run=open_editor if in_editor else None)
        return self.pastes.unfold(line)

    @contextmanager
    def single_keys(self) -> Iterator[None]:
        """Read single keys by `keys` in a `with` block; what was typed before it is kept for the next line."""
        early = _typed([*get_typeahead(self.input), *self.input.read_keys(), *self.input.flush_keys()])
        loop = asyncio.get_running_loop()
        self._pressed, self._unread = asyncio.Queue(), []
        if self.left:
            self._pressed.put_nowait([])
        escape = loop.call_later(0, lambda: None)

        def take(keys: list[KeyPress]) -> None:
            if any(press.key is Keys.ControlZ for press in keys):
                self.suspend()
            elif keys := _typed(keys):
                self._pressed.put_nowait(keys)

        def read() -> None:
            nonlocal escape
            escape.cancel()
            take(self.input.read_keys())
            escape = loop.call_later(_ESCAPE_SECONDS, lambda: take(self.input.flush_keys()))

        loop.add_signal_handler(signal.SIGINT, take, [KeyPress(Keys.ControlC)])
        try:
            with self.bracketed_paste(), self.input.raw_mode(), self.input.attach(read):
                yield
        finally:
            escape.cancel()
            loop.remove_signal_handler(signal.SIGINT)
            late = self._unread
            while not self._pressed.empty():
                late += self._pressed.get_nowait()
            # Enter alone is no line, nor does it send what was typed earlier than all of this.
            late = list(dropwhile(lambda press: len(press.key) > 1 and press.key is not Keys.BracketedPaste, late))
            store_typeahead(self.input, [*early, *(hold(late) if early else late)])

    async def keys(self) -> str:
        """Return the next input, often one key; nothing if a signal ends the prompt. Newlines surround a paste."""
        self._read = await self._pressed.get()
        pasted = Keys.BracketedPaste
        return "".join(f"\n{press.data}\n" if press.key is pasted else press.data for press in self._read)

    def unread(self) -> None:
        """Let the next line begin with what `keys` returned last; call it in the block of `single_keys`."""
        self._unread = self._read

    async def line(self, question: str, *, hidden: bool = False, default: str = "") -> str | None:
        """Return the answer to `question`, None if the user leaves; it is not shown if `hidden`.

        Ctrl-C, Ctrl-D and the end of the prompt leave. No history keeps the answer. One that begins with `default` can
        be written in the user's editor.
        """
        # A task would pass a KeyboardInterrupt on to the loop.
        options = {"interrupt_exception": EOFError, "enable_open_in_editor": bool(default)}
        asking = ask_line(question, self.input, self.output, hidden=hidden, default=default, **options)
        self._answering = asyncio.create_task(asking)
        if self.left:
            self._answering.cancel()
        try:
            return await self._answering
        except EOFError:
            return None
        except asyncio.CancelledError:
            if not self.left:
                raise
            return None

    def when_typed(self, work: Callable[[], None]) -> None:
        """Call `work` whenever the text of the line changes, and now if some is there."""
        buffer = self._session.default_buffer
        buffer.on_text_changed += lambda _: work()
        if buffer.text:
            work()

    def offer_commands(self) -> None:
        """Open the menu of commands from now on when the beginning of one is typed; its completer must be imported."""
        self._offers_commands = not self.plain
        self._show_commands()

    def _show_commands(self) -> None:
        # prompt-toolkit's completion while typing runs beside the keys: it drops a Tab that is typed meanwhile.
        buffer = self._session.default_buffer
        if not self._offers_commands or buffer.complete_state or _COMMAND_BEGUN.fullmatch(buffer.text) is None:
            return
        offered = list(buffer.completer.get_completions(buffer.document, CompleteEvent(text_inserted=True)))
        if [each.text for each in offered] not in ([], [buffer.text]):
            buffer.complete_state = CompletionState(buffer.document, offered)
            buffer.on_completions_changed.fire()

    def refresh(self) -> None:
        """Draw the prompt of a waiting `read` again, with the new toolbar."""
        self._session.app.invalidate()

    def leave(self) -> None:
        """End a waiting `read`, `keys` or `line`, and each later one, as if the user had left."""
        self.left = True
        self._pressed.put_nowait([])
        if self._answering is not None:
            self._answering.cancel()
        if self._session.app.is_running and not self._session.app.is_done:
            self._session.app.exit(exception=EOFError)

    @contextmanager
    def bracketed_paste(self) -> Iterator[None]:
        """Make the terminal mark pasted text while no line is read; otherwise a pasted newline looks like Enter."""
        self.output.enable_bracketed_paste()
        self.output.flush()
        try:
            yield
        finally:
            self.output.disable_bracketed_paste()
            self.output.flush()

    @contextmanager
    def given_away(self) -> Iterator[None]:
        """Leave the terminal to another program in a `with` block."""
        with self.focus.paused(), self.input.cooked_mode():
            yield

    def suspend(self) -> None:
        """Suspend this process during an answer; the shell has the terminal until the process continues."""
        self.output.disable_bracketed_paste()
        self.output.flush()
        self._stopped_here = True
        with self.given_away():
            os.kill(0, signal.SIGTSTP)
        self.output.enable_bracketed_paste()
        self.output.flush()

    def _take_early_keys(self) -> None:
        """Keep the keys that were typed before raw mode, when the terminal still turned Enter into a newline."""
        keys = self.input.read_keys() + self.input.flush_keys()
        text = "".join(press.data for press in keys)
        if "\n" in text.strip("\n"):  # nothing marks a paste yet
            keys = [KeyPress(Keys.BracketedPaste, text)]
        entered = [KeyPress(Keys.ControlM) if key.key is Keys.ControlJ else key for key in keys]
        store_typeahead(self.input, entered)

    def _suspend_line(self, event: KeyPressEvent) -> None:
        self._stopped_here = True

        async def suspend() -> None:
            with self.focus.paused():
                await run_in_terminal(lambda: os.kill(0, signal.SIGTSTP))

        event.app.create_background_task(suspend())

    def _continue(self) -> None:
        """Set up the terminal again after a stop by another process, since the shell has changed its settings."""
        if self._stopped_here:
            self._stopped_here = False
            return
        enter_raw_mode(self.input)
        self.focus.begin()  # the shell may have ended it
        if self._session.app.is_running:
            self._session.app.renderer.reset()
            self._session.app.invalidate()
        elif self.when_continued is not None:
            self.when_continued()

    def _take_reply(self, reply: Reply) -> None:
        if reply in ("focused", "away"):
            self.focus.note(reply == "focused")
        else:
            self._on_reply(reply)

    def _begin(self) -> None:
        if self.when_shown is not None:
            self._begun, self.when_shown = asyncio.ensure_future(self.when_shown()), None

    def _choose_toolbar(self) -> None:
        columns = self.output.get_size().columns
        if self._leaving.is_set():
            text = "press Ctrl-C again to leave"
        elif self._session.app.editing_mode is EditingMode.VI and not self.plain:
            mode = f" vi: {'commands' if vi_navigation_mode() else 'insert'}"
            state = self.toolbar(columns - len(f"{mode} ·"))
            text = f"{mode} ·{state}" if state else mode
        else:
            text = self.toolbar(columns)
        self._session.bottom_toolbar = text or None

    def _wait_for_keys(self) -> None:
        """Wait a moment only for what may follow an Escape, longer for the rest of a command such as `gg`."""
        begun = self._session.app.key_processor.key_buffer
        escaped = bool(begun) and begun[0].key is Keys.Escape
        self._session.app.timeoutlen = _ESCAPE_SECONDS if escaped else _COMMAND_SECONDS
