"""The keys of the input line, and replies of the terminal."""

import re
from asyncio import Event
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from prompt_toolkit import filters
from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.input import Input
from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import Output
from wcwidth import grapheme_boundary_before, iter_graphemes

from chatcli.repl.pastes import PasteReader, Pastes, plain

Reply = Literal["dark", "light", "wrapping", "sixel", "focused", "away"]
"""What a terminal says: how its background is, what it does, and whether it has the focus."""
ASK_BACKGROUND = "\x1b]11;?\x07"
"""The request to the terminal for its background, https://invisible-island.net/xterm/ctlseqs/ctlseqs.html#h3-Operating-System-Commands."""
_REPLY = re.compile(
    r"\x1b\]11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})[^\x07\x1b]*(?:\x07|\x1b\\)"
)
ASK_NAME = "\x1b[>q"
"""The request for the terminal's name (XTVERSION). xterm and most newer terminals reply, also through ssh."""
ASK_ATTRIBUTES = "\x1b[c"
"""The request for what the terminal can do (DA1). Nearly every terminal replies, those with sixel with a 4."""
_ABILITIES = re.compile(r"\x1bP>\|([^\x1b\x07]{0,99})\x1b\\|\x1b\[\?([\d;]*)c")
_SIXEL = "4"
_WRAPPING = ("contour", "foot", "ghostty", "iterm2", "kitty", "konsole", "tmux", "vte", "wezterm", "xterm.js")
"""How the names begin of terminals that wrap old lines again when they get narrower; xterm does not."""
REPORT_FOCUS = "\x1b[?1004h"
"""Makes a terminal send CSI I when it gets the focus, and CSI O when it loses it."""
REPORT_NO_FOCUS = "\x1b[?1004l"
_FOCUS = re.compile(r"\x1b\[([IO])")
"""The terminal got or lost the focus."""
_REPLY_BEGUN = re.compile(
    r"\x1b(?:\[(?:\?[\d;]*)?|P(?:>(?:\|[^\x1b\x07]{0,99}\x1b?)?)?|\](?:1(?:1(?:;[rgba:0-9a-fA-F/]*\x1b?)?)?)?)\Z"
)


class Focus:
    """Knows whether the terminal is focused; where it is not asked for that (`reports`), nothing is ever known."""

    def __init__(self, output: Output, *, reports: bool) -> None:
        self.away = False
        """Whether the terminal said that it is not focused. One that says nothing is not taken for unfocused."""
        self._output = output
        self._reports = reports
        self._reporting = False

    def note(self, focused: bool) -> None:
        """Take the terminal's word."""
        self.away = not focused

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let the terminal report its focus, which only a reader of the keyboard in raw mode must do."""
        self._reporting = self._reports
        self.begin()
        try:
            yield
        finally:
            self._pause()
            self._reporting = False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let another program have the terminal."""
        self._pause()
        try:
            yield
        finally:
            self.begin()

    def begin(self) -> None:
        """Ask for reports, also again after another program had the terminal, if the terminal is held."""
        self.away = False
        self.send(REPORT_FOCUS if self._reporting else "")

    def _pause(self) -> None:
        self.send(REPORT_NO_FOCUS if self._reporting else "")

    def send(self, sequence: str) -> None:
        """Write `sequence`, which moves no cursor."""
        if sequence:
            self._output.write_raw(sequence)
            self._output.flush()


@filters.Condition
def _is_empty() -> bool:
    return not get_app().current_buffer.text


def write_in_editor(buffer: Buffer, focus: Focus, pastes: Pastes) -> None:
    """Open the line in the user's editor, with the whole of its pastes, and send it if it was changed there."""

    async def edit() -> None:
        line = buffer.text
        buffer.text = before = plain(pastes.unfold(line))
        with focus.paused():
            await buffer.open_in_editor()
        changed = buffer.text != before.removesuffix("\n")
        buffer.text = pastes.edited(line, buffer.text) if changed else line
        if changed:
            buffer.validate_and_handle()

    get_app().create_background_task(edit())


