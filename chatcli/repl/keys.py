"""The keys of the input line, beside prompt-toolkit's own."""

from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition, has_selection, is_searching
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from chatcli.repl.paste import Pastes


@Condition
def _is_empty() -> bool:
    return not get_app().current_buffer.text


class LeavingHint:
    """Whether Ctrl-C was pressed on an empty line: once more leaves."""

    def __init__(self) -> None:
        self.armed = False


def write_in_editor(buffer: Buffer) -> None:
    """Open the line in the user's editor, and send it when that has changed it."""

    async def edit() -> None:
        before = buffer.text
        await buffer.open_in_editor()
        if buffer.text != before:
            buffer.validate_and_handle()

    get_app().create_background_task(edit())


def line_keys(hint: LeavingHint, pastes: Pastes) -> KeyBindings:
    """Return the bindings: Enter sends, Alt-Enter and Ctrl-J make a new line, Ctrl-C clears, then leaves."""
    keys = KeyBindings()
    _bind_pastes(keys, pastes)

    @keys.add("enter", filter=~is_searching & ~has_selection)
    def _send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    @keys.add("c-j", filter=~is_searching)
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c", filter=~_is_empty & ~is_searching)
    @keys.add("<sigint>", filter=~_is_empty & ~is_searching)
    def _clear(event: KeyPressEvent) -> None:
        hint.armed = False
        event.current_buffer.reset()

    @keys.add("c-c", filter=_is_empty & ~is_searching)
    @keys.add("<sigint>", filter=_is_empty & ~is_searching)
    def _leave(event: KeyPressEvent) -> None:
        if hint.armed:
            event.app.exit(exception=EOFError)
        hint.armed = True

    return keys


def _bind_pastes(keys: KeyBindings, pastes: Pastes) -> None:
    @keys.add(Keys.BracketedPaste)
    def _paste(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(pastes.fold(event.data.replace("\r\n", "\n").replace("\r", "\n")))

    @Condition
    def behind_sign() -> bool:
        return bool(pastes.ending(get_app().current_buffer.document.text_before_cursor))

    @keys.add("backspace", filter=behind_sign)
    def _delete_sign(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        buffer.delete_before_cursor(len(pastes.ending(buffer.document.text_before_cursor)))

    @keys.add("c-x", "c-o")
    def _insert_offered(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(pastes.offered)

    @keys.add("c-x", "c-e")
    def _edit(event: KeyPressEvent) -> None:
        event.current_buffer.text = pastes.unfold(event.current_buffer.text)
        write_in_editor(event.current_buffer)
