"""Picks a thread by typing a part of it."""

from collections.abc import Iterable, Sequence

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.input import Input
from prompt_toolkit.output import Output

from chatcli.events import ThreadChoice
from chatcli.rendering.sanitize import sanitize_line


class _Choices(Completer):
    """Offers the choices that hold every word typed."""

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
    """Return the choices that hold every word of `typed`, in their ID or description."""
    words = typed.casefold().split()
    return [
        choice
        for choice in choices
        if all(word in f"{choice.thread_id} {choice.description}".casefold() for word in words)
    ]


async def pick_thread(
    choices: Sequence[ThreadChoice], terminal: Input, screen: Output, *, menu: bool = True
) -> str | None:
    """Let the user pick one of `choices`: what is typed filters, Enter takes the first, Ctrl-C or Ctrl-D none.

    Without a `menu` the choices must have been shown before.
    """
    session: PromptSession[str] = PromptSession(
        "which thread? (type to filter) " if menu else "which thread? (type a part of it) ",
        completer=_Choices(choices) if menu else None,
        complete_while_typing=menu,
        input=terminal,
        output=screen,
    )
    try:
        typed = await session.prompt_async(
            pre_run=(lambda: session.default_buffer.start_completion()) if menu else None,
        )
    except (EOFError, KeyboardInterrupt):
        return None
    found = matching(choices, typed)
    return found[0].thread_id if found else None
