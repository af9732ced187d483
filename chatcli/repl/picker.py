"""Pick a thread by typing a part of its title or ID."""

from collections.abc import Callable, Iterable, Sequence

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from chatcli.events import Event, Listing, ThreadChoice
from chatcli.repl.prompt import Prompt
from chatcli.sanitize import sanitize_line


class _Choices(Completer):
    """Offers the choices that contain every typed word."""

    def __init__(self, choices: Sequence[ThreadChoice]) -> None:
        self._choices = choices

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        typed = document.text
        for choice in matching(self._choices, typed):
            yield Completion(
                choice.thread_id,
                start_position=-len(typed),
                display_meta=sanitize_line(choice.description),
            )


def matching(choices: Sequence[ThreadChoice], typed: str) -> list[ThreadChoice]:
    """Return the choices that contain every word of `typed` in their ID or description."""
    words = typed.casefold().split()
    return [
        choice
        for choice in choices
        if all(word in f"{choice.thread_id} {choice.description}".casefold() for word in words)
    ]


async def pick_thread(prompt: Prompt, choices: Sequence[ThreadChoice], show: Callable[[Event], None]) -> str | None:
    """Let the user pick one of `choices`; return its thread ID, or None.

    Typed words filter the choices. Enter takes the first choice; Ctrl-C and Ctrl-D take none. The choices are shown in
    a menu; for a screen reader, `show` lists them before the prompt.
    """
    menu = not prompt.plain
    if not menu:
        rows = tuple((choice.thread_id, choice.description) for choice in choices)
        show(Listing("threads", ("thread", "title"), rows))
    session: PromptSession[str] = PromptSession(
        "which thread? (type to filter) " if menu else "which thread? (type a part of it) ",
        completer=_Choices(choices) if menu else None,
        complete_while_typing=menu,
        input=prompt.input,
        output=prompt.output,
    )
    try:
        typed = await session.prompt_async(
            pre_run=(lambda: session.default_buffer.start_completion()) if menu else None,
        )
    except (EOFError, KeyboardInterrupt):
        return None
    found = matching(choices, typed)
    return found[0].thread_id if found else None