def line_keys(leaving: Event, pastes: Pastes, focus: Focus) -> KeyBindings:
    """Return the bindings: Enter sends, Alt-Enter and Ctrl-J make a new line, Ctrl-C clears, then leaves.

    On an empty line, Ctrl-C sets `leaving` first, and leaves when it is pressed again.
    """
    keys = KeyBindings()
    _bind_pastes(keys, pastes, focus)
    _bind_graphemes(keys)

    sends = ~filters.is_searching & ~filters.has_selection
    keys.add("enter", filter=sends)(lambda event: event.current_buffer.validate_and_handle())

    @keys.add("escape", "enter")
    @keys.add("c-j", filter=~filters.is_searching)
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c", filter=~_is_empty & ~filters.is_searching)
    @keys.add("<sigint>", filter=~_is_empty & ~filters.is_searching)
    def _clear(event: KeyPressEvent) -> None:
        leaving.clear()
        event.current_buffer.reset()

    @keys.add("c-c", filter=_is_empty & ~filters.is_searching)
    @keys.add("<sigint>", filter=_is_empty & ~filters.is_searching)
    def _leave(event: KeyPressEvent) -> None:
        if leaving.is_set():
            event.app.exit(exception=EOFError)
        leaving.set()

    return keys


def _bind_pastes(keys: KeyBindings, pastes: Pastes, focus: Focus) -> None:
    @keys.add(Keys.BracketedPaste)
    def _paste(event: KeyPressEvent) -> None:
        for piece in pastes.pieces(event.data):
            event.current_buffer.insert_text(piece)

    @filters.Condition
    def behind_sign() -> bool:
        return bool(pastes.ending(get_app().current_buffer.document.text_before_cursor))

    @keys.add("backspace", filter=behind_sign)
    def _delete_sign(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        buffer.delete_before_cursor(len(pastes.ending(buffer.document.text_before_cursor)))

    keys.add("c-x", "c-o")(lambda event: event.current_buffer.insert_text(pastes.offered))
    keys.add("c-x", "c-e")(lambda event: write_in_editor(event.current_buffer, focus, pastes))


def _cluster(buffer: Buffer, position: int) -> tuple[int, int]:
    """Return where the grapheme cluster with the character at `position` begins and ends; nothing behind the text."""
    text = buffer.text
    if not 0 <= position < len(text):
        return position, position
    start = grapheme_boundary_before(text, position + 1)
    return start, start + len(next(iter_graphemes(text, start)))


def move_left(buffer: Buffer) -> None:
    """Move before the grapheme cluster on the left, in the same line."""
    start, _ = _cluster(buffer, buffer.cursor_position - 1)
    buffer.cursor_left(buffer.cursor_position - start)


def move_right(buffer: Buffer) -> None:
    """Move behind the grapheme cluster on the right, in the same line."""
    _, end = _cluster(buffer, buffer.cursor_position)
    buffer.cursor_right(end - buffer.cursor_position)


def delete_left(buffer: Buffer) -> None:
    """Delete the grapheme cluster on the left."""
    start, _ = _cluster(buffer, buffer.cursor_position - 1)
    buffer.delete_before_cursor(buffer.cursor_position - max(start, 0))


def delete_right(buffer: Buffer) -> None:
    """Delete the grapheme cluster on the right, all of it if the cursor is inside."""
    start, end = _cluster(buffer, buffer.cursor_position)
    buffer.delete_before_cursor(buffer.cursor_position - start)
    buffer.delete(end - start)


def _bind_graphemes(keys: KeyBindings) -> None:
    """Let the keys that act on one character act on what a user sees as one: prompt-toolkit's act on a code point.

    They are bound only beside a cluster of several code points; elsewhere the keys keep all that they do.
    """

    def bind(act: Callable[[Buffer], None], offset: int, names: Mapping[str, filters.Filter]) -> None:
        """Bind `act` to the keys `names` where there is a cluster `offset` characters from the cursor."""

        @filters.Condition
        def is_beside() -> bool:
            buffer = get_app().current_buffer
            start, end = _cluster(buffer, buffer.cursor_position + offset)
            return end - start > 1

        def repeat(event: KeyPressEvent) -> None:
            for _ in range(event.arg):
                act(event.current_buffer)

        for name, mode in names.items():
            keys.add(name, filter=is_beside & mode & ~filters.has_selection)(repeat)

    inserting = filters.emacs_insert_mode | filters.vi_insert_mode
    moving = filters.emacs_mode | filters.vi_insert_mode | filters.vi_navigation_mode
    bind(move_left, -1, {"left": moving, "c-b": filters.emacs_mode, "h": filters.vi_navigation_mode})
    bind(move_right, 0, {"right": moving, "c-f": filters.emacs_mode, "l": filters.vi_navigation_mode})
    bind(delete_left, -1, {"backspace": inserting, "X": filters.vi_navigation_mode})
    bind(delete_right, 0, {"delete": inserting, "c-d": filters.emacs_insert_mode, "x": filters.vi_navigation_mode})


class ReplyReader(PasteReader):
    """Reads the keyboard; what the terminal itself says goes to `on_reply` and is not read as keys.

    Nothing waits for a reply, so keys are never delayed by a slow terminal.
    """

    def __init__(self, descriptor: int, encoding: str, on_reply: Callable[[Reply], None]) -> None:
        super().__init__(descriptor, encoding)
        self._on_reply = on_reply
        self._begun, self._escaped = "", False

    def read(self, count: int = 1024) -> str:
        """Return the typed text; the beginning of a reply is kept until the next call."""
        text = self._begun + super().read(count)
        for reply in _REPLY.finditer(text):
            self._on_reply("dark" if is_dark(*reply.groups()) else "light")
        text = _REPLY.sub("", text)
        for name, attributes in _ABILITIES.findall(text):
            if name.lower().startswith(_WRAPPING):
                self._on_reply("wrapping")
            if _SIXEL in attributes.split(";")[1:]:  # the first number is the terminal's class
                self._on_reply("sixel")
        text = _ABILITIES.sub("", text)
        # A lone Escape may be a key and is never kept. Where it began a report, the parser drops that.
        for report in _FOCUS.finditer(f"\x1b{text}" if self._escaped else text):
            self._on_reply("focused" if report.group(1) == "I" else "away")
        text = _FOCUS.sub("", text)
        self._escaped = text.endswith("\x1b")
        begun = _REPLY_BEGUN.search(text)
        # The same beginning a second time was typed: Alt-] begins like a reply.
        self._begun = begun.group() if begun and begun.group() != self._begun else ""
        return text.removesuffix(self._begun) if self._begun else text


def read_replies(source: Input, on_reply: Callable[[Reply], None]) -> bool:
    """Make `source` pass what the terminal says to `on_reply`; return whether this is possible.

    prompt-toolkit's parser would turn a reply into keys, and has no hook before it, so the reader is replaced.
    """
    if not isinstance(source, Vt100Input):
        return False
    source.stdin_reader = ReplyReader(source.fileno(), source.stdin.encoding, on_reply)
    return True


def read_unmarked_pastes(source: Input) -> None:
    """Read lines that arrive in one piece from `source` as a paste, since its terminal may not mark one."""
    if isinstance(source, Vt100Input):
        source.stdin_reader = PasteReader(source.fileno(), source.stdin.encoding, marks=False)


def enter_raw_mode(source: Input) -> None:
    """Put the terminal into raw mode again after a stop; the surrounding `raw_mode` block restores it later."""
    source.raw_mode().__enter__()


def learn_sequences() -> None:
    """Read Shift-Enter as Alt-Enter, and a report of the focus, which `ReplyReader` may get in parts, as no key."""
    # Terminals report Shift-Enter in two ways, and prompt-toolkit has no key for it.
    for sequence in ("\x1b[13;2u", "\x1b[27;2;13~"):
        ANSI_SEQUENCES[sequence] = (Keys.Escape, Keys.ControlM)
    for sequence in ("\x1b[I", "\x1b[O"):
        ANSI_SEQUENCES[sequence] = Keys.Ignore


def is_dark(red: str, green: str, blue: str) -> bool:
    """Return whether a background colour is dark; its parts are hexadecimal numbers of one to four digits."""
    parts = [int(part, 16) / int("f" * len(part), 16) for part in (red, green, blue)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] < 0.5
