"""The keyboard while an answer comes."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prompt_toolkit.input.typeahead import store_typeahead
from prompt_toolkit.keys import Keys

from chatcli.events import DraftChanged, Event, ScreenLeft, ScreenTaken
from chatcli.repl.prompt import Prompt
from chatcli.repl.typeahead import Typeahead


@contextmanager
def busy(prompt: Prompt, show: Callable[[Event], None], on_interrupt: Callable[[], None]) -> Iterator[Typeahead]:
    """While an answer comes: Ctrl-C calls `on_interrupt`, Ctrl-Z suspends, all else waits for the next line.

    What is typed is in the draft that this yields, and `show` is told of it.
    """
    draft = Typeahead()
    loop = asyncio.get_running_loop()

    def read_keys() -> None:
        before = draft.texts
        for key in prompt.input.read_keys():
            if key.key is Keys.ControlC:
                on_interrupt()
            elif key.key is Keys.ControlZ:
                suspend()
            else:
                draft.press(key)
        if draft.texts != before:
            show(DraftChanged(draft.texts))

    def suspend() -> None:
        show(ScreenLeft())
        prompt.suspend()
        show(ScreenTaken())

    def take_screen() -> None:
        show(ScreenTaken())

    with prompt.bracketed_paste():
        loop.add_signal_handler(signal.SIGWINCH, take_screen)
        prompt.when_continued = take_screen
        try:
            with prompt.input.raw_mode(), prompt.input.attach(read_keys):
                yield draft
        finally:
            prompt.when_continued = None
            loop.remove_signal_handler(signal.SIGWINCH)
            show(DraftChanged())
            store_typeahead(prompt.input, [*draft.keys, *prompt.input.flush_keys()])
