"""A program in a real pseudo-terminal, and the screen that its user sees."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from threading import Condition, Event, Thread

import pyte

from tests.e2e.forkserver import ForkServer, Process
from tests.waiting import WAIT_SECONDS

KEYS = {
    "enter": "\r",
    "tab": "\t",
    "escape": "\x1b",
    "backspace": "\x7f",
    "alt-enter": "\x1b\r",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "left": "\x1b[D",
    "right": "\x1b[C",
    **{f"ctrl-{letter}": chr(ord(letter) - 96) for letter in "abcdefghijklmnopqrstuvwxyz"},
}

# A session leader that opens a terminal gets it as its controlling terminal.
_IN_TERMINAL = 'exec "$@" <>"$0" >&0 2>&0'
_PIPED = 'exec <>"$0" >&0 2>&0; printf %s "$PIPED" | "$@"'

Settings = list[int | list[bytes | int]]


class Terminal:
    """Runs `argv` in a terminal of `size` (columns, lines) and keeps what it shows, scrollback included.

    With `piped`, its standard input is a pipe that holds that text. `typed` is typed before it starts. With `forks`,
    `argv` is the program that it runs, with its arguments, and takes no time for imports where its environment allows
    that.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        size: tuple[int, int] = (100, 30),
        piped: str | None = None,
        typed: str = "",
        forks: ForkServer | None = None,
    ) -> None:
        self._master, self._slave = pty.openpty()
        self._screen = pyte.HistoryScreen(*size, history=10_000)
        self._past: list[str] = []
        self._oldest: Mapping[int, pyte.screens.Char] | None = None
        """The text of the rows above the screen, and the first of these."""
        self._asked: list[str] = []
        self._screen.write_process_input = self._asked.append  # type: ignore[method-assign, assignment]
        self._stream = pyte.ByteStream(self._screen)
        self._changed = Condition()
        self._stopping = Event()
        self.raw = b""
        self._set_size(size)
        self.settings_before = self.settings()
        os.write(self._master, typed.encode())
        forked = forks and self._fork(forks, argv[1:], env, cwd, piped)
        self.process: Process = forked or subprocess.Popen(
            ["/bin/sh", "-c", _IN_TERMINAL if piped is None else _PIPED, os.ttyname(self._slave), *argv],
            env={**env, "PIPED": piped or ""},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _fork(
        self, forks: ForkServer, args: Sequence[str], env: Mapping[str, str], cwd: Path, piped: str | None
    ) -> Process | None:
        terminal = os.open(os.ttyname(self._slave), os.O_RDWR | os.O_NOCTTY)
        stdin = os.dup(terminal)
        if piped is not None:
            reader, writer = os.pipe()
            os.dup2(reader, stdin)
            os.write(writer, piped.encode())
            os.close(reader)
            os.close(writer)
        try:
            return forks.start(args, env, cwd, [stdin, terminal, terminal], leads_session=True)
        finally:
            os.close(stdin)
            os.close(terminal)

    def _read(self) -> None:
        while True:
            readable, _, _ = select.select([self._master], [], [], 0.05)
            if not readable:
                if self._stopping.is_set():
                    return
                continue
            data = os.read(self._master, 65536)
            with self._changed:
                self.raw += data
                self._stream.feed(data)
                self._changed.notify_all()

    def send(self, text: str) -> None:
        """Type `text`."""
        os.write(self._master, text.encode())

    def send_line(self, text: str) -> None:
        """Type `text` and press Enter."""
        self.send(text + KEYS["enter"])

    def send_key(self, name: str) -> None:
        """Press a key of `KEYS`."""
        self.send(KEYS[name])

    def paste(self, text: str) -> None:
        """Paste `text` as terminals do that know bracketed paste."""
        self.send(f"\x1b[200~{text}\x1b[201~")

    def answer_positions(self) -> None:
        """Report the position of the cursor whenever the program asks for it, as real terminals do."""
        self._screen.write_process_input = self.send  # type: ignore[method-assign, assignment]
        for reply in self._asked:  # the program may have asked already
            self.send(reply)

    def lines(self) -> list[str]:
        """Give the scrollback and the screen, without trailing spaces and empty lines at the end."""
        with self._changed:
            return self._lines()

    def _lines(self) -> list[str]:
        lines = [*self._scrollback(), *self._rows()]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def _scrollback(self) -> list[str]:
        """Read only the rows that have left the screen since the last time: they change no more."""
        rows = self._screen.history.top
        if not rows or rows[0] is not self._oldest:
            self._past, self._oldest = [], rows[0] if rows else None
        self._past += map(self._text_of, islice(rows, len(self._past), None))
        return self._past

    def _rows(self) -> list[str]:
        return [self._text_of(self._screen.buffer[number]) for number in range(self._screen.lines)]

    def _text_of(self, row: Mapping[int, pyte.screens.Char]) -> str:
        """Return the text of a row; pyte's own `display` looks up the width of each character, each time."""
        return "".join(row[column].data for column in range(self._screen.columns)).rstrip()

    def text(self) -> str:
        """Give the scrollback and the screen as one text."""
        return "\n".join(self.lines())

    def screen(self) -> str:
        """Give what the screen shows now, without the scrollback."""
        with self._changed:
            return "\n".join(self._rows())

    def cells(self) -> list[list[pyte.screens.Char]]:
        """Give the cells of the screen, row by row, with their styles."""
        with self._changed:
            screen = self._screen
            return [[screen.buffer[row][column] for column in range(screen.columns)] for row in range(screen.lines)]

    def cursor_line(self) -> str:
        """Give the line that the cursor is on."""
        with self._changed:
            return self._cursor_line()

    def _cursor_line(self) -> str:
        return self._text_of(self._screen.buffer[self._screen.cursor.y])

    def wait_for(self, wanted: str | Callable[[str], bool], timeout: float = WAIT_SECONDS) -> str:
        """Wait until the scrollback and the screen contain `wanted`, or until it is true of their text."""
        holds = wanted if callable(wanted) else lambda text: wanted in text
        self._wait(lambda: holds("\n".join(self._lines())), str(wanted), timeout)
        return self.text()

    def wait_for_prompt(self, typed: str = "", timeout: float = WAIT_SECONDS) -> None:
        """Wait until the program waits for a line, of which `typed` has been typed."""
        line = f"> {typed}".rstrip()
        self._wait(lambda: self._cursor_line() == line, f"prompt {line!r}", timeout)

    def clear_prompt(self, typed: str) -> None:
        """Wait for a prompt that begins with `typed`, and clear it."""
        self.wait_for_prompt(typed)
        self.send_key("ctrl-u")
        self.wait_for_prompt()

    def _wait(self, condition: Callable[[], bool], what: str, timeout: float) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                shown = "\n".join(self._lines())
                raise AssertionError(f"no {what} within {timeout} s on this screen:\n{shown}")

    def exit_code(self, timeout: float = WAIT_SECONDS) -> int:
        """Wait for the end of the program; a signal counts as 128 + its number, as in a shell."""
        code = self.process.wait(timeout)
        self._stop_reading()
        return code if code >= 0 else 128 - code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        self.process.send_signal(number)

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the window."""
        with self._changed:
            self._screen.resize(lines, columns)
            self._oldest = None  # all rows are read again, as wide as the window is now
        self._set_size((columns, lines))

    def _set_size(self, size: tuple[int, int]) -> None:
        columns, lines = size
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def settings(self) -> Settings:
        """Give the modes of the terminal (echo, line editing, ...) as they are now."""
        return termios.tcgetattr(self._slave)

    def hang_up(self) -> None:
        """Close the window under the program."""
        self._stop_reading()
        self._close_files()

    def _stop_reading(self) -> None:
        self._stopping.set()
        self._reader.join()

    def _close_files(self) -> None:
        for file in (self._master, self._slave):
            if file >= 0:
                os.close(file)
        self._master = self._slave = -1

    def close(self) -> None:
        """Kill the program if it still runs, and close the terminal."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._stop_reading()
        self._close_files()
