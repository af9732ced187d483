"""The keyboard while an answer streams: typed lines wait for the prompt."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from unicodedata import category

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys

from chatcli.events import Event
from chatcli.rendering.display import DraftChanged, ScreenResumed, ScreenSuspended
from chatcli.repl.keys import delete_left, delete_right, move_left, move_right
from chatcli.repl.pastes import Pastes, plain
from chatcli.repl.prompt import Prompt, hold

_MOVES = {
    Keys.Left: move_left,
    Keys.ControlB: move_left,
    Keys.Right: move_right,
    Keys.ControlF: move_right,
    Keys.ControlH: delete_left,
    Keys.Delete: delete_right,
}


class Typeahead:
    """Keeps the typed keys for the next prompt, and the text that they will produce there.

    Keys that only the prompt understands (Tab, the history, vi's commands) are kept, but have no effect yet.
    """

    def __init__(self) -> None:
        self._pastes = Pastes()
        self.keys: list[KeyPress] = []
        self._sent: list[str] = []
        self._buffer = Buffer(multiline=True)
        self._escaped = False

    @property
    def texts(self) -> tuple[str, ...]:
        """The lines that wait to be sent, then the line being typed, unless it is empty."""
        return (*self._sent, self._buffer.text) if self._buffer.text else tuple(self._sent)

    def hold(self) -> None:
        """Turn Enter into a newline, see `prompt.hold`."""
        self.keys = hold(self.keys)

    def press(self, press: KeyPress) -> None:
        """Take a key."""
        if press.key in (Keys.CPRResponse, Keys.Ignore):
            return  # a late report of the cursor's position, or of the focus: not a key
        self.keys.append(press)
        self._apply(press)

    def _apply(self, press: KeyPress) -> None:
        escaped, self._escaped = self._escaped, press.key is Keys.Escape
        buffer, key = self._buffer, press.key
        if key in _MOVES:
            _MOVES[Keys(key)](buffer)
        elif key is Keys.BracketedPaste:
            buffer.insert_text(plain(self._pastes.fold(press.data)))
        elif key is Keys.ControlJ or (key is Keys.ControlM and escaped):
            buffer.insert_text("\n")
        elif key is Keys.ControlM:
            self._sent.append(buffer.text)
            buffer.reset()
        elif key in (Keys.ControlA, Keys.Home):
            buffer.cursor_position += buffer.document.get_start_of_line_position()
        elif key in (Keys.ControlE, Keys.End):
            buffer.cursor_position += buffer.document.get_end_of_line_position()
        elif key is Keys.ControlU:
            buffer.delete_before_cursor(-buffer.document.get_start_of_line_position())
        elif key is Keys.ControlW:
            buffer.delete_before_cursor(-(buffer.document.find_start_of_previous_word(WORD=True) or 0))
        # A character that joins others, such as the people of a family, is text too.
        elif len(key) == 1 and not escaped and (press.data.isprintable() or category(press.data) == "Cf"):
            buffer.insert_text(press.data)


@contextmanager
def busy(prompt: Prompt, show: Callable[[Event], None], on_interrupt: Callable[[], None]) -> Iterator[Typeahead]:
    """Read keys while an answer streams: Ctrl-C calls `on_interrupt`, Ctrl-Z suspends, others wait for the next line.

    Yield the draft, which keeps the typed keys; `show` gets its changes as events.
    """
    draft = Typeahead()
    loop = asyncio.get_running_loop()

    def read_keys() -> None:
        before = draft.texts
        for key in prompt.input.read_keys():
            if key.key is Keys.ControlC:
                on_interrupt()
            elif key.key is Keys.ControlZ:
                show(ScreenSuspended())
                prompt.suspend()
                show(ScreenResumed())
            else:
                draft.press(key)
        if draft.texts != before:
            show(DraftChanged(draft.texts))

    with prompt.bracketed_paste():
        loop.add_signal_handler(signal.SIGWINCH, show, ScreenResumed())
        prompt.when_continued = partial(show, ScreenResumed())
        try:
            with prompt.input.raw_mode(), prompt.input.attach(read_keys):
                early = get_typeahead(prompt.input)
                kept = [press for press in early if press.key is not Keys.ControlC]
                store_typeahead(prompt.input, kept)
                if kept != early:  # it arrived together with Enter: the work that it stops has not begun yet
                    loop.call_soon(on_interrupt)
                yield draft
        finally:
            prompt.when_continued = None
            loop.remove_signal_handler(signal.SIGWINCH)
            show(DraftChanged())
            store_typeahead(prompt.input, [*draft.keys, *prompt.input.flush_keys()])
