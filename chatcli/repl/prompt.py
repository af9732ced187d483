"""The input line."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import Completer
from prompt_toolkit.input import create_input
from prompt_toolkit.input.typeahead import store_typeahead
from prompt_toolkit.input.vt100 import Vt100Input, raw_mode
from prompt_toolkit.key_binding import KeyPress, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import ColorDepth, Output, create_output
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import Style

from chatcli.events import DraftChanged, Event, Listing, ScreenLeft, ScreenTaken, ThemeChosen, ThreadChoice
from chatcli.repl.draft import Draft
from chatcli.repl.history import LineHistory
from chatcli.repl.keys import LeavingHint, learn_shift_enter, line_keys, write_in_editor
from chatcli.repl.paste import Pastes
from chatcli.repl.picker import pick_thread
from chatcli.repl.replies import ASK_BACKGROUND, ReplyReader

GLYPH = "> "
_STYLE = Style.from_dict({"bottom-toolbar": "noreverse dim", "auto-suggestion": "dim"})
_MUTE_TERMINALS = ("", "dumb", "linux", "unknown")


class Prompt:
    """Reads lines from the terminal, also when stdin is a pipe.

    Args:
        completer: Completes what is being typed.
        show: Shows events that come from the keyboard: what is typed in mid-answer, a suspension, a background.
        toolbar: Returns the line below the input line for a number of columns; empty for none.
        keep_history: Whether what is typed is kept for later runs.
        vi: Whether vi's keys edit the line, instead of Emacs'.
        plain: Whether a screen reader may read it: no suggestion stands behind the cursor, no menu below it.
        color: Whether the line may have colours.
        ask_background: Whether the terminal is asked for its background.

    """

    def __init__(
        self,
        completer: Completer,
        show: Callable[[Event], None],
        toolbar: Callable[[int], str],
        *,
        keep_history: bool,
        vi: bool = False,
        plain: bool = False,
        color: bool = True,
        ask_background: bool = False,
    ) -> None:
        learn_shift_enter()
        self._show = show
        self._toolbar = toolbar
        self._plain = plain
        self._ask_background = ask_background and os.environ.get("TERM", "") not in _MUTE_TERMINALS
        self.when_shown: Callable[[], Awaitable[None]] | None = None
        """Begun once, when the first line is waited for: what would keep it from appearing."""
        self._begun: asyncio.Future[None] | None = None
        self.pastes = Pastes()
        self._input = create_input(always_prefer_tty=True)
        self._output: Output = create_output(always_prefer_tty=True)
        if isinstance(self._input, Vt100Input):
            descriptor, encoding = self._input.fileno(), self._input.stdin.encoding
            self._input.stdin_reader = ReplyReader(descriptor, encoding, self._learn_background)
        self._hint = LeavingHint()
        self._stopped_here = False
        keys = line_keys(self._hint, self.pastes)
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
            style=_STYLE,
            color_depth=None if color else ColorDepth.DEPTH_1_BIT,
            input=self._input,
            output=self._output,
        )
        self._session.app.after_render += lambda _: self._begin()
        self._session.app.before_render += lambda _: self._choose_toolbar()
        self._session.default_buffer.on_text_changed += lambda _: setattr(self._hint, "armed", False)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the terminal's keys for us, from one line to the next; afterwards it is as it was."""
        loop = asyncio.get_running_loop()
        with self._raw_mode():
            loop.add_signal_handler(signal.SIGCONT, self._continue)
            try:
                self._take_early_keys()
                if self._ask_background:
                    self._output.write_raw(ASK_BACKGROUND)
                    self._output.flush()
                yield
            finally:
                loop.remove_signal_handler(signal.SIGCONT)

    async def read(self, text: str = "", *, in_editor: bool = False) -> str:
        """Return the next line, which may hold newlines and begins as `text`, written here or in the user's editor.

        Raises:
            EOFError: The user wants to leave.

        """
        self._hint.armed = False

        def open_editor() -> None:
            write_in_editor(self._session.default_buffer)

        line = await self._session.prompt_async(default=text, pre_run=open_editor if in_editor else None)
        return self.pastes.unfold(line)

    async def pick(self, choices: Sequence[ThreadChoice]) -> str | None:
        """Return the ID of the thread that the user picks, or None."""
        if self._plain:
            rows = tuple((choice.thread_id, choice.description) for choice in choices)
            self._show(Listing("threads", ("thread", "title"), rows))
        return await pick_thread(choices, self._input, self._output, menu=not self._plain)

    async def ask(self, question: str, *, hidden: bool = False) -> str:
        """Return the answer to `question`, which is kept in no history, and with `hidden` not shown; empty for none."""
        session: PromptSession[str] = PromptSession(
            question, is_password=hidden, input=self._input, output=self._output
        )
        try:
            return (await session.prompt_async()).strip()
        except (EOFError, KeyboardInterrupt):
            return ""

    def refresh(self) -> None:
        """Draw a `read` that is waiting again, with what the toolbar says now."""
        self._session.app.invalidate()

    def leave(self) -> None:
        """End a `read` that is waiting, as if the user left."""
        if self._session.app.is_running:
            self._session.app.exit(exception=EOFError)

    @contextmanager
    def busy(self, on_interrupt: Callable[[], None]) -> Iterator[Draft]:
        """While an answer comes: Ctrl-C calls `on_interrupt`, Ctrl-Z suspends, all else waits for the next `read`.

        What is typed is in the draft that this yields.
        """
        draft = Draft()
        loop = asyncio.get_running_loop()

        def read_keys() -> None:
            before = draft.texts
            for key in self._input.read_keys():
                if key.key is Keys.ControlC:
                    on_interrupt()
                elif key.key is Keys.ControlZ:
                    self._suspend()
                else:
                    draft.press(key)
            if draft.texts != before:
                self._show(DraftChanged(draft.texts))

        self._output.enable_bracketed_paste()  # else a pasted newline would look like Enter
        self._output.flush()
        loop.add_signal_handler(signal.SIGWINCH, self._show, ScreenTaken())
        try:
            with self._raw_mode(), self._input.attach(read_keys):
                yield draft
        finally:
            loop.remove_signal_handler(signal.SIGWINCH)
            self._show(DraftChanged())
            self._output.disable_bracketed_paste()
            self._output.flush()
            store_typeahead(self._input, [*draft.keys, *self._input.flush_keys()])

    def _take_early_keys(self) -> None:
        """Keep what was typed while the program started, when the terminal still made a newline of Enter."""
        keys = self._input.read_keys() + self._input.flush_keys()
        entered = [KeyPress(Keys.ControlM) if key.key is Keys.ControlJ else key for key in keys]
        store_typeahead(self._input, entered)

    def _suspend_line(self, event: KeyPressEvent) -> None:
        self._stopped_here = True
        event.app.suspend_to_background()

    def _suspend(self) -> None:
        """Give the terminal to the shell, in mid-answer, until it brings this process back."""
        self._show(ScreenLeft())
        self._output.disable_bracketed_paste()
        self._output.flush()
        self._stopped_here = True
        with self._input.cooked_mode():
            os.kill(0, signal.SIGTSTP)
        self._output.enable_bracketed_paste()
        self._output.flush()
        self._show(ScreenTaken())

    def _continue(self) -> None:
        """Take the terminal again after a stop that came from elsewhere: the shell has set it to its own liking."""
        if self._stopped_here:
            self._stopped_here = False
            return
        self._raw_mode().__enter__()
        if self._session.app.is_running:
            self._session.app.renderer.reset()
            self._session.app.invalidate()
        else:
            self._show(ScreenTaken())

    def _raw_mode(self) -> raw_mode:
        return raw_mode(self._input.fileno())

    def _begin(self) -> None:
        if self.when_shown is not None:
            self._begun, self.when_shown = asyncio.ensure_future(self.when_shown()), None

    def _choose_toolbar(self) -> None:
        hint = "press Ctrl-C again to leave" if self._hint.armed else ""
        self._session.bottom_toolbar = hint or self._toolbar(self._output.get_size().columns) or None

    def _learn_background(self, dark: bool) -> None:
        self._show(ThemeChosen("dark" if dark else "light"))
